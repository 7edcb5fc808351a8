/**
 * A disk of its own for checkpoint storage, small enough to be filled up: a tmpfs in a mount namespace that ends with
 * this process, whatever becomes of it.
 */
import { execFile, spawn } from "node:child_process";
import { closeSync, openSync, rmSync, statfsSync, truncateSync, writeSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const SIZE = "48m";
const CHUNK_BYTES = 1024 * 1024;
const INSIDE = "TIDEMARK_CHAOS_NAMESPACE";

/**
 * Runs this program once more in a mount namespace of its own, where one can be had.
 * @returns its exit code; undefined: this is already inside, or there is none to be had, and the caller goes on
 */
export async function insideNamespace(): Promise<number | undefined> {
  if (process.env[INSIDE] !== undefined) return undefined;
  const flags = process.getuid?.() === 0 ? ["--mount"] : ["--user", "--map-root-user", "--mount"];
  try {
    await run("unshare", [...flags, "true"]);
  } catch {
    return undefined;
  }
  const child = spawn("unshare", [...flags, process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
    env: { ...process.env, [INSIDE]: "1" },
  });
  // A terminal's Ctrl-C reaches the one inside as well, which stops in good order; a signal to this one is handed on.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

export interface SmallDisk {
  readonly folder: string;
  /** Leaves so many bytes free. */
  fill(bytesFree: number): void;
  free(): void;
  /** Puts a copy of all of it there: the disk itself is gone with this process. */
  keep(folder: string): Promise<void>;
  /** Ends it, and all that is on it. */
  close(): Promise<void>;
}

/** @throws what refuses the mount, in words */
export async function mountSmallDisk(folder: string): Promise<SmallDisk> {
  if (process.env[INSIDE] === undefined) throw new Error("unshare(1) gives no mount namespace here");
  await mkdir(folder, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", folder]);
  const ballast = path.join(folder, "ballast");
  return {
    folder,
    fill(bytesFree) {
      const file = openSync(ballast, "a");
      let bytes = 0;
      try {
        for (const chunk of [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(4_096)]) bytes += writeAll(file, chunk);
      } finally {
        closeSync(file);
      }
      truncateSync(ballast, Math.max(0, bytes - bytesFree));
    },
    free: () => rmSync(ballast, { force: true }),
    keep: (target) => cp(folder, target, { recursive: true }),
    async close() {
      await run("umount", ["--lazy", folder]);
    },
  };
}

/** Writes until the disk is full. */
function writeAll(file: number, chunk: Buffer): number {
  for (let bytes = 0; ; ) {
    try {
      bytes += writeSync(file, chunk);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOSPC") return bytes;
      throw thrown;
    }
  }
}

export function bytesFree(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
