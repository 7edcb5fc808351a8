/**
 * What an End says of a batch: pure arithmetic over how each record ended.
 *
 * Invariants:
 * - The position moves over the resolved prefix alone, and never back.
 * - A dead letter is a hole in the same End that passes it.
 * - `attemptedTo` comes down to what was really tried, so that a poison record never blocks a barrier ◆.
 * - `failing` is removed only by the End that passes its record.
 */
import type { Begun } from "../control/begin.ts";
import { appendHole, deadLetterHole, type Hole } from "../control/hole.ts";
import type { Failing } from "../control/split.ts";
import { laterOf, type Position } from "../source/position.ts";
import type { SourceRecord } from "../source/source.ts";

export interface BatchOutcome {
  readonly begun: Begun;
  /** The records after the split's position, in order, as far as the batch was to go. */
  readonly records: readonly SourceRecord[];
  /** How many of them are resolved. */
  readonly resolved: number;
  /** Indexes of those that became dead letters, in order. */
  readonly deadLetters: readonly number[];
  /** The last event that any write carried. */
  readonly triedTo: Position;
  readonly failing?: Failing | undefined;
}

export interface ResolvedBatch {
  readonly position: Position;
  readonly attemptedTo: Position;
  readonly freshAt: number;
  readonly consecutiveDeadLetters: number;
  readonly holes: readonly Hole[] | undefined;
  readonly failing: Failing | "stays" | undefined;
}

export function resolveBatch(outcome: BatchOutcome): ResolvedBatch {
  const { begun, records, resolved } = outcome;
  const { split } = begun;
  const last = records[resolved - 1];
  const position = last === undefined ? split.position : laterOf(split.position, last.position);
  return {
    position,
    attemptedTo: laterOf(position, laterOf(split.attemptedTo, outcome.triedTo)),
    freshAt: Math.max(split.freshAt, last?.arrivalTimeMs ?? 0),
    consecutiveDeadLetters: deadLettersInARow(outcome),
    holes: holesAfter(outcome),
    failing: outcome.failing ?? ((split.failing?.position ?? "") > position ? "stays" : undefined),
  };
}

/** Dead letters at the end of the resolved prefix, and those before it if the prefix is nothing else. */
function deadLettersInARow({ begun, resolved, deadLetters }: BatchOutcome): number {
  const passed = deadLetters.filter((index) => index < resolved);
  let inARow = 0;
  while (passed[passed.length - 1 - inARow] === resolved - 1 - inARow) inARow += 1;
  return inARow === resolved ? begun.split.consecutiveDeadLetters + inARow : inARow;
}

function holesAfter({ begun, records, resolved, deadLetters }: BatchOutcome): readonly Hole[] | undefined {
  let holes = begun.split.holes;
  for (const index of deadLetters) {
    if (index >= resolved) break;
    const record = records[index] as SourceRecord;
    const previous = records[index - 1]?.position ?? begun.split.position;
    holes = appendHole(holes, deadLetterHole(record.position), previous);
  }
  return holes === begun.split.holes ? undefined : holes;
}
