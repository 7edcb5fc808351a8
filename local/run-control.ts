/**
 * A live run on a heap, as other commands reach it: state and control are in its memory, so they ask it. Loopback
 * alone, and only with the token in the home's `run.json`, which its owner alone can read.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { TidemarkError } from "../shared/errors.ts";
import { CALL_CONTENT_TYPE, decodeCall, encodeCall, receiveError, type SentError, sendError } from "./call-codec.ts";
import type { Engine } from "./engine.ts";
import type { Home } from "./home.ts";
import { foreignRequest } from "./loopback-request.ts";
import { ownIdentity } from "./process-identity.ts";

/** What a run can be asked. */
type Steering = Pick<Engine, "checkpoint" | "restore" | "restoreStatus" | "skip" | "state" | "statePage">;
type Answer<Method extends keyof Steering> = Awaited<ReturnType<Steering[Method]>>;

const METHODS: ReadonlySet<string> = new Set<keyof Steering>([
  "checkpoint",
  "restore",
  "restoreStatus",
  "skip",
  "state",
  "statePage",
]);

interface Asked {
  readonly method: keyof Steering;
  readonly arguments: readonly unknown[];
}

/** More than any question takes. */
const ASKED_BYTES_MAX = 1024 * 1024;

export interface RunControl {
  close(): Promise<void>;
}

export async function openRunControl(engine: Engine & { readonly home: Home }): Promise<RunControl> {
  const token = randomBytes(24).toString("base64url");
  const server = createServer((incoming, outgoing) => {
    const answer = (status: number, body: object): void => {
      outgoing.writeHead(status, { "content-type": CALL_CONTENT_TYPE }).end(encodeCall(body));
    };
    const refused = refusalOf(incoming, token);
    if (refused !== undefined) {
      outgoing.once("finish", () => incoming.destroy());
      outgoing.writeHead(403, { "content-type": "text/plain", connection: "close" }).end(`${refused}\n`);
      return;
    }
    bodyOf(incoming, ASKED_BYTES_MAX)
      .then((body) => carryOut(engine, decodeCall(body) as Asked))
      .then((result) => answer(200, { result }))
      .catch((thrown: unknown) => answer(500, { error: sendError(thrown) }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  engine.home.writeRunAddress({ ...ownIdentity(), port, token });
  return {
    async close() {
      engine.home.removeRunAddress();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/**
 * Asks the live run on a home.
 * @throws TidemarkError `fix-configuration` when none is alive; whatever the run's engine throws
 */
export async function askRun<Method extends keyof Steering>(
  home: Home,
  method: Method,
  ...given: Parameters<Steering[Method]>
): Promise<Answer<Method>> {
  const address = home.liveRun() === undefined ? undefined : home.readRunAddress();
  if (address === undefined) {
    throw new TidemarkError(
      "fix-configuration",
      `The app of ${home.folder} keeps its state on the heap of its run, and no run is alive. Start one (tidemark run … --keep-running): it restores the latest checkpoint by itself.`,
    );
  }
  const body = encodeCall({ method, arguments: given } satisfies Asked);
  const answered = await new Promise<Answered>((resolve, reject) => {
    const ended = (cause: unknown): void =>
      reject(new TidemarkError("retry", `The run (pid ${address.pid}) ended before it answered.`, { cause }));
    const headers = { authorization: `Bearer ${address.token}`, "content-type": CALL_CONTENT_TYPE };
    const outgoing = request({ host: "127.0.0.1", port: address.port, method: "POST", headers }, (incoming) =>
      bodyOf(incoming).then((bytes) => resolve({ bytes, type: incoming.headers["content-type"] }), ended),
    );
    outgoing.once("error", ended);
    outgoing.end(body);
  });
  const { result, error } = understood(answered, address.pid);
  if (error !== undefined) throw receiveError(error);
  return result as Answer<Method>;
}

interface Answered {
  readonly bytes: Buffer;
  readonly type: string | undefined;
}

function understood({ bytes, type }: Answered, pid: number): { readonly result?: unknown; readonly error?: SentError } {
  let cause: unknown;
  if (type === CALL_CONTENT_TYPE) {
    try {
      return decodeCall(bytes) as { readonly result?: unknown; readonly error?: SentError };
    } catch (thrown) {
      cause = thrown;
    }
  }
  throw new TidemarkError(
    "fix-configuration",
    `The run (pid ${pid}) gave an answer that this command cannot read. Use the version of Tidemark and of Node that the run was started with, or start the run again with this one.`,
    { cause },
  );
}

function carryOut(engine: Engine, { method, arguments: given }: Asked): Promise<unknown> {
  if (!METHODS.has(method)) throw new TidemarkError("fix-configuration", `A run cannot be asked for ${method}.`);
  return (engine[method] as (...given: readonly unknown[]) => Promise<unknown>)(...given);
}

/** Why it is not answered; nothing of its body was read by then. */
function refusalOf(incoming: IncomingMessage, token: string): string | undefined {
  const given = Buffer.from(incoming.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  const allowed = given.length === wanted.length && timingSafeEqual(given, wanted);
  return foreignRequest(incoming) ?? (allowed ? undefined : "Wrong token.");
}

async function bodyOf(incoming: IncomingMessage, bytesMax = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += (chunk as Buffer).length;
    if (bytes > bytesMax) throw new TidemarkError("fix-configuration", `A question has at most ${bytesMax} bytes.`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
