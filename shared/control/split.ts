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
import type { CheckpointingMode, Phase } from "./control.ts";
import type { ControlAttributes } from "./control-store.ts";
import type { Hole } from "./hole.ts";

/** The record that stands in the way of its split. */
export interface Failing {
  readonly position: Position;
  /** Deliveries at which the user's code threw at this record, or died in it. */
  readonly tries: number;
  readonly error: string;
  /** What Tidemark itself refuses for good: no further try is made. */
  readonly final?: true;
  /** The split stopped at it: too many before it were given up. */
  readonly stopped?: true;
  /** Since when it stands in the way, ms since 1970; absent: written by an earlier version, which did not say. */
  readonly sinceMs?: number;
  /**
   * `in7`: attempt 7 handed this record alone to the user's code and has not said since that it lives. An attempt's mark
   * is its own, so that one that was overtaken takes it back like any other; a mark that stays is a death, and a try.
   * `prepare`: of a source with a `decode`, before `handle` had it.
   */
  readonly [mark: InsideMark]: true | "prepare";
}

export type InsideMark = `in${number}`;

/** The marks of attempts that have not come out of the user's code. */
export function marksOf(failing: Failing): readonly InsideMark[] {
  return Object.keys(failing).filter((name): name is InsideMark => name.startsWith("in"));
}

/** With a try for each attempt that has not come out of the record. */
export function countTries(failing: Failing): Failing {
  const said = Object.entries(failing).filter(([name]) => !name.startsWith("in"));
  const deaths = Object.keys(failing).length - said.length;
  if (deaths === 0) return failing;
  const { tries } = failing;
  const error = "The process died while it handled this record.";
  return { ...(Object.fromEntries(said) as unknown as Failing), tries: tries + deaths, error };
}

/** How many versions a split remembers that took a record of it: a deploy, its rollback, and some more. */
export const VERSIONS_KEPT = 5;

/** Records that a version of the code refused before it took any of the split. */
export interface Refusals {
  /** Names the version; see {@link Split.takenBy}. */
  readonly by: string;
  readonly records: number;
}

/** A wish that the next batch carries out, as long as the split still stands where it stood. */
export interface Skip {
  /** The split's position when it was asked for, or when it was carried out in part. */
  readonly after: Position;
  /** The record that the split stood at; absent: it was passed over, and more are to be. */
  readonly at?: Position;
  /** How many records from there on are still to be passed over. */
  readonly records: number;
}

/** How many attempts have not come out of what comes before `handle`: so often, and it is not handed there again. */
export function deathsBeforeHandle(failing: Failing): number {
  return Object.entries(failing).filter(([name, where]) => name.startsWith("in") && where === "prepare").length;
}

export interface Split {
  /** The split's name, where it is too long for the item's key. */
  readonly split?: string;
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
  /**
   * `freshAt` of when the split last stood at its beginning, for a restore that puts it back there. Absent: an earlier version
   * wrote the item, which did not keep it.
   */
  readonly beginningFreshAt?: number;
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
  /** Dead letters of the cause `failed` since the last record that was folded; those that were refused or skipped do not count. */
  readonly consecutiveDeadLetters: number;
  /** The versions of the code that took a record of this split last, the newest at the end. Absent: none has said so yet. */
  readonly takenBy?: readonly string[];
  readonly refusals?: Refusals;
  readonly skip?: Skip;
  readonly ended?: boolean;
}

/** The record that the split stands at; undefined: none fails, or it was taken by a batch whose End is still to come. */
export function standsAt({ failing }: Pick<Split, "failing">): Position | undefined {
  if (failing === undefined) return undefined;
  return failing.tries > 0 || failing.stopped === true || failing.sinceMs !== undefined ? failing.position : undefined;
}

/** Undefined: the split is unborn, or not there. */
export function asSplit(attributes: ControlAttributes | undefined): Split | undefined {
  return attributes?.epoch === undefined ? undefined : (attributes as unknown as Split);
}

export function isClean(split: Pick<Split, "position" | "attemptedTo">): boolean {
  return split.position >= split.attemptedTo;
}
