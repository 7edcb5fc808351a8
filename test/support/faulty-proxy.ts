import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What becomes of one request. */
export type Fault =
  /** Refused as throttled; not carried out. */
  | "throttle"
  /** The connection is reset before the request goes on; not carried out. */
  | "reset"
  /** Carried out; the connection is dropped instead of an answer. */
  | "lose-answer"
  /** Carried out; half of the answer arrives, then the connection is reset. */
  | "cut-answer"
  /** Carried out twice, one after the other; the second answer is given. */
  | "duplicate"
  /** Half of a batch is carried out, and the rest comes back as unprocessed. Other requests are passed on. */
  | "partial"
  /** Goes on so much later, whether or not its sender still lives. */
  | { readonly delayMs: number }
  /** Carried out and answered, and carried out again so much later: a copy that was long on its way. */
  | { readonly againMs: number }
  /** Answered so instead of by the endpoint. `status`: 200 unless told otherwise. */
  | { readonly answer: object; readonly status?: number };

export interface FaultyProxy {
  readonly endpoint: string;
  /** Drops every connection; copies that are still on their way are lost. */
  close(): Promise<void>;
}

type Body = Record<string, unknown>;

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/**
 * DynamoDB's wire with faults on it: stands between a client and an endpoint, and asks `fault` about every request.
 * @param endpoint asked for at each request where it is a function: what is behind may be started again elsewhere
 * @param listen has it listen where its clients are, and gives the endpoint they know it by; on this machine alone by default
 */
export async function startFaultyProxy(
  endpoint: string | (() => string),
  fault: (operation: string, body: Body) => Fault | undefined | Promise<Fault | undefined>,
  listen: (server: Server) => Promise<string> = listenHere,
): Promise<FaultyProxy> {
  const closing = new AbortController();
  const agent = new Agent({ keepAlive: true });

  const pass = async ({ method, headers }: IncomingMessage, body: Buffer): Promise<Answer> => {
    const target = new URL(typeof endpoint === "string" ? endpoint : endpoint());
    const onward = httpRequest(target, {
      method,
      headers: { ...headers, "content-length": String(body.length) },
      agent,
    });
    onward.end(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      onward.once("response", resolve);
      onward.once("error", reject);
    });
    return { status: response.statusCode ?? 500, headers: response.headers, body: await whole(response) };
  };

  const give = (outgoing: ServerResponse, { status, headers, body }: Answer): void => {
    const { "transfer-encoding": _, ...kept } = headers;
    outgoing.writeHead(status, { ...kept, "content-length": String(body.length) }).end(body);
  };

  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await whole(incoming);
    const operation = String(incoming.headers["x-amz-target"]).split(".").at(-1) ?? "";
    const parsed = JSON.parse(body.toString()) as Body;
    const outcome = await fault(operation, parsed);
    switch (outcome) {
      case undefined:
        return give(outgoing, await pass(incoming, body));
      case "throttle":
        return give(outgoing, THROTTLED);
      case "reset":
        return void incoming.socket.resetAndDestroy();
      case "lose-answer":
        await pass(incoming, body);
        return void incoming.socket.destroy();
      case "cut-answer": {
        const answer = await pass(incoming, body);
        outgoing.writeHead(answer.status, { ...answer.headers, "content-length": String(answer.body.length) });
        const half = answer.body.subarray(0, Math.floor(answer.body.length / 2));
        return void outgoing.write(half, () => incoming.socket.resetAndDestroy());
      }
      case "duplicate":
        await pass(incoming, body);
        return give(outgoing, await pass(incoming, body));
      case "partial": {
        const halves = halve(operation, parsed);
        if (halves === undefined) return give(outgoing, await pass(incoming, body));
        const answer = await pass(incoming, encode(halves.sent));
        return give(outgoing, answer.status === 200 ? withUnprocessed(answer, operation, halves.kept) : answer);
      }
    }
    if ("answer" in outcome) return give(outgoing, answerOf(outcome.status ?? 200, outcome.answer));
    if ("delayMs" in outcome) {
      await sleep(outcome.delayMs, undefined, { signal: closing.signal });
      return give(outgoing, await pass(incoming, body));
    }
    give(outgoing, await pass(incoming, body));
    await sleep(outcome.againMs, undefined, { signal: closing.signal });
    await pass(incoming, body);
  };

  // What is behind may be gone: then the connection breaks, as it would without a proxy.
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  return {
    endpoint: await listen(server),
    async close() {
      closing.abort();
      agent.destroy();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function listenHere(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const encode = (body: object): Buffer => Buffer.from(JSON.stringify(body));

function answerOf(status: number, body: object): Answer {
  return { status, headers: { "content-type": "application/x-amz-json-1.0" }, body: encode(body) };
}

const THROTTLED = answerOf(400, {
  __type: "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
  message: "The level of configured provisioned throughput for the table was exceeded.",
});

async function whole(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** By table: what a batch asks for. A BatchGetItem has `Keys` in a table's entry, a BatchWriteItem is a list. */
type Batch = Record<string, unknown[] | { readonly Keys: unknown[] }>;

const UNPROCESSED: Readonly<Record<string, string>> = {
  BatchGetItem: "UnprocessedKeys",
  BatchWriteItem: "UnprocessedItems",
};

/** Undefined: no batch, or one of a single item, of which there is no half. */
function halve(operation: string, body: Body): { readonly sent: Body; readonly kept: Batch } | undefined {
  if (!(operation in UNPROCESSED)) return undefined;
  const sent: Batch = {};
  const kept: Batch = {};
  for (const [table, asked] of Object.entries(body.RequestItems as Batch)) {
    const items = Array.isArray(asked) ? asked : asked.Keys;
    const middle = Math.ceil(items.length / 2);
    const part = (some: unknown[]) => (Array.isArray(asked) ? some : { ...asked, Keys: some });
    sent[table] = part(items.slice(0, middle));
    if (middle < items.length) kept[table] = part(items.slice(middle));
  }
  return Object.keys(kept).length === 0 ? undefined : { sent: { ...body, RequestItems: sent }, kept };
}

/** The endpoint's own unprocessed items come first; with some there, ours are merged table by table. */
function withUnprocessed(answer: Answer, operation: string, kept: Batch): Answer {
  const name = UNPROCESSED[operation] as string;
  const parsed = JSON.parse(answer.body.toString()) as Body;
  const merged: Batch = { ...(parsed[name] as Batch | undefined) };
  for (const [table, mine] of Object.entries(kept)) {
    const theirs = merged[table];
    if (theirs === undefined) merged[table] = mine;
    else if (Array.isArray(theirs)) merged[table] = [...theirs, ...(mine as unknown[])];
    else merged[table] = { ...theirs, Keys: [...theirs.Keys, ...(mine as { Keys: unknown[] }).Keys] };
  }
  // The checksum was that of another body.
  const { "x-amz-crc32": _, ...headers } = answer.headers;
  return { ...answer, headers, body: encode({ ...parsed, [name]: merged }) };
}
