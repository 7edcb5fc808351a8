/**
 * An object's versions as files. No file system call that Node has compares and swaps, but link(2) is exclusive, so a
 * version is claimed by its number:
 *
 * - version 0 is the file of the object's own name, `manifest.json`;
 * - version k >= 1 is `.manifest.json.<k>.replaced`: a file, or a folder where the object was removed at k;
 * - the highest version that is there is the object. Versions have no gaps and are never taken away, so a process
 *   that names an old one can never claim it again: of all that replace version k exactly one links k + 1.
 *
 * That one link is the whole commit: whoever dies before it changed nothing, whoever dies after it is done. The file
 * of the object's own name is then renamed to the newest content too; that is for people who look into the folder,
 * and no promise rests on it. An object that was never replaced (all but a deleted checkpoint's manifest) is one file.
 */

import { createHash } from "node:crypto";
import { type FileHandle, lstat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ifThere } from "./durable-files.ts";

export interface Head {
  /** The file that holds the object now; undefined: there is no object. */
  readonly file: string | undefined;
  /** The number of the version that `file` is, or that the removal was. */
  readonly number: number;
  /** The number that the next version has to claim. */
  readonly next: number;
}

export function versionFile(target: string, number: number): string {
  return number === 0 ? target : join(dirname(target), `.${basename(target)}.${number}.replaced`);
}

/** Reads the name and number off a version file's name; undefined: it is none. */
export function parseVersionFile(name: string): { readonly name: string; readonly number: number } | undefined {
  const match = /^\.(.+)\.([1-9]\d*)\.replaced$/.exec(name);
  return match?.[1] === undefined ? undefined : { name: match[1], number: Number(match[2]) };
}

/** The object's newest version. One call to the file system, and one more for each time it was ever replaced. */
export async function headOf(target: string): Promise<Head> {
  let number = 0;
  let newest = undefined as Awaited<ReturnType<typeof lstat>> | undefined;
  for (;;) {
    const following = await ifThere(lstat(versionFile(target, number + 1)));
    if (following === undefined) break;
    newest = following;
    number += 1;
  }
  newest ??= await ifThere(lstat(target));
  if (newest === undefined) return { file: undefined, number, next: number };
  const removed = number > 0 && newest.isDirectory();
  return { file: removed ? undefined : versionFile(target, number), number, next: number + 1 };
}

const FINGERPRINT_BYTES = 64 * 1024;

/**
 * The first bytes of a version and its name. The name holds the content's size and a hash of those first bytes (all of
 * a small object) besides the number, since `write` overwrites version 0; for what is longer, inode and time
 * tell rewritten files apart. Never the whole content: parts of checkpoints are large, and are never replaced.
 */
export async function identify(
  handle: FileHandle,
  number: number,
): Promise<{ readonly version: string; readonly start: Uint8Array; readonly bytes: number }> {
  const { ino, mtimeNs, size } = await handle.stat({ bigint: true });
  const start = Buffer.alloc(Math.min(FINGERPRINT_BYTES, Number(size)));
  let filled = 0;
  while (filled < start.length) {
    const { bytesRead } = await handle.read(start, filled, start.length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  const hash = createHash("sha256").update(start.subarray(0, filled)).digest("hex");
  const beyond = size > FINGERPRINT_BYTES ? `-${ino}-${mtimeNs}` : "";
  return { version: `${number}-${size}-${hash}${beyond}`, start, bytes: Number(size) };
}
