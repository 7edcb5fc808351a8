/** Owns every key of the control table. Nothing else spells one. */
import type { ItemKey } from "./control-store.ts";

export const CONTROL_KEY: ItemKey = { partition: "CONTROL", sort: "CONTROL" };

export const splitsPartition = (functionName: string): string => `SPLIT#${functionName}`;

export const splitKey = (functionName: string, split: string): ItemKey => ({
  partition: splitsPartition(functionName),
  sort: split,
});

/** Holes that outgrew their split's item. */
export const holesPartition = (functionName: string, split: string, generation: number): string =>
  `HOLES#${functionName}#${generation}#${split}`;

/** The slices of checkpoint `n`'s snapshot. */
export const snapshotPartition = (n: number): string => `SNAPSHOT#${String(n).padStart(10, "0")}`;

/** The parts of a restore's load. */
export const loadPartition = (generation: number): string => `LOAD#${String(generation).padStart(10, "0")}`;
