/**
 * The control item: one for an app. Pure data.
 *
 * Invariants:
 * - `epoch` and `maxGen` only grow; `gen <= maxGen`.
 * - At most one checkpoint is open, and none is opened while `phase` is REPLAYING.
 * - `requested` is there only while its restore is not recorded: the write that records one removes it.
 * - The lease of the protocol's page is left out: it would save work, never decide anything.
 */
import type { Position } from "../source/position.ts";
import type { ControlAttributes } from "./control-store.ts";

/** `exactly-once`: an exact cut. `at-least-once`: cheaper; events after a checkpoint's positions may be applied again (Flink's CheckpointingMode). */
export type CheckpointingMode = "exactly-once" | "at-least-once";

/** Whether the live generation takes batches of a mapping, or a restore replays. */
export type Phase = "RUNNING" | "REPLAYING";

export type CheckpointStatus = "TRIGGERED" | "ALIGNING" | "SNAPSHOTTING" | "COMPLETED" | "ABORTED";

export interface CheckpointRecord {
  readonly n: number;
  /** TRIGGERED, ALIGNING or SNAPSHOTTING. */
  readonly open: boolean;
  readonly status: CheckpointStatus;
  /** Tells this checkpoint from one of the same number in another life of the app. */
  readonly token: string;
  readonly savepoint?: string;
  /** Older savepoints of the same name, which go by retention once it is completed. */
  readonly replaces?: readonly number[];
  readonly triggeredAtMs: number;
  readonly finishedAtMs?: number;
  /** Keys of all its functions, once it is completed. */
  readonly keys?: number;
  /** Keys of the latest completed checkpoint before it: what its slices are counted by. */
  readonly keysBefore?: number;
  /** When the latest checkpoint before it completed; before the first one, when that was triggered first. Ms since 1970. */
  readonly ageFromMs?: number;
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

/** Where a restore's replay stops and stays until it is told to go on; either of the two, for every split. */
export interface RestoreHold {
  /** Each split stops before its first record that arrived later. Ms since 1970. */
  readonly arrivedByMs?: number;
  /** Function -> split -> the last record that is replayed; a split that is not named stops where the live generation was. */
  readonly positions?: { readonly [functionName: string]: { readonly [split: string]: Position } };
}

/** A restore that was asked for and whose checkpoint is being checked: nothing else was changed for it. */
export interface RequestedRestore {
  /** Becomes the plan's. */
  readonly token: string;
  readonly checkpoint: number;
  readonly requestedAtMs: number;
  readonly allowNonRestoredState: boolean;
  readonly hold?: RestoreHold;
  /** The check found that it cannot be done; nothing was changed. */
  readonly refused?: { readonly kind: string; readonly message: string; readonly atMs: number };
}

/** The plan of a restore, fresh for every restore that is begun. */
export interface RestorePlan {
  readonly token: string;
  readonly target: number;
  readonly checkpoint: number;
  readonly startedAtMs: number;
  /** Function of the app -> function of the manifest whose state it takes over. */
  readonly functions: { readonly [name: string]: string };
  readonly hold?: RestoreHold;
  /** Every split had come to `hold`. */
  readonly heldAtMs?: number;
  /** It was told to go on past `hold`. */
  readonly wentOnAtMs?: number;
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
  /** Asked for and not begun. */
  readonly requested?: RequestedRestore;
  /** Functions whose event source mapping a restore has disabled, and which it owes to enable again. Name -> true. */
  readonly mappingsOff?: { readonly [functionName: string]: true };
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
