import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import type { S3Client } from "@aws-sdk/client-s3";
import type { Clock, Randomness } from "../environment.ts";
import type { CheckpointStorage } from "./checkpoint-storage.ts";
import { FileCheckpointStorage } from "./file/file-storage.ts";
import { MemoryCheckpointStorage } from "./memory/memory-storage.ts";
import { refuseUrl as refuse } from "./refuse-url.ts";

export interface StorageDependencies {
  readonly clock: Clock;
  readonly randomness: Randomness;
  /**
   * For `s3:` alone. A client stays its maker's; what a function makes belongs to the storage, whose `close` destroys it.
   * @default none - an `s3:` URL is refused
   */
  readonly s3Client?: S3Client | (() => S3Client | Promise<S3Client>);
  /** The process's storages of `memory:name`, so that one name is one storage. @default each opening is a new storage */
  readonly memory?: Map<string, MemoryCheckpointStorage>;
  /** For tests alone, on S3 emulators without conditional writes: checkpoints are NOT safe there. @default false */
  readonly unsafelyAllowUnconditionalWrites?: boolean;
}

function openMemory(url: string, memory: StorageDependencies["memory"]): CheckpointStorage {
  const name = url.slice("memory:".length);
  const known = name === "" ? undefined : memory?.get(name);
  const storage = known ?? new MemoryCheckpointStorage(url);
  if (name !== "") memory?.set(name, storage);
  return storage;
}

function folderOf(url: string): string {
  // new URL() would take file:some/folder for /some/folder, which nobody means.
  if (!url.startsWith("file:///")) throw refuse(url, "a file: URL needs three slashes and an absolute path");
  let folder: string;
  try {
    folder = fileURLToPath(url);
  } catch (cause) {
    throw refuse(url, `it is no URL of a folder (${(cause as Error).message})`);
  }
  if (!isAbsolute(folder) || folder === "/") throw refuse(url, "it names no folder below the root");
  return folder;
}

/**
 * Opens the checkpoint storage that a URL names, and probes it: `s3://bucket/prefix`, `file:///absolute/path`,
 * `memory:` or `memory:name`. Opening S3 costs 7 small requests, about
 * $0.00003; where every start counts, `new S3CheckpointStorage()` opens without them.
 * @throws TidemarkError `fix-configuration` when the URL is none of these or the place cannot keep checkpoints;
 *   `retry` when it is out of reach for now.
 */
export async function openCheckpointStorage(
  url: string,
  dependencies: StorageDependencies,
): Promise<CheckpointStorage> {
  const storage = await openUnprobed(url, dependencies);
  try {
    await storage.probe();
  } catch (thrown) {
    await storage.close();
    throw thrown;
  }
  return storage;
}

async function openUnprobed(url: string, dependencies: StorageDependencies): Promise<CheckpointStorage> {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(url)?.[1];
  switch (scheme) {
    case "memory":
      return openMemory(url, dependencies.memory);
    case "file":
      return new FileCheckpointStorage({ root: folderOf(url), url, ...dependencies });
    case "s3":
      // Loaded here, so that whoever keeps checkpoints in files need not have, or wait for, the AWS SDK.
      return (await import("./s3/open-s3-storage.ts")).openS3Storage(url, dependencies);
    default:
      throw refuse(url, scheme === undefined ? "it has no scheme" : `${scheme}: is no scheme that Tidemark knows`);
  }
}
