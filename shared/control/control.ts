/**
 * The control item: one for an app. Pure data.
 *
 * Invariants:
 * - `epoch` and `maxGen` only grow; `gen <= maxGen`.
 * - At most one checkpoint is open, and none is opened while `phase` is REPLAYING.
 * - The lease of the protocol's page is left out: it would save work, never decide anything.
 */
import type { ControlAttributes } from "./control-store.ts";
import type { Phase } from "./split.ts";

/** `exactly-once`: an exact cut. `at-least-once`: cheaper; events after a checkpoint's positions may be applied again (Flink's CheckpointingMode). */
export type CheckpointingMode = "exactly-once" | "at-least-once";

export type CheckpointStatus = "TRIGGERED" | "ALIGNING" | "SNAPSHOTTING" | "COMPLETED" | "ABORTED";

export interface CheckpointRecord {
  readonly n: number;
  /** TRIGGERED, ALIGNING or SNAPSHOTTING. */
  readonly open: boolean;
  readonly status: CheckpointStatus;
  /** Tells this checkpoint from one of the same number in another life of the app. */
  readonly token: string;
  readonly savepoint?: string;
  readonly triggeredAtMs: number;
  readonly finishedAtMs?: number;
  /** Why it was aborted. */
  readonly reason?: string;
  /** `resolved` was told to the splits and retention is done. */
  readonly settled: boolean;
  /** What every coordinator of this checkpoint's snapshot goes by; absent until the cut is known. */
  readonly snapshot?: SnapshotPlan;
  /** Its address holds an object of another life of the app: the next number lies past all that storage knows. */
  readonly foreign?: boolean;
}

/** Decided once, by the first coordinator that reaches the snapshot. */
export interface SnapshotPlan {
  /** Slices of each function's state. */
  readonly slices: number;
  /** At-least-once: names the positions that were read before the scan; absent in exactly-once, where splits keep them. */
  readonly cut?: string;
}

/** A completed checkpoint and when it completed, by the coordinator's clock. */
export interface CompletedAt {
  readonly n: number;
  readonly atMs: number;
}

/** What tells which tombstones may go; there once a checkpoint of `generation` has completed. */
export interface Coverage {
  readonly generation: number;
  /** Becomes `ready` once it is older than any invocation. */
  readonly maturing: CompletedAt;
  /** Tombstones that its positions cover may go. */
  readonly ready?: CompletedAt;
}

/** The plan of a restore, fresh for every restore that is begun. */
export interface RestorePlan {
  readonly token: string;
  readonly target: number;
  readonly checkpoint: number;
  readonly startedAtMs: number;
  /** Function of the app -> function of the manifest whose state it takes over. */
  readonly functions: { readonly [name: string]: string };
  readonly finishedAtMs?: number;
  readonly loadedAtMs?: number;
}

/** What the live generation was restored from; absent in the first generation. */
export interface Lineage {
  readonly generation: number;
  readonly checkpoint: number;
}

export interface Control {
  readonly gen: number;
  readonly maxGen: number;
  readonly phase: Phase;
  readonly epoch: number;
  readonly mode: CheckpointingMode;
  readonly checkpoint?: CheckpointRecord;
  readonly restore?: RestorePlan;
  readonly restoredFrom?: Lineage;
  /** Checkpoints that a restore is reading: token of the restore -> number. */
  readonly pins: { readonly [token: string]: number };
  /** How many pins were ever set: a deletion is announced only under the count it was decided by. */
  readonly pinned?: number;
  /** Generations below `gen` may still have items. */
  readonly sweep?: boolean;
  /** Completed checkpoints of this life of the app that retention may delete one day: no savepoints. */
  readonly kept?: readonly number[];
  /** Checkpoints whose deletion is decided for good; none of them can be pinned. Number -> true. */
  readonly deleting?: { readonly [n: string]: true };
  readonly coverage?: Coverage;
}

export function asControl(attributes: ControlAttributes): Control {
  return attributes as unknown as Control;
}
