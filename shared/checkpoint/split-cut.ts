/** Where a checkpoint cuts one split: what its manifest says of it. */
import type { Hole } from "../control/hole.ts";
import { holeIsWithin, isInHole } from "../control/hole.ts";
import type { Split } from "../control/split.ts";
import type { SplitPlace } from "../control/split-steps.ts";
import type { Position } from "../source/position.ts";

export interface SplitCut extends SplitPlace {
  readonly position: Position;
  /** In ms since 1970. */
  readonly freshAtMs: number;
  /** Records that arrived earlier are dropped; undefined: none is. In ms since 1970. */
  readonly startTimeMs: number | undefined;
  readonly ended: boolean;
  readonly holes: readonly Hole[];
  readonly takenBy: readonly string[] | undefined;
  /** Undefined: no record stands in the split's way. */
  readonly failing: CutFailing | undefined;
}

/** What stands in its split's way. */
export interface CutFailing {
  /** Of the record; where the source cannot be read, of the split. */
  readonly position: Position;
  readonly sinceMs: number;
  readonly stopped?: true;
}

/** Undefined where nothing fails, or an earlier version of Tidemark wrote it and did not say since when. */
export function cutFailing({ failing }: Pick<Split, "failing">): CutFailing | undefined {
  if (failing?.sinceMs === undefined) return undefined;
  const { position, sinceMs, stopped } = failing;
  return { position, sinceMs, ...(stopped === true ? { stopped } : {}) };
}

/** Nothing tells since when; nothing but a repair ends it. */
export const unreadableAt = (position: Position, nowMs: number): CutFailing => ({
  ...{ position, sinceMs: nowMs, stopped: true },
});

/**
 * The holes of the cut at `position`. A hole that reaches beyond it is cut too ◆, and how many of its records lie before the
 * cut nobody knows any more: a dead letter after the cut may have widened the hole that ended at it; and where a tried batch
 * expired, one hole reaches up to the record that came next, while the barrier stands where the batch had ended.
 */
export function holesAtCut(holes: readonly Hole[], position: Position): Hole[] {
  const within: Hole[] = [];
  for (const hole of holes) {
    if (holeIsWithin(hole, position)) within.push(hole);
    else if (isInHole(hole, position)) {
      const { records: _both, before: _beyond, ...bounds } = hole;
      within.push({ ...bounds, to: position });
    }
  }
  return within;
}
