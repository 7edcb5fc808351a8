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
import { type Failing, type Refusals, type Skip, VERSIONS_KEPT } from "../control/split.ts";
import { laterOf, type Position } from "../source/position.ts";
import type { SourceRecord } from "../source/source.ts";
import type { GivenUp } from "./fold-batch.ts";

export interface BatchOutcome {
  readonly begun: Begun;
  /** The records after the split's position, in order, as far as the batch was to go. */
  readonly records: readonly SourceRecord[];
  /** How many of them are resolved. */
  readonly resolved: number;
  /** Those that became dead letters, in order. */
  readonly deadLetters: readonly GivenUp[];
  /** The last event that any write carried. */
  readonly triedTo: Position;
  readonly failing?: Failing | undefined;
  /** What names the code that this batch ran. */
  readonly version: string;
  /** The first record that it took; undefined: none. */
  readonly firstTaken?: number | undefined;
  /** Whether a record had no event. It says nothing of the code: no row of dead letters ends with it. @default none had */
  readonly isEmpty?: (index: number) => boolean;
}

export interface ResolvedBatch {
  readonly position: Position;
  readonly attemptedTo: Position;
  readonly freshAt: number;
  readonly consecutiveDeadLetters: number;
  readonly holes: readonly Hole[] | undefined;
  readonly failing: Failing | "stays" | undefined;
  /** Undefined: they stay. */
  readonly takenBy: readonly string[] | undefined;
  readonly refusals: Refusals | "none" | undefined;
  readonly skip: Skip | "none" | undefined;
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
    ...versionsAfter(outcome),
    skip: skipAfter(outcome, position),
  };
}

/**
 * Records that failed at the end of the resolved prefix, and those before it if nothing in it was taken. One that was refused
 * or skipped says nothing of `handle`, and neither counts nor ends the row.
 */
function deadLettersInARow({ begun, resolved, deadLetters, isEmpty = () => false }: BatchOutcome): number {
  const causes = new Map(deadLetters.map(({ index, cause }) => [index, cause]));
  let inARow = 0;
  for (let index = resolved - 1; index >= 0; index -= 1) {
    const cause = causes.get(index);
    if (cause === undefined && !isEmpty(index)) return inARow;
    if (cause === "failed") inARow += 1;
  }
  return begun.split.consecutiveDeadLetters + inARow;
}

/** Who has taken a record of the split, and what a version refused that has taken none yet. */
function versionsAfter(outcome: BatchOutcome): Pick<ResolvedBatch, "takenBy" | "refusals"> {
  const { begun, resolved, version, firstTaken = resolved, deadLetters } = outcome;
  const { takenBy = [], refusals } = begun.split;
  if (takenBy.includes(version)) return { takenBy: undefined, refusals: undefined };
  if (firstTaken < resolved) {
    return {
      takenBy: [...takenBy, version].slice(-VERSIONS_KEPT),
      refusals: refusals === undefined ? undefined : "none",
    };
  }
  const records = deadLetters.filter(({ index, refused }) => refused && index < resolved).length;
  if (records === 0) return { takenBy: undefined, refusals: undefined };
  const before = refusals?.by === version ? refusals.records : 0;
  return { takenBy: undefined, refusals: { by: version, records: before + records } };
}

/** What is left of a wish to pass over records; one that the split has moved on from is forgotten. */
function skipAfter({ begun, resolved, deadLetters }: BatchOutcome, position: Position): ResolvedBatch["skip"] {
  const { skip } = begun.split;
  if (skip === undefined) return undefined;
  const skipped = deadLetters.filter(({ index, cause }) => cause === "skipped" && index < resolved).length;
  const records = skip.records - skipped;
  if (skipped === 0) return position === skip.after ? undefined : "none";
  return records > 0 && skipped === resolved ? { after: position, records } : "none";
}

function holesAfter({ begun, records, resolved, deadLetters }: BatchOutcome): readonly Hole[] | undefined {
  let holes = begun.split.holes;
  for (const { index, folded } of deadLetters) {
    if (index >= resolved) break;
    const record = records[index] as SourceRecord;
    const previous = records[index - 1]?.position ?? begun.split.position;
    holes = appendHole(holes, deadLetterHole(record.position, folded), previous);
  }
  return holes === begun.split.holes ? undefined : holes;
}
