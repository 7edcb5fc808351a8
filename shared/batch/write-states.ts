/**
 * Writes what a batch folded, one conditional write a key, and folds again what another writer was faster with
 * (protocol §4, step 4).
 *
 * Invariants:
 * - A state is written only over the very item it was computed from.
 * - A write whose condition failed may be our own, applied before its answer was lost: the reloaded `v` tells.
 * - All writes are answered before this returns or throws, so that the End may lower `attemptedTo`.
 * - States are checked before any is written: nothing from the record on that made one unfit is written.
 * - A record at which the user's code throws in a second fold ends the batch there: nothing after it is written any more.
 */
import type { Clock, Randomness } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import { forEach } from "../for-each.ts";
import { isForeignState } from "../function/upgrade-image.ts";
import type { Position } from "../source/position.ts";
import { laterOf } from "../source/position.ts";
import type { StateBackend } from "../state/state-backend.ts";
import type { StateItem } from "../state/state-item.ts";
import type { FoldScope, KeyFold } from "./key-fold.ts";
import type { StateCache } from "./state-cache.ts";

/** DynamoDB answers in some milliseconds; more in flight only queue at a split's share of the table. */
export const WRITES_IN_FLIGHT_MAX = 16;

const CONFLICT_PAUSE_MS = 10;
const CONFLICT_PAUSE_MS_MAX = 1_000;

export interface WriteScope extends FoldScope {
  readonly state: StateBackend;
  readonly cache: StateCache | undefined;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** A name for a write: no other write, of any process, has it. */
  readonly newVersion: () => string;
  readonly deadlineMs: number;
}

export interface Failure {
  /** Of its record's first event: a record is folded whole or not at all. */
  readonly index: number;
  /** Of the event itself. */
  readonly at: number;
  readonly thrown: unknown;
  /** Which of the record's events it was, for people; undefined: it has no other. */
  readonly place?: string | undefined;
  /** How often this invocation tried it. @default 1 */
  readonly tries?: number | undefined;
  /** No further try helps. */
  readonly final?: true;
}

/** The failure at event `at`. */
export function failureAt({ batch }: FoldScope, at: number, thrown: unknown): Failure {
  return { index: batch.firstOf(at), at, thrown, place: batch.placeAt(at) };
}

/**
 * The failure of a record that another invocation has given up: what it decided stands, for it may have marked only some of the
 * record's keys, and what is marked is never folded.
 */
export function givenUpBefore(scope: FoldScope, at: number): Failure {
  const why = "It was given up by an invocation that ended before it could note that on its split.";
  return { ...failureAt(scope, at, new TidemarkError("fix-function", why)), final: true };
}

export interface Written {
  /** The first record that the user's code failed at, with what it threw. Everything before it is written. */
  readonly failure: Failure | undefined;
  /** The last event that any write carried: perhaps applied, whatever comes next. */
  readonly triedTo: Position;
  readonly conflicts: number;
  /** What was folded anew in place of a key's first fold, by key: what it came to in the end. */
  readonly foldedAnew: ReadonlyMap<string, KeyFold>;
}

/** A write under way: what its item is, and whether the backend took it. */
interface Attempt {
  readonly item: StateItem;
  readonly written: boolean | Promise<boolean>;
}

export async function writeStates(
  scope: WriteScope,
  allFolds: readonly KeyFold[],
  failed: Failure | undefined,
): Promise<Written> {
  const folds = allFolds.filter(({ last }) => last >= 0);
  const progress = { ...newProgress(), failure: failed };
  const items: (StateItem | undefined)[] = [];
  for (const [index, fold] of folds.entries()) {
    let item = seal(scope, fold);
    if (item === undefined) {
      const stored = await overStored(scope, fold, progress);
      folds[index] = stored;
      progress.foldedAnew.set(stored.key, stored);
      item = seal(scope, stored);
      if (item === undefined) await failWhereRefused(scope, stored, progress, true);
    }
    items.push(item);
  }
  const work: Writing = { scope, folds, items, progress, faults: [] };
  await forEach(unfinished(work), WRITES_IN_FLIGHT_MAX, ([fold, attempt]) =>
    finishKey(scope, fold, attempt, progress).catch((fault) => giveUp(work, fold, fault)),
  );
  if (work.faults.length > 0) throw work.faults[0];
  return progress;
}

/** The fold over the item as it is stored, where it was made over the worker's own copy: that may be out of date. */
async function overStored(scope: WriteScope, fold: KeyFold, progress: Progress): Promise<KeyFold> {
  if (fold.base === undefined || scope.cache?.get(fold.key) !== fold.base) return fold;
  scope.cache.forget(fold.key);
  const place = { function: scope.definition.name, generation: scope.generation };
  return foldAgain(fold, (await scope.state.load(place, [fold.key])).get(fold.key), fold.last, progress);
}

interface Writing {
  readonly scope: WriteScope;
  readonly folds: readonly KeyFold[];
  /** Of each fold. */
  readonly items: readonly (StateItem | undefined)[];
  readonly progress: Progress;
  readonly faults: unknown[];
}

/**
 * Tries each key once, when there is room for it, and names those that are not done by that: on the heap, hardly any.
 *
 * Out here, since V8 gives every closure that is a generator a hidden class, which lives until the next full collection and
 * holds the closure: all batches since would be copied out of the nursery.
 */
function* unfinished(work: Writing): Generator<readonly [KeyFold, Attempt | undefined]> {
  const { scope, items, progress, faults } = work;
  for (const [index, fold] of work.folds.entries()) {
    if (faults.length > 0) return;
    try {
      const attempt = tryWrite(scope, fold, items[index], progress);
      if (attempt?.written !== true) yield [fold, attempt];
      else scope.cache?.put(attempt.item);
    } catch (fault) {
      giveUp(work, fold, fault);
    }
  }
}

function giveUp({ scope, faults }: Writing, fold: KeyFold, fault: unknown): void {
  scope.cache?.forget(fold.key);
  faults.push(fault);
}

export type Progress = { -readonly [name in keyof Written]: Written[name] } & { foldedAnew: Map<string, KeyFold> };

export const newProgress = (): Progress => ({ failure: undefined, triedTo: "", conflicts: 0, foldedAnew: new Map() });

/** Begins to write what was folded; undefined: not all of it is to be written, or can be. */
function tryWrite(
  scope: WriteScope,
  fold: KeyFold,
  item: StateItem | undefined,
  progress: Progress,
): Attempt | undefined {
  if (item === undefined || reachesFailure(fold, progress)) return undefined;
  progress.triedTo = laterOf(progress.triedTo, fold.lastPosition);
  return { item, written: scope.state.write(scope.definition.name, item, fold.base?.v) };
}

/** From the first attempt on until the key is written, or nothing of it is to be written any more. */
async function finishKey(
  scope: WriteScope,
  first: KeyFold,
  begun: Attempt | undefined,
  progress: Progress,
): Promise<void> {
  const place = { function: scope.definition.name, generation: scope.generation };
  let fold = first;
  let attempt = begun;
  let pauseMs = CONFLICT_PAUSE_MS;
  for (;;) {
    if (attempt === undefined) {
      // Another writer is changing it just now: over what that leaves it may be fit again.
      if (!reachesFailure(fold, progress)) await failWhereRefused(scope, fold, progress, false);
      fold = await foldAgain(fold, fold.base, fold.last, progress);
    } else {
      if (await attempt.written) {
        scope.cache?.put(attempt.item);
        return;
      }
      progress.conflicts += 1;
      scope.cache?.forget(fold.key);
      const reloaded = (await scope.state.load(place, [fold.key])).get(fold.key);
      if (reloaded?.v === attempt.item.v) {
        scope.cache?.put(attempt.item);
        return;
      }
      if (scope.clock.now() >= scope.deadlineMs) {
        throw new TidemarkError(
          "retry",
          `Other writers kept changing key ${scope.nameKey(fold.key)} of ${scope.definition.name} until the invocation's time was up; the batch is delivered again.`,
        );
      }
      fold = await foldAgain(first, reloaded, first.last, progress);
      await scope.clock.sleep(scope.randomness.fraction() * pauseMs);
      pauseMs = Math.min(pauseMs * 2, CONFLICT_PAUSE_MS_MAX);
    }
    progress.foldedAnew.set(fold.key, fold);
    if (fold.last < 0) return;
    attempt = tryWrite(scope, fold, seal(scope, fold), progress);
  }
}

/** Whether events were folded that come after the batch's first failure. */
const reachesFailure = ({ last }: KeyFold, { failure }: Progress): boolean =>
  failure !== undefined && last >= failure.index;

/**
 * Folds anew what `earlier` folded, and the key's events after it up to number `last`, but for those from the batch's first
 * failure on; a throw becomes that failure.
 */
export async function foldAgain(
  earlier: KeyFold,
  base: StateItem | undefined,
  last: number,
  progress: Progress,
): Promise<KeyFold> {
  const fold = earlier.over(base);
  for (const index of earlier.events(last)) {
    if (progress.failure !== undefined && index >= progress.failure.index) break;
    if (fold.isGivenUp(index)) {
      fail(progress, givenUpBefore(fold.scope, index));
      break;
    }
    if (fold.isApplied(index)) continue;
    try {
      await fold.fold(index);
    } catch (thrown) {
      if (isForeignState(thrown)) throw thrown;
      fail(progress, failureAt(fold.scope, index, thrown));
      break;
    }
  }
  return fold;
}

/** Keys are written side by side and fail in any order: the first record that failed is what counts. */
function fail(progress: Progress, failure: Failure): void {
  if (progress.failure === undefined || failure.index < progress.failure.index) progress.failure = failure;
}

/**
 * Makes the first record by which a state became one that cannot be stored the batch's failure. States are checked once
 * a key and batch, and before any is written; only here, after each event.
 * @param isStored the fold was made over the item as it is stored: then no further try of the record helps, unless the
 *   before-image of another epoch has a part in it
 */
async function failWhereRefused(
  scope: WriteScope,
  fold: KeyFold,
  progress: Progress,
  isStored: boolean,
): Promise<void> {
  const stepwise = fold.over(fold.base);
  for (const index of fold.events()) {
    try {
      await stepwise.fold(index);
      toStorable(scope, stepwise);
    } catch (thrown) {
      const final = isStored && !fold.isDual ? ({ final: true } as const) : {};
      fail(progress, { ...failureAt(scope, index, thrown), ...final });
      return;
    }
  }
  // Only a handler that is not deterministic comes here: what it returned at first cannot be stored.
  try {
    toStorable(scope, fold);
  } catch (thrown) {
    fail(progress, failureAt(scope, fold.last, thrown));
  }
}

/** The item to write; undefined: its state cannot be stored. */
function seal(scope: WriteScope, fold: KeyFold): StateItem | undefined {
  try {
    return toStorable(scope, fold);
  } catch {
    return undefined;
  }
}

/** @throws TidemarkError `fix-function` */
function toStorable(scope: WriteScope, fold: KeyFold): StateItem {
  const item = fold.toItem(scope.newVersion());
  scope.state.refuseOversized(scope.definition.name, item);
  return item;
}
