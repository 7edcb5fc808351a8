/**
 * The control item: one for an app. Pure data.
 *
 * Invariants:
 * - `epoch` and `maxGen` only grow; `gen <= maxGen`.
 * - At most one checkpoint is open, and none is opened while `phase` is REPLAYING.
 * - The lease of the protocol's page is left out: it would save work, never decide anything.
 */
import type { CheckpointingMode } from "../app/define-app.ts";
import type { ControlAttributes } from "./control-store.ts";
import type { Phase } from "./split.ts";

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
  /** Generations below `gen` may still have items. */
  readonly sweep?: boolean;
}

export function asControl(attributes: ControlAttributes): Control {
  return attributes as unknown as Control;
}
