/**
 * The folds of a batch, in order, until all is folded, the user's code fails or the time is up (protocol §4, steps 3 and
 * "errors").
 *
 * Invariants:
 * - No state is written here; a dead letter is durable before the next record is looked at.
 * - A throw over a copy from the worker's cache is no failure until it happens over the item as it is stored.
 */
import type { Split } from "../control/split.ts";
import type { SplitPlace } from "../control/split-steps.ts";
import { DEAD_LETTER_FORMAT_VERSION, type DeadLetter, writeDeadLetter } from "../dead-letter/dead-letter.ts";
import { ERROR_BYTES_MAX, TidemarkError } from "../errors.ts";
import { isNewerStateVersion } from "../function/upgrade-image.ts";
import { cutText } from "../json/cut-text.ts";
import type { StateItem } from "../state/state-item.ts";
import type { BatchEngine } from "./batch-engine.ts";
import { KeyFold } from "./key-fold.ts";
import type { NoEvent } from "./prepare.ts";
import { foldAgain, type Progress, type WriteScope, type Written } from "./write-states.ts";

export interface BatchPlace extends SplitPlace {
  readonly epoch: number;
  readonly generation: number;
}

export interface FoldWork {
  readonly engine: BatchEngine;
  readonly place: SplitPlace;
  /** What the log says of each event. */
  readonly where: BatchPlace;
  /** The split as its Begin found it. */
  readonly split: Split;
  readonly scope: WriteScope;
  /** By key; keys without one are new. */
  readonly items: ReadonlyMap<string, StateItem>;
  /** Keys whose item is the worker's own copy. */
  readonly fromCache: ReadonlySet<string>;
}

export interface Folded {
  /** One for each key, in the order of their first events. */
  readonly folds: readonly KeyFold[];
  /** Indexes of records that became dead letters. */
  readonly deadLetters: readonly number[];
  readonly folded: number;
  readonly failure: Written["failure"];
  /** The record before which the time was up. */
  readonly stoppedAt: number | undefined;
}

/** The split has had too many dead letters in a row. */
export class StoppedError extends TidemarkError {
  constructor(message: string) {
    super("fix-function", message);
  }
}

/** A look at the clock is cheap, but not free, beside a fold of some hundred nanoseconds. */
const DEADLINE_CHECK_RECORDS = 64;

export async function foldBatch(work: FoldWork): Promise<Folded> {
  const { engine, scope, split } = work;
  const { batch, clock, deadlineMs } = scope;
  const { maxConsecutiveDeadLetters } = engine.resources.app.deadLetters;
  // Keys are numbered in the order of their first events, so each next fold has the next index.
  const folds: KeyFold[] = [];
  const deadLetters: number[] = [];
  let inARow = split.consecutiveDeadLetters;
  let folded = 0;
  let waited = false;
  const ended = (failure: Written["failure"], stoppedAt?: number): Folded => ({
    folds,
    deadLetters,
    folded,
    failure,
    stoppedAt,
  });
  for (let index = 0; index < batch.length; index++) {
    // At least one record a batch: an invocation that is always late must still get on.
    if (index > 0 && (waited || index % DEADLINE_CHECK_RECORDS === 0) && clock.now() >= deadlineMs) {
      return ended(undefined, index);
    }
    const keyIndex = batch.keyIndexAt(index);
    if (keyIndex !== undefined) {
      let fold = folds[keyIndex];
      if (fold === undefined) {
        fold = new KeyFold(scope, keyIndex, work.items.get(batch.keys[keyIndex] as string));
        folds.push(fold);
      }
      inARow = 0;
      if (fold.isApplied(index)) continue;
      try {
        const pending = fold.fold(index);
        waited = pending !== undefined;
        if (waited) await pending;
      } catch (thrown) {
        if (isNewerStateVersion(thrown)) throw thrown;
        if (!isStaleCopy(work, fold)) return ended({ index, thrown });
        const again = await foldLoaded(work, fold, index);
        folds[keyIndex] = again.fold;
        if (again.failure !== undefined) return ended(again.failure);
      }
      folded += 1;
      continue;
    }
    const noEvent = batch.noEventAt(index) as NoEvent;
    if (noEvent.kind === "thrown") return ended({ index, thrown: noEvent.thrown });
    if (noEvent.kind === "dropped") {
      inARow = 0;
      continue;
    }
    if (inARow >= maxConsecutiveDeadLetters) return ended({ index, thrown: stopped(work, noEvent, inARow) });
    await deadLetter(work, noEvent);
    deadLetters.push(index);
    inARow += 1;
  }
  return ended(undefined);
}

/** A throw over the worker's own copy of a state says nothing: the copy may be out of date. */
const isStaleCopy = ({ engine, fromCache }: FoldWork, { key, base }: KeyFold): boolean =>
  fromCache.has(key) && engine.cache?.get(key) === base;

async function foldLoaded(
  { engine, scope }: FoldWork,
  stale: KeyFold,
  index: number,
): Promise<{ readonly fold: KeyFold; readonly failure: Written["failure"] }> {
  const { key } = stale;
  engine.cache?.forget(key);
  const place = { function: engine.definition.name, generation: scope.generation };
  const loaded = (await engine.resources.state.load(place, [key])).get(key);
  const progress: Progress = { failure: undefined, triedTo: "", conflicts: 0 };
  const fold = await foldAgain(stale, loaded, index, progress);
  return { fold, failure: progress.failure };
}

async function deadLetter({ engine, place, split, where }: FoldWork, entry: NoEvent): Promise<void> {
  const { source, resources } = engine;
  const { record } = entry;
  const refused = entry.kind === "refused";
  const error = cutText(refused ? entry.error.message : (split.failing?.error ?? ""), ERROR_BYTES_MAX);
  const letter: DeadLetter = {
    format: "tidemark-dead-letter",
    formatVersion: DEAD_LETTER_FORMAT_VERSION,
    app: resources.app.name,
    ...place,
    position: record.position,
    generation: split.gen,
    cause: refused ? "refused" : "failed",
    tries: refused ? 1 : (split.failing?.tries ?? 0),
    error,
    at: new Date(resources.clock.now()).toISOString(),
    ...(record.arrivalTimeMs === undefined ? {} : { arrivedAt: new Date(record.arrivalTimeMs).toISOString() }),
    record: source.events.dump(record),
  };
  await writeDeadLetter(resources.storage, letter);
  resources.observe({ type: "dead-letter", ...where, position: record.position, error });
}

function stopped({ engine, place, split, where }: FoldWork, entry: NoEvent, deadLetters: number): StoppedError {
  const { app, observe } = engine.resources;
  const error = entry.kind === "refused" ? entry.error.message : (split.failing?.error ?? "");
  observe({ type: "split-stopped", ...where, position: entry.record.position, deadLetters, error });
  return new StoppedError(
    `Split ${place.split} of ${place.function} stopped at ${entry.record.position}: ${deadLetters} records in a row became dead letters (at most ${app.deadLetters.maxConsecutiveDeadLetters} may), so the function is broken rather than the records. ` +
      `Nothing is lost: the split goes on by itself once a version is deployed that takes this record. Last error: ${error}`,
  );
}
