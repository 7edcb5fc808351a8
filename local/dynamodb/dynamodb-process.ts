/**
 * The embedded DynamoDB, as a process: a worker can be killed without losing it, and other commands can talk to it.
 * It belongs to the process that started it and ends with it, however that one ended.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../../shared/environment.ts";
import { asError } from "../../shared/errors.ts";
import { type Home, openHome } from "../home.ts";
import { importOptional } from "../optional-package.ts";
import { ownIdentity } from "../process-identity.ts";
import { type ProcessLock, takeLock } from "../process-lock.ts";
import { guardRequests } from "./request-guard.ts";

/** What the process says to its owner, once. */
export type DynamoDBSays =
  | { readonly type: "listening"; readonly port: number }
  /** Another process has the data open. */
  | { readonly type: "taken"; readonly pid: number }
  | { readonly type: "failed"; readonly error: string };

interface Dynalite {
  readonly default: (options: { path: string; createTableMs: number; deleteTableMs: number }) => Server;
}

/** How long open requests may take to end, in ms. */
const CLOSE_MS = 3_000;

async function serve(home: Home, wantedPort: number): Promise<void> {
  const lock = takeLock(home.dynamodbLock);
  if (!("release" in lock)) return leave({ type: "taken", pid: lock.heldBy.pid });
  let server: Server;
  try {
    const dynalite = await importOptional<Dynalite>("dynalite", "The embedded DynamoDB");
    server = dynalite.default({ path: home.dynamodbFolder, createTableMs: 0, deleteTableMs: 0 });
    guardRequests(server, home.credentials(), systemClock.now);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(wantedPort, "127.0.0.1", resolve);
    });
  } catch (thrown) {
    lock.release();
    return leave({ type: "failed", error: asError(thrown).message });
  }
  const { port } = server.address() as AddressInfo;
  home.writeDynamoDBAddress({ ...ownIdentity(), port });
  const stop = (): void => close(server, home, lock);
  process.on("disconnect", stop);
  if (!process.connected) return stop();
  process.send?.({ type: "listening", port } satisfies DynamoDBSays);
}

function leave(says: DynamoDBSays): void {
  process.send?.(says, () => process.disconnect());
}

let closing = false;
function close(server: Server, home: Home, lock: ProcessLock): void {
  if (closing) return;
  closing = true;
  const exit = (): void => {
    home.removeDynamoDBAddress();
    lock.release();
    process.exit(0);
  };
  server.close(exit);
  server.closeIdleConnections();
  setTimeout(() => server.closeAllConnections(), CLOSE_MS / 3).unref();
  setTimeout(exit, CLOSE_MS).unref();
}

// Ctrl-C reaches every process of the terminal, and a service manager's SIGTERM every one of the service; this one goes
// when its owner, who stops in good order, lets it go.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
// What the database writes is its owner's alone.
process.umask(0o077);
void serve(openHome(process.argv[2]), Number(process.argv[3] ?? 0));
