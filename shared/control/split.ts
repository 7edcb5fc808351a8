/**
 * The split item: how far a function has come in one split of its source. Pure data.
 *
 * Invariants:
 * - `position` never goes back within a generation; everything at or before it is folded, or in a hole.
 * - `position <= attemptedTo`; the split is clean exactly when they are equal.
 * - `epoch <= pendingEpoch <= control.epoch`.
 * - An item without `epoch` is unborn: it belongs to no generation yet, and nothing may be processed on it.
 */

import type { Position } from "../source/position.ts";
import type { CheckpointingMode } from "./control.ts";
import type { ControlAttributes } from "./control-store.ts";
import type { Hole } from "./hole.ts";

export type Phase = "RUNNING" | "REPLAYING";

/** The record that stands in the way of its split. */
export interface Failing {
  readonly position: Position;
  /** Deliveries at which the user's code threw at this record, or died in it. */
  readonly tries: number;
  readonly error: string;
  /**
   * `in7`: attempt 7 handed this record alone to the user's code and has not said since that it lives. An attempt's mark
   * is its own, so that one that was overtaken takes it back like any other; a mark that stays is a death, and a try.
   */
  readonly [mark: InsideMark]: true;
}

export type InsideMark = `in${number}`;

/** With a try for each attempt that has not come out of the record. */
export function countTries(failing: Failing): Failing {
  const { position, tries, error } = failing;
  const deaths = Object.keys(failing).filter((name) => name.startsWith("in")).length;
  return {
    position,
    tries: tries + deaths,
    error: deaths > 0 ? "The process died while it handled this record." : error,
  };
}

export interface Split {
  readonly gen: number;
  readonly phase: Phase;
  readonly mode: CheckpointingMode;
  /** Counts Begins for ever: the latest one owns the split. */
  readonly attempt: number;
  /** Begins since the last End. */
  readonly begun: number;
  readonly epoch: number;
  readonly pendingEpoch: number;
  /** Checkpoints up to here are completed or aborted. */
  readonly resolved: number;
  /** Records that arrived earlier are dropped (the user's `startFrom`); absent: none is. */
  readonly startTimeMs?: number;
  readonly position: Position;
  /** Nothing after `position` that arrived by then can have been missed: the arrival of `position`, or the last look that found nothing after it. Ms since 1970. */
  readonly freshAt: number;
  readonly attemptedTo: Position;
  /** Position at each barrier passed and not yet resolved. */
  readonly barriers: { readonly [epoch: string]: Position };
  /** `freshAt` at each of these barriers. */
  readonly barrierFreshAt: { readonly [epoch: string]: number };
  readonly holes: readonly Hole[];
  /** Names of the items of their own that hold earlier holes. */
  readonly holeItems: readonly string[];
  /** A replay goes to here. */
  readonly until?: Position;
  readonly failing?: Failing;
  /** Dead letters since the last record that was folded. */
  readonly consecutiveDeadLetters: number;
  readonly ended?: boolean;
}

/** Undefined: the split is unborn, or not there. */
export function asSplit(attributes: ControlAttributes | undefined): Split | undefined {
  return attributes?.epoch === undefined ? undefined : (attributes as unknown as Split);
}

export function isClean(split: Pick<Split, "position" | "attemptedTo">): boolean {
  return split.position >= split.attemptedTo;
}
