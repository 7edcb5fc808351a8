import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** An answer in place of the service's, as AWS would put it on the wire. */
export interface KinesisFault {
  readonly operation: string;
  readonly error: string;
  readonly message?: string;
}

export interface KinesisProxy {
  readonly endpoint: string;
  /** Operations that came by, in order. */
  readonly operations: string[];
  /** Bodies of the requests, as sent, in order. */
  readonly bodies: string[];
  /** The next calls of the operation are answered with the error, one call a fault. */
  fail(...faults: readonly KinesisFault[]): void;
  /** Changes the service's answers to an operation, as long as it is set. */
  rewrite(operation: string, change: ((answer: Record<string, unknown>) => Record<string, unknown>) | undefined): void;
  close(): Promise<void>;
}

/** Stands between a client and a Kinesis endpoint, and answers as told what an emulator never would. */
export async function startKinesisProxy(target: string): Promise<KinesisProxy> {
  const operations: string[] = [];
  const bodies: string[] = [];
  const faults: KinesisFault[] = [];
  const rewrites = new Map<string, (answer: Record<string, unknown>) => Record<string, unknown>>();

  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const operation = String(incoming.headers["x-amz-target"]).split(".").at(-1) ?? "";
    const body = await whole(incoming);
    operations.push(operation);
    bodies.push(body.toString("utf8"));
    const index = faults.findIndex((fault) => fault.operation === operation);
    if (index !== -1) {
      const [fault] = faults.splice(index, 1) as [KinesisFault];
      outgoing.writeHead(400, { "content-type": "application/x-amz-json-1.1", "x-amzn-errortype": fault.error });
      outgoing.end(JSON.stringify({ __type: fault.error, message: fault.message ?? "told to" }));
      return;
    }
    const change = rewrites.get(operation);
    const headers = { ...incoming.headers, ...(change === undefined ? {} : { "accept-encoding": "identity" }) };
    const forwarded = request(new URL(incoming.url ?? "/", target), { method: "POST", headers });
    forwarded.end(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      forwarded.once("response", resolve);
      forwarded.once("error", reject);
    });
    const received = await whole(response);
    const sent =
      change === undefined ? received : Buffer.from(JSON.stringify(change(JSON.parse(received.toString("utf8")))));
    const { "transfer-encoding": _, ...kept } = response.headers;
    outgoing.writeHead(response.statusCode ?? 500, { ...kept, "content-length": String(sent.length) });
    outgoing.end(sent);
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    operations,
    bodies,
    fail: (...more) => void faults.push(...more),
    rewrite: (operation, change) => void (change ? rewrites.set(operation, change) : rewrites.delete(operation)),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function whole(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
