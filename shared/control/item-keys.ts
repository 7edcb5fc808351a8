/**
 * Owns every key of the control table. Nothing else spells one.
 *
 * Invariant: a sort key has at most 1,024 bytes and a partition key at most 2,048, DynamoDB's limits. Names of splits may be
 * longer (a path of files); what had to be cut says its whole name in the item.
 */
import { createHash } from "node:crypto";
import type { ItemKey } from "./control-store.ts";

export const CONTROL_KEY: ItemKey = { partition: "CONTROL", sort: "CONTROL" };

/** Whose these tables are, and where their checkpoints are kept. */
export const STORAGE_KEY: ItemKey = { partition: "STORAGE", sort: "STORAGE" };

export const splitsPartition = (functionName: string): string => `SPLIT#${functionName}`;

const SORT_BYTES_MAX = 1_024;

/**
 * Text of at most `bytesMax` bytes: itself where it fits, else its beginning and a hash of all of it. "//" sets the hash off,
 * which no name of a file below a folder holds, nor one of a shard.
 */
function fitted(text: string, bytesMax: number): string {
  // No UTF-16 unit takes more than three bytes.
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text;
  const hash = `//${createHash("sha256").update(text).digest("hex")}`;
  const bytes = Buffer.from(text);
  let end = bytesMax - hash.length;
  // Not within a character: its further bytes all begin with the bits 10.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end) + hash;
}

export const splitKey = (functionName: string, split: string): ItemKey => ({
  partition: splitsPartition(functionName),
  sort: fitted(split, SORT_BYTES_MAX),
});

/** What the partitions of a function's holes begin with, and no other function's do: a name has no `#`. */
export const holesPartitions = (functionName: string): string => `HOLES#${functionName}#`;

/** Holes that outgrew their split's item. */
export const holesPartition = (functionName: string, split: string, generation: number): string =>
  `${holesPartitions(functionName)}${generation}#${fitted(split, SORT_BYTES_MAX)}`;

export const SNAPSHOT_PARTITIONS = "SNAPSHOT#";

/** The slices of checkpoint `n`'s snapshot. */
export const snapshotPartition = (n: number): string => `${SNAPSHOT_PARTITIONS}${String(n).padStart(10, "0")}`;

export const sliceKey = (n: number, functionName: string, slice: number): ItemKey => ({
  partition: snapshotPartition(n),
  sort: `${functionName}#${slice}`,
});

/** At-least-once: the positions that one coordinator read for a checkpoint before any scan, beside its slices. */
export const cutSortPrefix = (cut: string): string => `CUT#${cut}#`;

export const cutKey = (
  n: number,
  cut: string,
  place: { readonly function: string; readonly split: string },
): ItemKey => {
  const prefix = cutSortPrefix(cut);
  const sort = prefix + fitted(`${place.function}#${place.split}`, SORT_BYTES_MAX - Buffer.byteLength(prefix));
  return { partition: snapshotPartition(n), sort };
};

export const LOAD_PARTITIONS = "LOAD#";

/** The parts of a restore's load. */
export const loadPartition = (generation: number): string =>
  `${LOAD_PARTITIONS}${String(generation).padStart(10, "0")}`;

export const CHECK_PARTITIONS = "CHECK#";

/** The parts of a checkpoint that were read through for a restore that was asked for. */
export const checkPartition = (token: string): string => `${CHECK_PARTITIONS}${token}`;

/** How far older generations are removed from a function's state. */
export const sweepKey = (functionName: string): ItemKey => ({ partition: "SWEEP", sort: functionName });
