/**
 * The folds of a batch, in order, until all is folded, the user's code fails or the time is up (protocol §4, steps 3 and
 * "errors").
 *
 * Invariants:
 * - No state is written here; a dead letter is durable before the next record is looked at.
 * - A throw over a copy from the worker's cache is no failure until it happens over the item as it is stored.
 * - What the schema refuses, or nobody can read, stops no split; but a version of the code that has taken no record of the
 *   split yet may be broken, and stops at too many refusals.
 */
import type { Split } from "../control/split.ts";
import type { SplitPlace } from "../control/split-steps.ts";
import {
  DEAD_LETTER_FORMAT_VERSION,
  type DeadLetter,
  type DeadLetterCause,
  writeDeadLetter,
} from "../dead-letter/dead-letter.ts";
import { ERROR_BYTES_MAX, TidemarkError } from "../errors.ts";
import { UnfitStateError } from "../function/check-state.ts";
import { isForeignState } from "../function/upgrade-image.ts";
import { cutText } from "../json/cut-text.ts";
import type { StateItem } from "../state/state-item.ts";
import { type BatchEngine, codeVersionOf } from "./batch-engine.ts";
import { KeyFold } from "./key-fold.ts";
import type { NoEvent, PassedOver } from "./prepare-scope.ts";
import { spread, type TriedAtOnce, type Try, triesLeft, tryAtOnce } from "./try-at-once.ts";
import { type Failure, failureAt, foldAgain, givenUpBefore, newProgress, type WriteScope } from "./write-states.ts";

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
  /** Records that became dead letters, in order. */
  readonly deadLetters: readonly GivenUp[];
  readonly folded: number;
  /** The first record, of {@link PreparedBatch.records}, that the code took, now or in a batch that died; undefined: none. */
  readonly firstTaken: number | undefined;
  readonly failure: Failure | undefined;
  /** The first event of the record before which the time was up. */
  readonly stoppedAt: number | undefined;
}

/** A record of the batch that became a dead letter. */
export interface GivenUp {
  /** Of {@link PreparedBatch.records}. */
  readonly index: number;
  readonly cause: DeadLetterCause;
  /** The schema refused it: a version of the code that takes none at all is broken. */
  readonly refused: boolean;
  /** Numbers of those of its events that are in the state all the same. @default none */
  readonly folded?: readonly number[];
}

/** The split has had too many dead letters in a row. */
export class StoppedError extends TidemarkError {
  constructor(message: string) {
    super("fix-function", message);
  }
}

/** A look at the clock is cheap, but not free, beside a fold of some hundred nanoseconds. */
const DEADLINE_CHECK_EVENTS = 64;

export async function foldBatch(work: FoldWork): Promise<Folded> {
  const { engine, scope, split } = work;
  const { batch, clock, deadlineMs } = scope;
  const { maxConsecutiveDeadLetters } = engine.resources.app.deadLetters;
  // Keys are numbered in the order of their first events, so each next fold has the next index.
  const folds: KeyFold[] = [];
  const deadLetters: GivenUp[] = [];
  let inARow = split.consecutiveDeadLetters;
  let folded = 0;
  let firstTaken: number | undefined;
  let waited = false;
  let unlooked = 0;
  let refusals = refusalsOf(work);
  const ended = (failure: Failure | undefined, stoppedAt?: number): Folded => ({
    folds,
    deadLetters,
    folded,
    firstTaken,
    failure,
    stoppedAt,
  });
  for (let index = 0; index < batch.length; index++) {
    // At least one record a batch, and that to its end: an invocation that is always late must still get on.
    unlooked += 1;
    if (index > 0 && (waited || unlooked > DEADLINE_CHECK_EVENTS) && batch.numberAt(index) === 0) {
      if (clock.now() >= deadlineMs) return ended(undefined, index);
      waited = false;
      unlooked = 1;
    }
    if (index === batch.givenUpFrom) {
      const entry = batch.givenUpAs as PassedOver;
      const cause = CAUSES[entry.kind];
      if (cause === "failed" && inARow >= maxConsecutiveDeadLetters) {
        return ended(failureAt(scope, index, stopped(work, entry, inARow)));
      }
      deadLetters.push({ index: batch.recordIndexAt(index), cause, refused: false });
    }
    const keyIndex = batch.keyIndexAt(index);
    if (keyIndex !== undefined) {
      let fold = folds[keyIndex];
      if (fold === undefined) {
        fold = new KeyFold(scope, keyIndex, work.items.get(batch.keys[keyIndex] as string));
        folds.push(fold);
      }
      if (fold.isGivenUp(index)) return ended(givenUpBefore(scope, index));
      inARow = 0;
      if (fold.isApplied(index)) {
        firstTaken ??= batch.recordIndexAt(index);
        continue;
      }
      try {
        const pending = fold.fold(index);
        if (pending !== undefined) {
          waited = true;
          await pending;
        }
      } catch (thrown) {
        if (isForeignState(thrown)) throw thrown;
        let failure: Failure | undefined = failureAt(scope, index, thrown);
        if (isStaleCopy(work, fold)) {
          const again = await foldLoaded(work, fold, index);
          fold = again.fold;
          folds[keyIndex] = fold;
          failure = again.failure;
        }
        // Over the stored item an earlier record may fail, which the copy took: that one is tried by the next delivery.
        if (failure?.at === index) failure = await triedAtOnce(work, fold, folds, failure);
        if (failure !== undefined) return ended(failure);
      }
      if (index >= batch.givenUpFrom) continue;
      folded += 1;
      firstTaken ??= batch.recordIndexAt(index);
      continue;
    }
    const noEvent = batch.noEventAt(index) as NoEvent;
    if (noEvent.kind === "thrown") {
      const { thrown, tries, place } = noEvent;
      return ended({ index, at: index, thrown, tries, place });
    }
    if (noEvent.kind === "empty") continue;
    if (noEvent.kind === "dropped") {
      inARow = 0;
      continue;
    }
    const refused = noEvent.kind === "refused";
    if (refused && firstTaken === undefined && refusals >= maxConsecutiveDeadLetters) {
      return ended(failureAt(scope, index, stopped(work, noEvent, refusals)));
    }
    const cause = CAUSES[noEvent.kind];
    if (cause === "failed" && inARow >= maxConsecutiveDeadLetters) {
      return ended(failureAt(scope, index, stopped(work, noEvent, inARow)));
    }
    await deadLetter(work, noEvent, cause);
    deadLetters.push({ index: batch.recordIndexAt(index), cause, refused });
    if (cause === "failed") inARow += 1;
    if (refused) refusals += 1;
  }
  return ended(undefined);
}

const CAUSES: Record<Exclude<NoEvent["kind"], "thrown" | "dropped" | "empty">, DeadLetterCause> = {
  refused: "refused",
  unreadable: "refused",
  unfit: "failed",
  "given-up": "failed",
  skipped: "skipped",
};

/** What this version of the code has refused without taking any; none that counts where it has taken one. */
export function refusalsOf({ engine, split }: Pick<FoldWork, "engine" | "split">): number {
  const version = codeVersionOf(engine.resources);
  if (split.takenBy?.includes(version) === true) return Number.NEGATIVE_INFINITY;
  return split.refusals?.by === version ? split.refusals.records : 0;
}

/**
 * The failure of a record once all tries are made that are of use now, or undefined: it was taken after all. A state that
 * cannot be kept would be the same at every try, unless the before-image of another epoch has a part in it.
 */
async function triedAtOnce(
  work: FoldWork,
  fold: KeyFold,
  folds: readonly KeyFold[],
  failure: Failure,
): Promise<Failure | undefined> {
  const { at: index, thrown } = failure;
  if (thrown instanceof UnfitStateError) return fold.isDual ? failure : { ...failure, final: true };
  const { clock, deadlineMs, batch } = work.scope;
  const { triesMax } = work.engine.resources.app.deadLetters;
  const tried: TriedAtOnce = await tryAtOnce(
    {
      ...{ clock, deadlineMs, left: triesLeft(work.split, triesMax, batch.positionAt(index)) - 1 },
      again: () => fold.fold(index),
      others: otherFolds(work, folds, index),
    },
    thrown,
  );
  if (tried.outcome === "taken") return undefined;
  if (isForeignState(tried.thrown)) throw tried.thrown;
  return { ...failure, thrown: tried.thrown, tries: 1 + tried.tries };
}

/** A fold that was made before, once more from its beginning; then some of the events that follow. */
function* otherFolds({ scope, items }: FoldWork, folds: readonly KeyFold[], failedAt: number): Generator<Try> {
  const { batch } = scope;
  const made = folds.find(({ first }) => first >= 0);
  if (made !== undefined) yield () => made.over(made.base).fold(made.first);
  for (const index of spread(failedAt, batch.length)) {
    const keyIndex = batch.keyIndexAt(index);
    if (keyIndex === undefined || index >= batch.givenUpFrom) continue;
    yield () => new KeyFold(scope, keyIndex, items.get(batch.keys[keyIndex] as string)).fold(index);
  }
}

/** A throw over the worker's own copy of a state says nothing: the copy may be out of date. */
const isStaleCopy = ({ engine, fromCache }: FoldWork, { key, base }: KeyFold): boolean =>
  fromCache.has(key) && engine.cache?.get(key) === base;

async function foldLoaded(
  { engine, scope }: FoldWork,
  stale: KeyFold,
  index: number,
): Promise<{ readonly fold: KeyFold; readonly failure: Failure | undefined }> {
  const { key } = stale;
  engine.cache?.forget(key);
  const place = { function: engine.definition.name, generation: scope.generation };
  const loaded = (await engine.resources.state.load(place, [key])).get(key);
  const progress = newProgress();
  const fold = await foldAgain(stale, loaded, index, progress);
  return { fold, failure: progress.failure };
}

/** What is known of a record that is given up. */
function reasonOf({ failing }: Split, entry: NoEvent): { readonly tries: number; readonly error: string } {
  if ("error" in entry) return { tries: 1, error: cutText(entry.error.message, ERROR_BYTES_MAX) };
  const known = failing?.position === entry.record.position ? failing : undefined;
  if (entry.kind !== "skipped") return { tries: known?.tries ?? 0, error: known?.error ?? "" };
  const error =
    known === undefined ? "It was passed over on request." : `It was passed over on request: ${known.error}`;
  return { tries: known?.tries ?? 0, error: cutText(error, ERROR_BYTES_MAX) };
}

/** @param folded - numbers of the record's events that are in the state all the same @default none */
export async function deadLetter(
  { engine, place, split, where }: FoldWork,
  entry: NoEvent,
  cause: DeadLetterCause,
  folded: readonly number[] = [],
): Promise<void> {
  const { source, resources } = engine;
  const { record } = entry;
  const { tries, error } = reasonOf(split, entry);
  const letter: DeadLetter = {
    format: "tidemark-dead-letter",
    formatVersion: DEAD_LETTER_FORMAT_VERSION,
    app: resources.app.name,
    ...place,
    position: record.position,
    generation: split.gen,
    cause,
    tries,
    error,
    at: new Date(resources.clock.now()).toISOString(),
    ...(record.arrivalTimeMs === undefined ? {} : { arrivedAt: new Date(record.arrivalTimeMs).toISOString() }),
    record: source.events.dump(record),
    ...(folded.length === 0 ? {} : { folded }),
  };
  const isNew = await writeDeadLetter(resources.storage, letter);
  // Whoever gives it up again, after a crash or a restore, has nothing new to say.
  if (isNew) resources.observe({ type: "dead-letter", ...where, position: record.position, cause, error });
}

function stopped({ engine, place, split, where }: FoldWork, entry: NoEvent, deadLetters: number): StoppedError {
  const { app, observe } = engine.resources;
  const { error } = reasonOf(split, entry);
  const { position } = entry.record;
  observe({ type: "split-stopped", ...where, position, deadLetters, error });
  const { maxConsecutiveDeadLetters } = app.deadLetters;
  const why =
    entry.kind === "refused"
      ? `the schema of this version of the code refused ${deadLetters} records and took none (at most ${maxConsecutiveDeadLetters} may be), so the schema is broken rather than the records.`
      : `${deadLetters} records in a row became dead letters (at most ${maxConsecutiveDeadLetters} may), so the function is broken rather than the records.`;
  return new StoppedError(
    `Split ${place.split} of ${place.function} stopped at ${position}: ${why} ` +
      `Nothing is lost: the split goes on by itself once a version is deployed that takes this record. To pass over it instead: tidemark dead-letters skip ${place.function} --split ${place.split}, or {"skip":${JSON.stringify(place.function)}} at a deployed app's coordinator. Last error: ${error}`,
  );
}
