/** Finds the DynamoDB of a home, or starts it. */
import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { type Clock, systemClock } from "../../shared/environment.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { forkModule } from "../fork-module.ts";
import type { Home } from "../home.ts";
import { isRunning } from "../process-identity.ts";
import type { DynamoDBSays } from "./dynamodb-process.ts";

export interface DynamoDBConnection {
  readonly endpoint: string;
  /** Started by this process, and ends with it. */
  readonly owned: boolean;
  readonly pid: number;
  /** Ends the process if this one owns it; its data stays. */
  close(): Promise<void>;
}

/** How long another process's DynamoDB may take to start or to end before that is an error, in ms. */
const PATIENCE_MS = 20_000;
const POLL_MS = 50;

/**
 * Uses the DynamoDB that answers for this home, or starts one (half a second) owned by this process.
 * @param own never uses another process's: waits until that one has ended. A run outlives the commands beside it.
 * @throws TidemarkError `fix-configuration` when dynalite is not installed or cannot open the data
 */
export async function connectDynamoDB(
  home: Home,
  options: { readonly own?: boolean; readonly clock?: Clock } = {},
): Promise<DynamoDBConnection> {
  const clock = options.clock ?? systemClock;
  const givesUpAtMs = clock.now() + PATIENCE_MS;
  for (;;) {
    if (options.own !== true) {
      const found = await findLive(home);
      if (found !== undefined) return found;
    }
    const { child, says } = await start(home);
    if (says.type === "listening") return owned(child, says.port);
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
  const address = home.readDynamoDBAddress();
  if (address === undefined || !isRunning(address)) return undefined;
  const endpoint = `http://127.0.0.1:${address.port}`;
  try {
    const answer = await fetch(endpoint, { signal: AbortSignal.timeout(2_000) });
    if (!(await answer.text()).startsWith("healthy")) return undefined;
  } catch {
    return undefined;
  }
  return { endpoint, owned: false, pid: address.pid, close: async () => {} };
}

async function start(home: Home): Promise<{ readonly child: ChildProcess; readonly says: DynamoDBSays }> {
  const child = forkModule("./dynamodb-process", import.meta.url, [home.folder], {
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

function owned(child: ChildProcess, port: number): DynamoDBConnection {
  // It must not keep this process alive; the end of this process closes the channel, and that ends it.
  child.unref();
  child.channel?.unref();
  (child.stderr as Socket | null)?.unref();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    owned: true,
    pid: child.pid ?? 0,
    close: () => end(child),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.ref();
  if (child.connected) child.disconnect();
  await ended;
}
