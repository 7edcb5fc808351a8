/** Finds the DynamoDB of a home, or starts it. */
import type { ChildProcess } from "node:child_process";
import { connect, type Socket } from "node:net";
import { type Clock, systemClock } from "../../shared/environment.ts";
import { TidemarkError } from "../../shared/errors.ts";
import type { EngineObserver } from "../engine-event.ts";
import { forkModule } from "../fork-module.ts";
import type { Home } from "../home.ts";
import type { DynamoDBSays } from "./dynamodb-process.ts";
import { endpointWith } from "./endpoint-url.ts";

export interface DynamoDBConnection {
  /** With the home's credentials in it; see `splitEndpoint`. */
  readonly endpoint: string;
  /** Started by this process, and ends with it. */
  readonly owned: boolean;
  /** Changes when it died and was started again. */
  readonly pid: number;
  /** Ends the process if this one owns it; its data stays. */
  close(): Promise<void>;
}

/** How long another process's DynamoDB may take to start or to end before that is an error, in ms. */
const PATIENCE_MS = 20_000;
const POLL_MS = 50;
const RESTART_MS = 500;

/**
 * Uses the DynamoDB that answers for this home, or starts one (half a second) owned by this process.
 * @param own never uses another process's: waits until that one has ended. A run outlives the commands beside it.
 * @param keepUp told of each death of one that this process owns, which is started again then, on the same port: whoever
 *   knows its endpoint goes on. Without it, it stays dead.
 * @throws TidemarkError `fix-configuration` when dynalite is not installed or cannot open the data
 */
export async function connectDynamoDB(
  home: Home,
  options: { readonly own?: boolean; readonly keepUp?: EngineObserver; readonly clock?: Clock } = {},
): Promise<DynamoDBConnection> {
  const clock = options.clock ?? systemClock;
  home.keepPrivate();
  const givesUpAtMs = clock.now() + PATIENCE_MS;
  for (;;) {
    if (options.own !== true) {
      const found = await findLive(home);
      if (found !== undefined) return found;
    }
    const { child, says } = await start(home);
    if (says.type === "listening") return new OwnedDynamoDB(home, { child, port: says.port, clock, ...options });
    if (says.type === "failed") throw new TidemarkError("fix-configuration", says.error);
    if (clock.now() >= givesUpAtMs) {
      throw new TidemarkError(
        "retry",
        `The DynamoDB data of ${home.folder} is open in another process (pid ${says.pid}), which belongs to another tidemark command. Try again when that one has ended.`,
      );
    }
    await clock.sleep(POLL_MS);
  }
}

async function findLive(home: Home): Promise<DynamoDBConnection | undefined> {
  const address = home.liveDynamoDB();
  if (address === undefined || !(await listens(address.port))) return undefined;
  return { endpoint: endpointOf(home, address.port), owned: false, pid: address.pid, close: async () => {} };
}

const endpointOf = (home: Home, port: number): string => endpointWith(home.credentials(), `http://127.0.0.1:${port}`);

/** A process that holds the lock may be about to end, and then it answers nobody any more. */
async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port, timeout: 2_000 });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("timeout", () => resolve(false));
      socket.once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

/** @param port the one to answer on; 0: any that is free */
async function start(home: Home, port = 0): Promise<{ readonly child: ChildProcess; readonly says: DynamoDBSays }> {
  const child = forkModule("./dynamodb-process", import.meta.url, [home.folder, String(port)], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-4_000);
  });
  const says = await new Promise<DynamoDBSays>((resolve) => {
    child.once("message", (message) => resolve(message as DynamoDBSays));
    child.once("error", (error) =>
      resolve({ type: "failed", error: `The embedded DynamoDB did not start: ${error.message}` }),
    );
    child.once("exit", (code, signal) =>
      resolve({
        type: "failed",
        error: `The embedded DynamoDB ended at once (${signal ?? `exit code ${code}`}). ${stderr.trim()}`,
      }),
    );
  });
  return { child, says };
}

interface Owned {
  readonly child: ChildProcess;
  readonly port: number;
  readonly clock: Clock;
  readonly keepUp?: EngineObserver;
}

class OwnedDynamoDB implements DynamoDBConnection {
  readonly owned = true;
  readonly endpoint: string;
  readonly #home: Home;
  readonly #port: number;
  readonly #clock: Clock;
  readonly #keepUp: EngineObserver | undefined;
  #child: ChildProcess;
  #restarting: Promise<void> | undefined;
  #closing = false;

  constructor(home: Home, { child, port, clock, keepUp }: Owned) {
    this.endpoint = endpointOf(home, port);
    this.#home = home;
    this.#port = port;
    this.#clock = clock;
    this.#keepUp = keepUp;
    this.#child = child;
    this.#adopt(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#restarting;
    await end(this.#child);
  }

  #adopt(child: ChildProcess): void {
    this.#child = child;
    // It must not keep this process alive; the end of this process closes the channel, and that ends it.
    child.unref();
    child.channel?.unref();
    (child.stderr as Socket | null)?.unref();
    const { pid = 0 } = child;
    const keepUp = this.#keepUp;
    if (keepUp === undefined) return;
    const died = (how: string): void => {
      if (this.#closing) return;
      keepUp({ type: "dynamodb-ended", pid, how });
      this.#restarting = this.#restart(keepUp);
    };
    if (child.exitCode !== null || child.signalCode !== null) died(child.signalCode ?? `exit code ${child.exitCode}`);
    else child.once("exit", (code, signal) => died(signal ?? `exit code ${code}`));
  }

  /** For as long as it takes, as with workers: what stands in its way may go. */
  async #restart(keepUp: EngineObserver): Promise<void> {
    let said = "";
    while (!this.#closing) {
      const { child, says } = await start(this.#home, this.#port);
      if (says.type === "listening") {
        this.#restarting = undefined;
        if (this.#closing) return end(child);
        keepUp({ type: "dynamodb-started", pid: child.pid ?? 0 });
        this.#adopt(child);
        return;
      }
      const why = says.type === "failed" ? says.error : `Its data is open in another process (pid ${says.pid}).`;
      if (why !== said) keepUp({ type: "dynamodb-ended", pid: 0, how: why });
      said = why;
      await this.#clock.sleep(RESTART_MS);
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.ref();
  if (child.connected) child.disconnect();
  await ended;
}
