/**
 * One batch of one split: Begin, barrier, fold, write, End (protocol §4).
 *
 * Invariants:
 * - The epoch of the batch is settled before anything is folded, and does not change afterwards.
 * - A batch that redelivers an attempted range is folded in the old epoch: events keep their colour.
 * - End is written only after every write of the batch was answered, and its dead letters are durable.
 * - An error of the infrastructure ends the batch without an End: nothing is counted, all of it is delivered again.
 */
import type { AppResources } from "../app/app-resources.ts";
import { type BatchRole, type Begun, begin } from "../control/begin.ts";
import { spillHoles } from "../control/hole-items.ts";
import type { Failing, Split } from "../control/split.ts";
import { endBatch, enterRecord, passBarrier, readSplit, type SplitPlace } from "../control/split-steps.ts";
import { DEAD_LETTER_FORMAT_VERSION, type DeadLetter, writeDeadLetter } from "../dead-letter/dead-letter.ts";
import { passedOver } from "../dead-letter/redrive.ts";
import { REDRIVE_SPLIT } from "../dead-letter/redrive-letter.ts";
import { describeThrown, invariant, TidemarkError } from "../errors.ts";
import type { FunctionDefinition } from "../function/define-function.ts";
import { isNewerStateVersion, stateVersionOf } from "../function/upgrade-image.ts";
import type { Position } from "../source/position.ts";
import type { Source, SourceRecord } from "../source/source.ts";
import type { StateItem } from "../state/state-item.ts";
import { halvedSize } from "./batch-size.ts";
import { type FoldableEvent, KeyFold } from "./key-fold.ts";
import { type Prepared, prepare } from "./prepare.ts";
import { resolveBatch } from "./resolve-batch.ts";
import type { StateCache } from "./state-cache.ts";
import { foldAgain, type Progress, type WriteScope, type Written, writeStates } from "./write-states.ts";

/** What batches of one function run on. */
export interface BatchEngine {
  readonly resources: AppResources;
  // biome-ignore lint/suspicious/noExplicitAny: the runtime folds functions of any event and state
  readonly definition: FunctionDefinition<any, any>;
  readonly source: Source;
  /** How long the source keeps a record, in ms; absent: for ever. */
  readonly retentionMs?: number;
  /** Absent: every key is loaded for every batch (the heap backend is memory already). */
  readonly cache?: StateCache;
}

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
 * Processes one batch. After a crash at any point, the batch is simply delivered again.
 * Cost: 2 writes of the split item (3 at a barrier), one read (or none) and one write per distinct key.
 * @throws TidemarkError `retry` when the split is being restored, or was taken over by a later batch; any error of the stores.
 */
export async function processBatch(engine: BatchEngine, request: BatchRequest): Promise<BatchResult> {
  const first = request.records[0];
  const last = request.records.at(-1);
  invariant(first !== undefined && last !== undefined, "a batch has at least one record");
  return new Batch(engine, request).run(first, last);
}

class Batch {
  private readonly engine: BatchEngine;
  private readonly request: BatchRequest;
  private readonly place: SplitPlace;
  private readonly startedAtMs: number;

  constructor(engine: BatchEngine, request: BatchRequest) {
    this.engine = engine;
    this.request = request;
    this.place = { function: engine.definition.name, split: request.split };
    this.startedAtMs = engine.resources.clock.now();
  }

  async run(first: SourceRecord, last: SourceRecord): Promise<BatchResult> {
    const begun = await this.begin(first, last);
    const epoch = await this.passBarrier(begun);
    this.engine.cache?.enter(begun.split.gen);

    const fresh = this.recordsAfter(begun.split.position);
    const records = fresh.slice(0, halvedSize(fresh.length, begun.split.begun));
    const givenUp = this.givenUp(begun.split);
    const prepared = await this.prepare(begun.split, records, givenUp);
    const items = await this.load(begun.split.gen, prepared);
    const folded = await this.foldEntered({ begun, epoch, prepared, items: items.found, fromCache: items.fromCache });
    const written = await writeStates(this.writeScope(begun, epoch, prepared), folded.folds.values(), folded.failure);
    const cacheHits = items.fromCache.size;
    return this.end({ begun, epoch, records, fresh, prepared, folded, written, cacheHits });
  }

  private async foldEntered(batch: Parameters<Batch["fold"]>[0]): Promise<Folded> {
    const { begun } = batch;
    const entered = await this.enter(begun, batch.prepared);
    if (entered === undefined) return this.fold(batch);
    let folded: Folded;
    try {
      folded = await this.fold(batch);
    } catch (fault) {
      // The fault that brought us here is the one to report.
      await this.leave(begun, entered).catch(() => undefined);
      throw fault;
    }
    // Before any write: a record that was folded must not end as a dead letter because its invocation died of a store.
    if (folded.failure === undefined) await this.leave(begun, entered);
    return folded;
  }

  /** Each record once: a source may deliver one twice in a batch. */
  private recordsAfter(position: Position): SourceRecord[] {
    let last = position;
    return this.request.records.filter((record, index) => {
      const previous = this.request.records[index - 1];
      if (previous !== undefined && record.position < previous.position) {
        throw new TidemarkError(
          "fix-configuration",
          `The records of split ${this.place.split} of ${this.place.function} are out of order: ${record.position} comes after ${previous.position}. ` +
            "Tidemark needs a source that keeps the order of a split; check the event source mapping.",
        );
      }
      if (record.position <= last) return false;
      last = record.position;
      return true;
    });
  }

  private async begin(first: SourceRecord, last: SourceRecord): Promise<Begun> {
    const { resources, retentionMs } = this.engine;
    const { app, observe } = resources;
    const description = app.functions.find(({ name }) => name === this.place.function);
    const answer = await begin(resources.control, {
      place: this.place,
      first: first.position,
      last: last.position,
      role: this.request.role,
      birth: {
        mode: app.checkpointing.mode,
        nowMs: this.startedAtMs,
        ...(description?.startTimeMs === undefined ? {} : { startTimeMs: description.startTimeMs }),
      },
      ...(retentionMs === undefined || this.place.split === REDRIVE_SPLIT ? {} : { retentionMs }),
    });
    if (answer.outcome === "refused") {
      throw new TidemarkError(
        "retry",
        `Split ${this.place.split} of ${this.place.function} is ${answer.split.phase} in generation ${answer.split.gen}: ` +
          (answer.split.phase === "REPLAYING"
            ? "a restore is under way. The batch is delivered again and goes on when the restore is done."
            : "its replay is over."),
      );
    }
    if (answer.split.mode !== app.checkpointing.mode) {
      throw new TidemarkError(
        "fix-configuration",
        `Function ${this.place.function} runs with checkpointing mode ${JSON.stringify(app.checkpointing.mode)}, but its state was written in mode ${JSON.stringify(answer.split.mode)}. ` +
          "The batch writes nothing. Go back to that mode, or take a savepoint and restore it with the new mode.",
      );
    }
    if (answer.hole !== undefined) observe({ type: "hole", ...this.place, hole: answer.hole });
    return answer;
  }

  /** The batch's epoch: the one that was asked for, if everything tried before is resolved; else the old one. */
  private async passBarrier({ split, attempt, clean }: Begun): Promise<number> {
    const { control, observe } = this.engine.resources;
    const n = split.pendingEpoch;
    if (n <= split.epoch || !clean) return split.epoch;
    const moved = await passBarrier(control, this.place, { attempt, generation: split.gen, n });
    if (moved !== undefined) {
      observe({ type: "barrier", ...this.place, checkpoint: n, position: split.position });
      return n;
    }
    const now = await readSplit(control, this.place);
    // Our own barrier, its answer lost, or the coordinator's move: either way it stands at this batch's position.
    if (now !== undefined && now !== "unborn" && now.attempt === attempt && now.gen === split.gen && now.epoch >= n) {
      return now.epoch;
    }
    throw this.takenOver();
  }

  private takenOver(): TidemarkError {
    return new TidemarkError(
      "retry",
      `A later batch or a restore took over split ${this.place.split} of ${this.place.function}; this batch ends here and is delivered again.`,
    );
  }

  private givenUp({ failing }: Split): Failing | undefined {
    const { triesMax } = this.engine.resources.app.deadLetters;
    return failing !== undefined && failing.tries >= triesMax ? failing : undefined;
  }

  private async prepare(
    split: Split,
    records: readonly SourceRecord[],
    givenUp: Failing | undefined,
  ): Promise<Prepared[]> {
    const redriven = this.place.split === REDRIVE_SPLIT;
    return prepare(
      {
        definition: this.engine.definition,
        events: this.engine.source.events,
        split: this.place.split,
        replay: this.request.role.phase === "REPLAYING",
        ...(redriven ? { passedOver: await passedOver(this.engine.resources, this.place.function, records) } : {}),
        ...(split.startTimeMs === undefined ? {} : { startTimeMs: split.startTimeMs }),
        ...(givenUp === undefined ? {} : { givenUp: givenUp.position }),
      },
      records,
    );
  }

  private async load(
    generation: number,
    prepared: readonly Prepared[],
  ): Promise<{ readonly found: Map<string, StateItem>; readonly fromCache: ReadonlySet<string> }> {
    const { cache, definition, resources } = this.engine;
    const found = new Map<string, StateItem>();
    const unknown = new Set<string>();
    for (const entry of prepared) {
      if (entry.kind !== "event" || found.has(entry.context.key)) continue;
      const cached = cache?.get(entry.context.key);
      if (cached === undefined) unknown.add(entry.context.key);
      else found.set(entry.context.key, cached);
    }
    const fromCache = new Set(found.keys());
    if (unknown.size > 0) {
      const loaded = await resources.state.load({ function: definition.name, generation }, [...unknown]);
      for (const [key, item] of loaded) found.set(key, item);
    }
    return { found, fromCache };
  }

  /**
   * After a death of this split's invocation, the one record of a batch is marked just before its `handle` runs: if the
   * process dies in it, the mark stands and counts as a try.
   */
  private async enter({ split, attempt }: Begun, prepared: readonly Prepared[]): Promise<Failing | undefined> {
    const only = prepared[0];
    if (split.begun === 0 || prepared.length !== 1 || only?.kind !== "event") return undefined;
    const { position } = only.record;
    const before: Failing =
      split.failing?.position === position
        ? { position, tries: split.failing.tries, error: split.failing.error }
        : { position, tries: 0, error: "" };
    const entered = await enterRecord(this.engine.resources.control, this.place, {
      attempt,
      generation: split.gen,
      phase: split.phase,
      failing: {
        position,
        tries: before.tries + 1,
        entered: true,
        error: "The process died while it handled this record.",
      },
    });
    if (entered === undefined) throw this.takenOver();
    return before;
  }

  /** `handle` did not kill the process, so the mark is taken back: what fails from here on is the infrastructure. */
  private async leave({ split, attempt }: Begun, before: Failing): Promise<void> {
    const left = await enterRecord(this.engine.resources.control, this.place, {
      attempt,
      generation: split.gen,
      phase: split.phase,
      failing: before,
    });
    if (left === undefined) throw this.takenOver();
  }

  private async fold(batch: {
    readonly begun: Begun;
    readonly epoch: number;
    readonly prepared: readonly Prepared[];
    readonly items: ReadonlyMap<string, StateItem>;
    readonly fromCache: ReadonlySet<string>;
  }): Promise<Folded> {
    const { clock, app } = this.engine.resources;
    const scope = this.foldScope(batch.begun, batch.epoch);
    const folds = new Map<string, KeyFold>();
    const deadLetters: number[] = [];
    let inARow = batch.begun.split.consecutiveDeadLetters;
    let folded = 0;
    let waited = false;
    for (const [index, entry] of batch.prepared.entries()) {
      // At least one record a batch: an invocation that is always late must still get on.
      if (index > 0 && (waited || index % DEADLINE_CHECK_RECORDS === 0) && clock.now() >= this.request.deadlineMs) {
        return { folds, deadLetters, folded, failure: undefined, stoppedAt: index };
      }
      switch (entry.kind) {
        case "event": {
          let fold = folds.get(entry.context.key);
          if (fold === undefined) {
            fold = new KeyFold(scope, entry.context.key, batch.items.get(entry.context.key));
            folds.set(entry.context.key, fold);
          }
          inARow = 0;
          if (fold.isApplied(entry.record.position)) break;
          try {
            const pending = fold.fold(entry, index);
            waited = pending !== undefined;
            if (waited) await pending;
          } catch (thrown) {
            if (isNewerStateVersion(thrown)) throw thrown;
            let failure: Written["failure"] = { index, thrown };
            if (batch.fromCache.has(fold.key) && this.engine.cache?.get(fold.key) === fold.base) {
              const again = await this.foldLoaded(batch, fold, index);
              folds.set(fold.key, again.fold);
              failure = again.failure;
            }
            if (failure !== undefined) return { folds, deadLetters, folded, failure, stoppedAt: undefined };
          }
          folded += 1;
          break;
        }
        case "refused":
        case "given-up": {
          if (inARow >= app.deadLetters.maxConsecutiveDeadLetters) {
            const thrown = this.stopped(batch.begun.split, entry, inARow);
            return { folds, deadLetters, folded, failure: { index, thrown }, stoppedAt: undefined };
          }
          await this.deadLetter(batch.begun.split, entry);
          deadLetters.push(index);
          inARow += 1;
          break;
        }
        case "dropped":
          inARow = 0;
          break;
        case "thrown":
          return { folds, deadLetters, folded, failure: { index, thrown: entry.thrown }, stoppedAt: undefined };
      }
    }
    return { folds, deadLetters, folded, failure: undefined, stoppedAt: undefined };
  }

  /** A throw over the worker's own copy of a state says nothing: the copy may be out of date. */
  private async foldLoaded(
    { begun, epoch, prepared }: Parameters<Batch["fold"]>[0],
    { key, folded }: KeyFold,
    index: number,
  ): Promise<{ readonly fold: KeyFold; readonly failure: Written["failure"] }> {
    const { cache, definition, resources } = this.engine;
    cache?.forget(key);
    const scope = { function: definition.name, generation: begun.split.gen };
    const loaded = (await resources.state.load(scope, [key])).get(key);
    const progress: Progress = { failure: undefined, triedTo: "", conflicts: 0 };
    const fold = await foldAgain(this.writeScope(begun, epoch, prepared), key, loaded, [...folded, index], progress);
    return { fold, failure: progress.failure };
  }

  private foldScope({ split }: Begun, epoch: number): ConstructorParameters<typeof KeyFold>[0] {
    const { definition, resources } = this.engine;
    return {
      definition,
      stateVersion: stateVersionOf(definition),
      split: this.place.split,
      generation: split.gen,
      exactlyOnce: resources.app.checkpointing.mode === "exactly-once",
      epoch,
      resolved: split.resolved,
    };
  }

  private writeScope(begun: Begun, epoch: number, prepared: readonly Prepared[]): WriteScope {
    const { cache, resources } = this.engine;
    return {
      ...this.foldScope(begun, epoch),
      state: resources.state,
      cache,
      clock: resources.clock,
      randomness: resources.randomness,
      deadlineMs: this.request.deadlineMs,
      eventAt: (index): FoldableEvent => {
        const entry = prepared[index];
        invariant(entry?.kind === "event", "only events are folded");
        return entry;
      },
    };
  }

  private async deadLetter(split: Split, entry: Prepared): Promise<void> {
    const { source, resources } = this.engine;
    const { record } = entry;
    const refused = entry.kind === "refused";
    const error = refused ? entry.error.message : (split.failing?.error ?? "");
    const letter: DeadLetter = {
      format: "tidemark-dead-letter",
      formatVersion: DEAD_LETTER_FORMAT_VERSION,
      app: resources.app.name,
      ...this.place,
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
    resources.observe({ type: "dead-letter", ...this.place, position: record.position, error });
  }

  private stopped(split: Split, entry: Prepared, deadLetters: number): StoppedError {
    const error = entry.kind === "refused" ? entry.error.message : (split.failing?.error ?? "");
    this.engine.resources.observe({
      type: "split-stopped",
      ...this.place,
      position: entry.record.position,
      deadLetters,
      error,
    });
    return new StoppedError(
      `Split ${this.place.split} of ${this.place.function} stopped at ${entry.record.position}: ${deadLetters} records in a row became dead letters (at most ${this.engine.resources.app.deadLetters.maxConsecutiveDeadLetters} may), so the function is broken rather than the records. ` +
        `Nothing is lost: the split goes on by itself once a version is deployed that takes this record. Last error: ${error}`,
    );
  }

  private async end(batch: {
    readonly begun: Begun;
    readonly epoch: number;
    readonly records: readonly SourceRecord[];
    readonly fresh: readonly SourceRecord[];
    readonly prepared: readonly Prepared[];
    readonly folded: Folded;
    readonly written: Written;
    readonly cacheHits: number;
  }): Promise<BatchResult> {
    const { begun, records, fresh, folded, written } = batch;
    const { split, attempt } = begun;
    const { control, observe, clock } = this.engine.resources;
    const failure = written.failure;
    const resolved = failure?.index ?? folded.stoppedAt ?? batch.prepared.length;
    const failing = failure === undefined ? undefined : this.failing(split, records[failure.index], failure.thrown);
    const end = resolveBatch({
      begun,
      records,
      resolved,
      deadLetters: folded.deadLetters,
      triedTo: written.triedTo,
      ...(failing === undefined ? {} : { failing }),
    });
    const ended = await endBatch(control, this.place, {
      attempt,
      generation: split.gen,
      phase: split.phase,
      position: end.position,
      attemptedTo: end.attemptedTo,
      freshAt: end.freshAt,
      consecutiveDeadLetters: end.consecutiveDeadLetters,
      ...(end.holes === undefined ? {} : { holes: await spillHoles(control, this.place, split, end.holes) }),
      ...(end.failing === undefined ? {} : { failing: end.failing }),
    });
    if (ended === undefined) throw this.takenOver();
    observe({
      type: "batch",
      ...this.place,
      epoch: batch.epoch,
      generation: split.gen,
      replay: split.phase === "REPLAYING",
      records: this.request.records.length,
      folded: folded.folded,
      keys: folded.folds.size,
      cacheHits: batch.cacheHits,
      conflicts: written.conflicts,
      milliseconds: clock.now() - this.startedAtMs,
    });
    const failedFrom = records[resolved] ?? fresh[records.length];
    if (failing === undefined || failure === undefined)
      return { failedFrom, position: end.position, folded: folded.folded };
    observe({
      type: "record-failed",
      ...this.place,
      position: failing.position,
      tries: failing.tries,
      error: failing.error,
    });
    return { failedFrom, error: asFunctionError(failure.thrown), position: end.position, folded: folded.folded };
  }

  /** One more try of the record that failed; a split that stopped counts none, so that a repaired function tries it afresh. */
  private failing(split: Split, record: SourceRecord | undefined, thrown: unknown): Failing {
    invariant(record !== undefined, "a failure has a record");
    const { position } = record;
    const before = split.failing?.position === position ? split.failing.tries : 0;
    return { position, tries: thrown instanceof StoppedError ? 0 : before + 1, error: describeThrown(thrown) };
  }
}

/** The split has had too many dead letters in a row. */
class StoppedError extends TidemarkError {
  constructor(message: string) {
    super("fix-function", message);
  }
}

function asFunctionError(thrown: unknown): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown;
  return new TidemarkError("fix-function", describeThrown(thrown), { cause: thrown });
}

/** A look at the clock is cheap, but not free, beside a fold of some hundred nanoseconds. */
const DEADLINE_CHECK_RECORDS = 64;

interface Folded {
  readonly folds: Map<string, KeyFold>;
  /** Indexes of records that became dead letters. */
  readonly deadLetters: readonly number[];
  readonly folded: number;
  readonly failure: Written["failure"];
  /** The record before which the time was up. */
  readonly stoppedAt: number | undefined;
}
