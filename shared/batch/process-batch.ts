/**
 * One batch of one split: Begin, barrier, fold, write, End (protocol §4).
 *
 * Invariants:
 * - The epoch of the batch is settled before anything is folded, and does not change afterwards.
 * - A batch that redelivers an attempted range is folded in the old epoch: events keep their colour.
 * - End is written only after every write of the batch was answered, and its dead letters are durable.
 * - An error of the infrastructure ends the batch without an End: nothing is counted, all of it is delivered again.
 * - Nothing is written by a process whose built-in objects the user's code changed, but for what was undone.
 */
import { ChangedBuiltInsError } from "../built-ins.ts";
import { type BatchRole, type Begun, begin } from "../control/begin.ts";
import { spillHoles } from "../control/hole-items.ts";
import {
  countTries,
  deathsBeforeHandle,
  type Failing,
  type InsideMark,
  marksOf,
  type Split,
} from "../control/split.ts";
import {
  endBatch,
  enterRecord,
  type InsideStep,
  leaveRecord,
  passBarrier,
  readSplit,
  type SplitPlace,
} from "../control/split-steps.ts";
import { type Redriven, redrivenRecords } from "../dead-letter/redrive.ts";
import { REDRIVE_SPLIT } from "../dead-letter/redrive-letter.ts";
import { describeThrown, ERROR_BYTES_MAX, invariant, TidemarkError } from "../errors.ts";
import { plainKey } from "../function/name-key.ts";
import { stateVersionOf } from "../function/upgrade-image.ts";
import { cutText } from "../json/cut-text.ts";
import { DEFAULT_DECODING } from "../source/decoding.ts";
import { BEGINNING, type Position } from "../source/position.ts";
import type { SourceRecord } from "../source/source.ts";
import type { StateItem } from "../state/state-item.ts";
import { type BatchEngine, codeVersionOf } from "./batch-engine.ts";
import { halvedSize } from "./batch-size.ts";
import { type BatchPlace, deadLetter, type Folded, type FoldWork, foldBatch, StoppedError } from "./fold-batch.ts";
import { againWhereUndone, keepIntact } from "./keep-intact.ts";
import { PreparedBatch, prepare } from "./prepare.ts";
import type { PrepareScope } from "./prepare-scope.ts";
import { resolveBatch } from "./resolve-batch.ts";
import { triesLeft } from "./try-at-once.ts";
import { type Failure, type WriteScope, type Written, writeStates } from "./write-states.ts";

export type { BatchEngine } from "./batch-engine.ts";

export interface BatchRequest {
  readonly split: string;
  /** In order; may overlap with what was delivered before. */
  readonly records: readonly SourceRecord[];
  readonly role: BatchRole;
  /** When to stop folding and End what is done. Ms since 1970. */
  readonly deadlineMs: number;
}

export interface BatchResult {
  /** The first record that is not resolved: to be delivered again. Undefined: all are. */
  readonly failedFrom: SourceRecord | undefined;
  /** What the user's code failed with there. */
  readonly error?: TidemarkError;
  /** The split's position after the batch. */
  readonly position: Position;
  readonly folded: number;
}

/**
 * Processes one batch. After a crash at any point, the batch is simply delivered again. Where a record's tries are used up it
 * begins again behind what is resolved, with that record given up, so that a bad record costs no delivery of its own.
 * Cost: 2 writes of the split item (3 at a barrier), one read (or none) and one write per distinct key.
 * @throws TidemarkError `retry` when the split is being restored, or was taken over by a later batch; any error of the stores.
 */
export async function processBatch(engine: BatchEngine, request: BatchRequest): Promise<BatchResult> {
  const first = request.records[0];
  const last = request.records.at(-1);
  invariant(first !== undefined && last !== undefined, "a batch has at least one record");
  const { clock } = engine.resources;
  const isLate = (): boolean => clock.now() >= request.deadlineMs;
  let folded = 0;
  for (let { records } = request; ; ) {
    const from = records;
    const result = await againWhereUndone(isLate, () =>
      new Batch(engine, { ...request, records: from }).run(from[0] ?? first, last),
    );
    folded += result.folded;
    const { failedFrom, goesOn, ...answer } = result;
    if (failedFrom === undefined) return { ...answer, failedFrom, folded };
    if (!goesOn || isLate()) return { ...answer, failedFrom, folded };
    records = records.slice(records.findIndex(({ position }) => position === failedFrom.position));
  }
}

/** What is known of records that are passed over. */
type PassedOverKnown = Pick<PrepareScope, "givenUp" | "partlyTo">;

interface Run extends BatchResult {
  /**
   * Whoever begins next has something to do at once: the tries of the record that failed are used up, or the batch was cut
   * short behind a record, for the events that it had or because some of its keys were marked.
   */
  readonly goesOn: boolean;
}

class Batch {
  readonly #engine: BatchEngine;
  readonly #request: BatchRequest;
  readonly #place: SplitPlace;
  readonly #startedAtMs: number;
  /** Of the record that stands in the way of the split: who died in the user's code, and how many of them before `handle`. */
  #deaths: readonly InsideMark[] = [];
  #deathsBeforeHandle = 0;

  constructor(engine: BatchEngine, request: BatchRequest) {
    this.#engine = engine;
    this.#request = request;
    this.#place = { function: engine.definition.name, split: request.split };
    this.#startedAtMs = engine.resources.clock.now();
  }

  async run(first: SourceRecord, last: SourceRecord): Promise<Run> {
    const begun = await this.#begin(first, last);
    const epoch = await this.#passBarrier(begun);
    this.#engine.cache?.enter(begun.split.gen);

    const fresh = this.#recordsAfter(begun.split.position);
    const size = halvedSize(fresh.length, begun.split.begun);
    const records = size === fresh.length ? fresh : fresh.slice(0, size);
    const prepared = await this.#prepareGuarded(begun, records);
    const items = await this.#load(begun.split.gen, prepared);
    const scope = this.#scope(begun, epoch, prepared);
    const where = { ...this.#place, epoch, generation: begun.split.gen };
    const work: FoldWork = {
      engine: this.#engine,
      place: this.#place,
      where,
      split: begun.split,
      scope,
      ...items,
    };
    const folded = await this.#fold(begun, work);
    const written = await writeStates(scope, folded.folds, folded.failure);
    const passed = await this.#passGivenUp(work, folded, written);
    const cacheHits = items.fromCache.size;
    return this.#end({ begun, where, records, fresh, prepared, ...passed, cacheHits });
  }

  /**
   * Once every key of a record of several events that is given up is marked, nobody can write any of them: its letter and its
   * hole say for good which of its events are in the state all the same. A mark that does not fit into its item is left out.
   */
  async #passGivenUp(
    work: FoldWork,
    folded: Folded,
    written: Written,
  ): Promise<{ readonly folded: Folded; readonly written: Written }> {
    const { batch } = work.scope;
    const from = batch.givenUpFrom;
    const entry = batch.givenUpAs;
    const givenUp = folded.deadLetters.at(-1);
    if (entry === undefined || givenUp?.index !== batch.recordIndexAt(from)) return { folded, written };
    if (written.failure !== undefined && written.failure.index < from) return { folded, written };
    const numbers: number[] = [];
    for (let index = from; index < batch.length; index++) {
      const fold = folded.folds[batch.keyIndexAt(index) ?? -1];
      if (fold !== undefined && (written.foldedAnew.get(fold.key) ?? fold).holds(index)) {
        numbers.push(batch.numberAt(index));
      }
    }
    await deadLetter(work, entry, givenUp.cause, numbers);
    return {
      folded: { ...folded, deadLetters: [...folded.deadLetters.slice(0, -1), { ...givenUp, folded: numbers }] },
      written: { ...written, failure: undefined },
    };
  }

  /** The schema and the key selector are the user's code as well, and may kill as `handle` may. */
  async #prepareGuarded(begun: Begun, records: readonly SourceRecord[]): Promise<PreparedBatch> {
    const { split } = begun;
    const givenUp = this.#givenUp(split.failing);
    const only = records[0];
    const several = this.#engine.decoding?.decode !== undefined;
    const partlyTo = several ? this.#partlyTo(begun) : BEGINNING;
    const known: PassedOverKnown = { givenUp: givenUp?.position, partlyTo };
    const prepared = () =>
      keepIntact(
        records.length,
        () => this.#prepare(split, records, known),
        (thrown) => this.#preparedTo(split, records, known, thrown),
      );
    const isSafe = only !== undefined && only.position === givenUp?.position && only.position > partlyTo;
    if (!this.#mayKill(begun, records.length) || only === undefined || isSafe) return prepared();
    return this.#inside(begun, { position: only.position, in: several ? "prepare" : true }, prepared, () => false);
  }

  /**
   * How far an earlier batch has come, and may have written some of a record's keys and not others. What kills before
   * `handle` has it never came so far: it is given up without another look at it.
   */
  #partlyTo({ split }: Begun): Position {
    const { app } = this.#engine.resources;
    const looks = app.checkpointing.mode === "exactly-once" && this.#deathsBeforeHandle < app.deadLetters.triesMax;
    return looks ? split.attemptedTo : BEGINNING;
  }

  /** An invocation of this split died, and what it died of may be this one record. */
  #mayKill({ split }: Begun, records: number): boolean {
    return split.begun > 0 && records === 1;
  }

  async #fold(begun: Begun, work: FoldWork): Promise<Folded> {
    const { batch } = work.scope;
    const fold = () =>
      keepIntact(
        batch.recordCount,
        () => foldBatch(work),
        (thrown) => failedAtFirst(thrown),
      );
    const handles = batch.keys.length > 0 && batch.givenUpFrom > 0;
    if (!this.#mayKill(begun, batch.recordCount) || !handles) return fold();
    // A record that was folded must not end as a dead letter because its invocation dies of a store: no try is left.
    const entered = { position: batch.positionAt(0), in: true } as const;
    return this.#inside(begun, entered, fold, ({ failure }) => failure === undefined);
  }

  /** Each record once: a source may deliver one twice in a batch. */
  #recordsAfter(position: Position): readonly SourceRecord[] {
    const { records } = this.#request;
    // Nearly always every record is new, and nothing is copied.
    if (areAllAfter(position, records)) return records;
    let last = position;
    return records.filter((record, index) => {
      const previous = records[index - 1];
      if (previous !== undefined && record.position < previous.position) {
        throw new TidemarkError(
          "fix-configuration",
          `The records of split ${this.#place.split} of ${this.#place.function} are out of order: ${record.position} comes after ${previous.position}. ` +
            "Tidemark needs a source that keeps the order of a split; check the event source mapping.",
        );
      }
      if (record.position <= last) return false;
      last = record.position;
      return true;
    });
  }

  async #begin(first: SourceRecord, last: SourceRecord): Promise<Begun> {
    const { resources, retentionMs } = this.#engine;
    const { app, observe } = resources;
    const description = app.functions.find(({ name }) => name === this.#place.function);
    const answer = await begin(resources.control, {
      place: this.#place,
      first: first.position,
      last: last.position,
      role: this.#request.role,
      nowMs: this.#startedAtMs,
      firstArrivalTimeMs: first.arrivalTimeMs,
      birth: {
        mode: app.checkpointing.mode,
        startTimeMs: description?.startTimeMs,
      },
      retentionMs: this.#place.split === REDRIVE_SPLIT ? undefined : retentionMs,
    });
    if (answer.outcome === "refused") {
      throw new TidemarkError(
        "retry",
        `Split ${this.#place.split} of ${this.#place.function} is ${answer.split.phase} in generation ${answer.split.gen}: ` +
          (answer.split.phase === "REPLAYING"
            ? "a restore is under way. The batch is delivered again and goes on when the restore is done."
            : "its replay is over."),
      );
    }
    if (answer.split.mode !== app.checkpointing.mode) {
      throw new TidemarkError(
        "fix-configuration",
        `Function ${this.#place.function} runs with checkpointing mode ${JSON.stringify(app.checkpointing.mode)}, but its state was written in mode ${JSON.stringify(answer.split.mode)}. ` +
          "The batch writes nothing. Go back to that mode, or take a savepoint and restore it with the new mode.",
      );
    }
    const { epoch, failing, gen: generation } = answer.split;
    if (answer.hole !== undefined) observe({ type: "hole", ...this.#place, epoch, generation, hole: answer.hole });
    if (failing === undefined) return answer;
    this.#deaths = marksOf(failing);
    this.#deathsBeforeHandle = deathsBeforeHandle(failing);
    return { ...answer, split: { ...answer.split, failing: countTries(failing) } };
  }

  /** The batch's epoch: the one that was asked for, if everything tried before is resolved; else the old one. */
  async #passBarrier({ split, attempt, clean }: Begun): Promise<number> {
    const { control, observe } = this.#engine.resources;
    const n = split.pendingEpoch;
    if (n <= split.epoch || !clean) return split.epoch;
    const moved = await passBarrier(control, this.#place, { attempt, generation: split.gen, n });
    if (moved !== undefined) {
      observe({ type: "barrier", ...this.#place, checkpoint: n, position: split.position });
      return n;
    }
    const now = await readSplit(control, this.#place);
    // Our own barrier, its answer lost, or the coordinator's move: either way it stands at this batch's position.
    if (now !== undefined && now !== "unborn" && now.attempt === attempt && now.gen === split.gen && now.epoch >= n) {
      return now.epoch;
    }
    throw this.#takenOver();
  }

  #takenOver(): TidemarkError {
    return new TidemarkError(
      "retry",
      `A later batch or a restore took over split ${this.#place.split} of ${this.#place.function}; this batch ends here and is delivered again.`,
    );
  }

  #givenUp(failing: Failing | undefined): Failing | undefined {
    const { triesMax } = this.#engine.resources.app.deadLetters;
    return failing !== undefined && (failing.final === true || failing.tries >= triesMax) ? failing : undefined;
  }

  async #prepare(split: Split, records: readonly SourceRecord[], known: PassedOverKnown): Promise<PreparedBatch> {
    const redriven: Partial<Redriven> =
      this.#place.split === REDRIVE_SPLIT
        ? await redrivenRecords(this.#engine.resources, this.#place, split, records)
        : {};
    return prepare({ ...this.#prepareScope(split, records, known), ...redriven }, records);
  }

  /** One record, at which the user's code failed before there was a key. */
  #preparedTo(split: Split, records: readonly SourceRecord[], known: PassedOverKnown, thrown: unknown): PreparedBatch {
    const batch = new PreparedBatch(this.#prepareScope(split, records, known), records);
    const record = records[0] as SourceRecord;
    batch.addNoEvent(
      record.position === known.givenUp ? { kind: "given-up", record } : { kind: "thrown", record, thrown, tries: 1 },
    );
    return batch;
  }

  #prepareScope(split: Split, records: readonly SourceRecord[], known: PassedOverKnown): PrepareScope {
    const { app, clock } = this.#engine.resources;
    const { triesMax } = app.deadLetters;
    return {
      definition: this.#engine.definition,
      events: this.#engine.source.events,
      decoding: this.#engine.decoding ?? DEFAULT_DECODING,
      split: this.#place.split,
      replay: this.#request.role.phase === "REPLAYING",
      nameKey: this.#engine.resources.nameKey ?? plainKey,
      startTimeMs: split.startTimeMs,
      ...known,
      skip: wantsSkipped(split, records),
      tries: {
        ...{ clock, deadlineMs: this.#request.deadlineMs },
        left: (position) => triesLeft(split, triesMax, position),
      },
    };
  }

  async #load(
    generation: number,
    { keys }: PreparedBatch,
  ): Promise<{ readonly items: ReadonlyMap<string, StateItem>; readonly fromCache: ReadonlySet<string> }> {
    const { cache, definition, resources } = this.#engine;
    const place = { function: definition.name, generation };
    if (cache === undefined) return { items: await resources.state.load(place, keys), fromCache: NOT_CACHED };
    const items = new Map<string, StateItem>();
    for (const key of keys) {
      const cached = cache.get(key);
      if (cached !== undefined) items.set(key, cached);
    }
    const fromCache = new Set(items.keys());
    const unknown = keys.filter((key) => !items.has(key));
    if (unknown.length > 0) {
      const loaded = await resources.state.load(place, unknown);
      for (const [key, item] of loaded) items.set(key, item);
    }
    return { items, fromCache };
  }

  /**
   * After a death of this split's invocation, the one record of a batch is marked just before the user's code sees it: if
   * the process dies in there, the mark stands and counts as a try. It is taken back before any write, also by an
   * invocation that was overtaken: what fails from there on is the infrastructure.
   */
  async #inside<Answer>(
    { split, attempt }: Begun,
    { position, in: within }: { readonly position: Position; readonly in: InsideStep["in"] },
    userCode: () => Promise<Answer>,
    isHandled: (answer: Answer) => boolean,
  ): Promise<Answer> {
    const { control } = this.#engine.resources;
    const known = split.failing?.position === position;
    const nowMs = this.#startedAtMs;
    const step = { attempt, generation: split.gen, phase: split.phase, position, known, in: within, nowMs };
    let answer: Answer;
    try {
      if ((await enterRecord(control, this.#place, step)) === undefined) throw this.#takenOver();
      answer = await userCode();
    } catch (fault) {
      // Nothing can be written any more: the process ends in here, which counts as a try.
      if (fault instanceof ChangedBuiltInsError && !fault.undone) throw fault;
      // The fault that brought us here is the one to report.
      await leaveRecord(control, this.#place, step, false).catch(() => undefined);
      throw fault;
    }
    if ((await leaveRecord(control, this.#place, step, isHandled(answer))) === undefined) {
      // Somebody took this attempt for dead, or the record. ◆ One that was passed meanwhile must not be written.
      const now = await readSplit(control, this.#place);
      if (now === undefined || now === "unborn" || now.gen !== split.gen || now.position >= position) {
        throw this.#takenOver();
      }
    }
    return answer;
  }

  #scope(begun: Begun, epoch: number, batch: PreparedBatch): WriteScope {
    const { cache, definition, resources } = this.#engine;
    const { split } = begun;
    // One token a batch: random bytes cost as much as the rest of a write to the heap.
    const token = resources.randomness.token();
    let versions = 0;
    return {
      definition,
      stateVersion: stateVersionOf(definition),
      split: this.#place.split,
      generation: split.gen,
      exactlyOnce: resources.app.checkpointing.mode === "exactly-once",
      epoch,
      resolved: split.resolved,
      after: split.position,
      batch,
      state: resources.state,
      cache,
      clock: resources.clock,
      randomness: resources.randomness,
      nameKey: resources.nameKey ?? plainKey,
      newVersion: () => `${token}.${versions++}`,
      deadlineMs: this.#request.deadlineMs,
    };
  }

  async #end(batch: {
    readonly begun: Begun;
    readonly where: BatchPlace;
    readonly records: readonly SourceRecord[];
    readonly fresh: readonly SourceRecord[];
    readonly prepared: PreparedBatch;
    readonly folded: Folded;
    readonly written: Written;
    readonly cacheHits: number;
  }): Promise<Run> {
    const { begun, where, records, fresh, prepared, folded, written } = batch;
    const { split, attempt } = begun;
    const { control, observe, clock } = this.#engine.resources;
    const failure = written.failure;
    const endedAt = failure?.index ?? folded.stoppedAt;
    const resolved = endedAt === undefined ? prepared.recordCount : prepared.recordIndexAt(endedAt);
    const failing = failure === undefined ? undefined : this.#failing(split, records[resolved], failure);
    const end = resolveBatch({
      begun,
      records,
      resolved,
      deadLetters: folded.deadLetters,
      isEmpty: (index) => prepared.isEmpty(index),
      triedTo: written.triedTo,
      failing,
      version: codeVersionOf(this.#engine.resources),
      firstTaken: folded.firstTaken,
    });
    const ended = await endBatch(control, this.#place, {
      attempt,
      generation: split.gen,
      phase: split.phase,
      position: end.position,
      attemptedTo: end.attemptedTo,
      freshAt: end.freshAt,
      consecutiveDeadLetters: end.consecutiveDeadLetters,
      ...(end.holes === undefined ? {} : { holes: await spillHoles(control, this.#place, split, end.holes) }),
      failing: end.failing,
      deaths: this.#givenUpFor(split, records, folded),
      takenBy: end.takenBy,
      refusals: end.refusals,
      skip: end.skip,
    });
    if (ended === undefined) throw this.#takenOver();
    observe({
      type: "batch",
      ...where,
      replay: split.phase === "REPLAYING",
      records: this.#request.records.length,
      folded: folded.folded,
      keys: folded.folds.length,
      cacheHits: batch.cacheHits,
      conflicts: written.conflicts,
      milliseconds: clock.now() - this.#startedAtMs,
    });
    const failedFrom = records[resolved] ?? fresh[records.length];
    const done = { failedFrom, position: end.position, folded: folded.folded };
    if (failing === undefined || failure === undefined) {
      return { ...done, goesOn: folded.stoppedAt === undefined && prepared.recordCount < records.length };
    }
    const isGivenUp = this.#givenUp(failing) !== undefined;
    const { position, tries, error } = failing;
    // Its dead letter says the rest.
    if (!isGivenUp) observe({ type: "record-failed", ...where, position, tries, error });
    return { ...done, goesOn: isGivenUp, error: asFunctionError(failure.thrown) };
  }

  /** The deaths for which this batch gives a record up. */
  #givenUpFor({ failing }: Split, records: readonly SourceRecord[], { deadLetters }: Folded): readonly InsideMark[] {
    const isGivenUp = deadLetters.some(
      ({ index, cause }) => cause === "failed" && records[index]?.position === failing?.position,
    );
    return isGivenUp ? this.#deaths : [];
  }

  /** One more try of the record that failed; a split that stopped counts none, so that a repaired function tries it afresh. */
  #failing(split: Split, record: SourceRecord | undefined, failure: Failure): Failing {
    invariant(record !== undefined, "a failure has a record");
    const { position } = record;
    const { thrown, tries = 1, final, place } = failure;
    const before = split.failing?.position === position ? split.failing : undefined;
    const stopped = thrown instanceof StoppedError;
    const error = describeThrown(thrown);
    return {
      position,
      tries: stopped ? 0 : (before?.tries ?? 0) + tries,
      error: place === undefined ? error : cutText(`${place}: ${error}`, ERROR_BYTES_MAX),
      sinceMs: before?.sinceMs ?? this.#startedAtMs,
      ...(final === true ? { final } : {}),
      ...(stopped ? { stopped } : {}),
    };
  }
}

/** ◆ A wish holds only while the split stands where it stood when somebody asked, and its source still has that record. */
function wantsSkipped({ position, skip }: Split, [first]: readonly SourceRecord[]): number {
  if (skip === undefined || skip.after !== position) return 0;
  return skip.at === undefined || skip.at === first?.position ? skip.records : 0;
}

const failedAtFirst = (thrown: unknown): Folded => ({
  folds: [],
  deadLetters: [],
  folded: 0,
  firstTaken: undefined,
  failure: { index: 0, at: 0, thrown },
  stoppedAt: undefined,
});

const NOT_CACHED: ReadonlySet<string> = new Set();

function asFunctionError(thrown: unknown): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown;
  return new TidemarkError("fix-function", describeThrown(thrown), { cause: thrown });
}

/** Whether every record comes after the one before it, and the first after `position`. */
function areAllAfter(position: Position, records: readonly SourceRecord[]): boolean {
  let last = position;
  for (const record of records) {
    if (record.position <= last) return false;
    last = record.position;
  }
  return true;
}
