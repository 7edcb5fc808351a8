/** The checkpoints on the disk, read as files: nothing of Tidemark says which is the latest, or which of them live. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync, writeSync } from "node:fs";
import path from "node:path";

/** A checkpoint whose manifest stands. */
export interface Standing {
  readonly checkpoint: number;
  readonly generation: number;
  readonly savepoint?: string;
  readonly holes: number;
  readonly files: readonly { readonly name: string; readonly function: string }[];
}

export interface Shelf {
  /** By number. */
  readonly standing: readonly Standing[];
  readonly aborted: number;
  readonly deleted: number;
}

interface Origin {
  readonly generation: number;
  readonly checkpoint: number;
}

interface Stored {
  readonly kind: "manifest" | "aborted" | "deleted";
  readonly checkpoint: number;
  readonly generation: number;
  readonly savepoint?: string;
  readonly files: Standing["files"];
  readonly functions: readonly { readonly splits: readonly { readonly holes: readonly unknown[] }[] }[];
}

const folderOf = (n: number): string => `chk-${String(n).padStart(10, "0")}`;

export function readShelf(storage: string): Shelf {
  const standing: Standing[] = [];
  const gone = { aborted: 0, deleted: 0 };
  for (const name of readdirSync(storage)
    .filter((one) => one.startsWith("chk-"))
    .sort()) {
    const stored = readJson<Stored>(path.join(storage, name, "manifest.json"));
    if (stored === undefined) continue;
    if (stored.kind !== "manifest") {
      gone[stored.kind] += 1;
      continue;
    }
    const { checkpoint, generation, savepoint, files } = stored;
    const holes = stored.functions.flatMap(({ splits }) => splits.flatMap((split) => split.holes)).length;
    standing.push({ checkpoint, generation, files, holes, ...(savepoint === undefined ? {} : { savepoint }) });
  }
  return { standing, ...gone };
}

/** The newest standing checkpoint before `before` that the live generation descends from. */
export function newestLive(
  storage: string,
  { standing }: Shelf,
  live: { readonly gen: number; readonly restoredFrom?: Origin },
  before = Number.POSITIVE_INFINITY,
): Standing | undefined {
  let { gen: generation, restoredFrom: origin } = live;
  for (let upTo = before - 1; ; upTo = Math.min(upTo, origin.checkpoint), origin = originOf(storage, generation)) {
    const newest = standing.findLast((one) => one.generation === generation && one.checkpoint <= upTo);
    if (newest !== undefined || origin === undefined) return newest;
    generation = origin.generation;
  }
}

function originOf(storage: string, generation: number): Origin | undefined {
  const file = path.join(storage, "generations", `${String(generation).padStart(10, "0")}.json`);
  return readJson<{ readonly restoredFrom: Origin }>(file)?.restoredFrom;
}

/** Undefined: it is not there, or is just being taken away. */
function readJson<Content>(file: string): Content | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Content;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}

/**
 * Flips one bit of a checkpoint's part, in place.
 * @param choice which bit of all the part's: a share
 * @returns false: the part is gone
 */
export function flipBit(storage: string, checkpoint: number, part: string, choice: number): boolean {
  const file = path.join(storage, folderOf(checkpoint), part);
  try {
    const bit = Math.floor(choice * statSync(file).size * 8);
    const handle = openSync(file, "r+");
    try {
      const byte = Buffer.alloc(1);
      readSync(handle, byte, 0, 1, bit >> 3);
      byte[0] = (byte[0] as number) ^ (1 << (bit & 7));
      writeSync(handle, byte, 0, 1, bit >> 3);
    } finally {
      closeSync(handle);
    }
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw thrown;
  }
}
