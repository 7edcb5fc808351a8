/**
 * A live run on a heap, as other commands reach it: state and control are in its memory, so they ask it. Loopback
 * alone, and only with the token in the home's `run.json`, which its owner alone can read.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { TidemarkError } from "../shared/errors.ts";
import type { Engine } from "./engine.ts";
import type { Home } from "./home.ts";
import { ownIdentity } from "./process-identity.ts";
import { receiveError, sendError } from "./worker/sent-error.ts";
import type { SentError } from "./worker/worker-messages.ts";

/** What a run can be asked. */
type Steering = Pick<Engine, "checkpoint" | "restore" | "restoreStatus" | "skip" | "state" | "statePage">;
type Answer<Method extends keyof Steering> = Awaited<ReturnType<Steering[Method]>>;

interface Asked {
  readonly method: keyof Steering;
  readonly arguments: readonly unknown[];
}

export interface RunControl {
  close(): Promise<void>;
}

export async function openRunControl(engine: Engine & { readonly home: Home }): Promise<RunControl> {
  const token = randomBytes(24).toString("base64url");
  const server = createServer((incoming, outgoing) => {
    const answer = (status: number, body: object): void => {
      outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (!isAllowed(incoming, token)) return answer(403, { error: { name: "Error", message: "Wrong token." } });
    bodyOf(incoming)
      .then((body) => carryOut(engine, JSON.parse(body) as Asked))
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
  const body = JSON.stringify({ method, arguments: given } satisfies Asked);
  const text = await new Promise<string>((resolve, reject) => {
    const outgoing = request(
      { host: "127.0.0.1", port: address.port, method: "POST", headers: { authorization: `Bearer ${address.token}` } },
      (incoming) => bodyOf(incoming).then(resolve, reject),
    );
    outgoing.once("error", (cause) =>
      reject(new TidemarkError("retry", `The run (pid ${address.pid}) ended before it answered.`, { cause })),
    );
    outgoing.end(body);
  });
  const answer = JSON.parse(text) as { readonly result?: unknown; readonly error?: SentError };
  if (answer.error !== undefined) throw receiveError(answer.error);
  return answer.result as Answer<Method>;
}

function carryOut(engine: Engine, asked: Asked): Promise<unknown> {
  const [first, second] = asked.arguments;
  switch (asked.method) {
    case "checkpoint":
      return engine.checkpoint(first as Parameters<Engine["checkpoint"]>[0]);
    case "restore": {
      const choice = first as { readonly before?: string } | undefined;
      // JSON makes text of a time.
      const before = choice?.before === undefined ? {} : { before: new Date(choice.before) };
      return engine.restore({ ...(choice as object), ...before }, second as { readonly wait?: boolean });
    }
    case "restoreStatus":
      return engine.restoreStatus();
    case "skip":
      return engine.skip(first as Parameters<Engine["skip"]>[0]);
    case "state":
      return engine.state(first as string, second as string);
    case "statePage":
      return engine.statePage(first as string, second as string | undefined);
  }
}

function isAllowed(incoming: IncomingMessage, token: string): boolean {
  const given = Buffer.from(incoming.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
