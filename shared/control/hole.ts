/**
 * Holes: the stretches of a split that are missing from the fold, and why. Pure data.
 *
 * Invariants:
 * - Only a record that was given up (dead-lettered, or dropped by the source) lies in a hole.
 * - Holes of a split are in order and do not overlap; neighbours of one cause are merged.
 */
import type { Position } from "../source/position.ts";

/** Bounds of a stretch: `from`/`to` belong to it, `after`/`before` do not. */
export interface Hole {
  readonly cause: "dead-letter" | "dropped" | "expired";
  readonly from?: Position;
  readonly after?: Position;
  readonly to?: Position;
  readonly before?: Position;
  /** How many records; absent when nobody can know. */
  readonly records?: number;
  /**
   * Of one record of several events: numbers, from 0, of those that are in the state all the same ◆. Absent: none is, of a
   * dead letter.
   */
  readonly folded?: readonly number[];
}

/** Records were given up by Tidemark, one after the other. */
export function deadLetterHole(position: Position, folded: readonly number[] = []): Hole {
  const hole: Hole = { cause: "dead-letter", from: position, to: position, records: 1 };
  return folded.length === 0 ? hole : { ...hole, folded };
}

/** The source gave up a range that had been tried: `(position, attemptedTo]`. */
export function droppedHole(range: { readonly after: Position; readonly to: Position }): Hole {
  return { cause: "dropped", ...range };
}

/** The source may have expired records that nobody saw: `(position, first)`, or all to the end of the split. */
export function expiredHole(range: { readonly after: Position; readonly before?: Position }): Hole {
  return { cause: "expired", ...range };
}

export function isInHole(hole: Hole, position: Position): boolean {
  if (hole.from !== undefined && position < hole.from) return false;
  if (hole.after !== undefined && position <= hole.after) return false;
  if (hole.to !== undefined && position > hole.to) return false;
  if (hole.before !== undefined && position >= hole.before) return false;
  return true;
}

/** Whether the whole hole lies at or before a position: whether the cut at that position has it. */
export function holeIsWithin(hole: Hole, position: Position): boolean {
  return hole.to !== undefined ? hole.to <= position : hole.before !== undefined && hole.before <= position;
}

/**
 * Adds a hole at the end. `previous` is the position of the last record before the new hole: a dead letter that
 * follows directly on the last hole's end widens that hole instead of starting another.
 */
export function appendHole(holes: readonly Hole[], hole: Hole, previous: Position): Hole[] {
  const last = holes.at(-1);
  const joins =
    last !== undefined &&
    last.cause === "dead-letter" &&
    hole.cause === "dead-letter" &&
    last.folded === undefined &&
    hole.folded === undefined &&
    last.to !== undefined &&
    hole.to !== undefined &&
    last.to === previous;
  if (!joins) return [...holes, hole];
  const widened: Hole = { ...last, to: hole.to as Position, records: (last.records ?? 0) + (hole.records ?? 0) };
  return [...holes.slice(0, -1), widened];
}
