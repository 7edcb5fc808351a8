/** Owns every key of the control table. Nothing else spells one. */
import type { ItemKey } from "./control-store.ts";

export const CONTROL_KEY: ItemKey = { partition: "CONTROL", sort: "CONTROL" };

/** Whose these tables are, and where their checkpoints are kept. */
export const STORAGE_KEY: ItemKey = { partition: "STORAGE", sort: "STORAGE" };

export const splitsPartition = (functionName: string): string => `SPLIT#${functionName}`;

export const splitKey = (functionName: string, split: string): ItemKey => ({
  partition: splitsPartition(functionName),
  sort: split,
});

/** What the partitions of a function's holes begin with, and no other function's do: a name has no `#`. */
export const holesPartitions = (functionName: string): string => `HOLES#${functionName}#`;

/** Holes that outgrew their split's item. */
export const holesPartition = (functionName: string, split: string, generation: number): string =>
  `${holesPartitions(functionName)}${generation}#${split}`;

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
): ItemKey => ({
  partition: snapshotPartition(n),
  sort: `${cutSortPrefix(cut)}${place.function}#${place.split}`,
});

export const LOAD_PARTITIONS = "LOAD#";

/** The parts of a restore's load. */
export const loadPartition = (generation: number): string =>
  `${LOAD_PARTITIONS}${String(generation).padStart(10, "0")}`;

export const CHECK_PARTITIONS = "CHECK#";

/** The parts of a checkpoint that were read through for a restore that was asked for. */
export const checkPartition = (token: string): string => `${CHECK_PARTITIONS}${token}`;

/** How far older generations are removed from a function's state. */
export const sweepKey = (functionName: string): ItemKey => ({ partition: "SWEEP", sort: functionName });
