/**
 * From records to events: decode, validate, select the key. Nothing here touches a store.
 *
 * Invariants:
 * - Each record ends in exactly one way: an event with its key, a dead letter at once (refused, unreadable, or with a key that
 *   is none), dropped (before the user's `startFrom`), or thrown at by the user's code (which ends the batch there).
 * - A record that its source's `decode` takes apart ends so as a whole: all of its events are there, or none.
 */

import { redrivenLetter } from "../dead-letter/with-redrive.ts";
import type { TidemarkError } from "../errors.ts";
import { checkKey } from "../function/check-key.ts";
import type { EventContext } from "../function/function-definition.ts";
import { validateEvent } from "../function/validate-event.ts";
import { BEGINNING, type Position } from "../source/position.ts";
import type { SourceRecord } from "../source/source.ts";
import type { NoEvent, PassedOver, PrepareScope } from "./prepare-scope.ts";
import { BATCH_EVENTS_MAX, placeOf, type Several, takeApart, unreadable } from "./take-apart.ts";
import { spread, type Try, tryAtOnce } from "./try-at-once.ts";

/**
 * The events of a batch, by index: one for each record, or as many as its source's `decode` makes of it. A record that is no
 * event takes one index as well. Columns rather than an object for each: what is kept until the end of the batch outlives
 * the collector's nursery, and copying it out of there would cost more than the fold.
 */
export class PreparedBatch {
  readonly records: readonly SourceRecord[];
  /** How many indexes there are. The records end with the first that was thrown at, or where a batch has enough events. */
  length = 0;
  /**
   * The index at which the events of a record begin that is given up after some of them may have been folded: their keys are
   * marked, and it is the last record of the batch.
   */
  givenUpFrom = NO_INDEX;
  givenUpAs: PassedOver | undefined;
  /** The last prepared record is the last of the batch. */
  isCutShort = false;
  /** The user's code threw at the last prepared record. */
  thrownAt = false;
  /** The distinct keys, in the order of their first events. */
  readonly keys: string[] = [];
  readonly #scope: PrepareScope;
  readonly #events: unknown[];
  readonly #keyIndexes: Int32Array | number[];
  /** Of each index, which record it is of, and which event of that; undefined: index and record are the same. */
  readonly #parts: { readonly records: number[]; readonly numbers: number[] } | undefined;
  readonly #keyIndexOf = new Map<string, number>();
  readonly #noEvents = new Map<number, NoEvent>();
  /** Indexes of records, not of events. */
  readonly #empty = new Set<number>();

  constructor(scope: PrepareScope, records: readonly SourceRecord[]) {
    this.#scope = scope;
    this.records = records;
    if (scope.decoding.decode === undefined) {
      this.#events = new Array(records.length);
      this.#keyIndexes = new Int32Array(records.length);
    } else {
      this.#events = [];
      this.#keyIndexes = [];
      this.#parts = { records: [], numbers: [] };
    }
  }

  /** How many records are prepared. */
  get recordCount(): number {
    return this.length === 0 ? 0 : this.recordIndexAt(this.length - 1) + 1;
  }

  /** Which of {@link records} index `index` is of. */
  recordIndexAt(index: number): number {
    return this.#parts === undefined ? index : (this.#parts.records[index] as number);
  }

  recordAt(index: number): SourceRecord {
    return this.records[this.recordIndexAt(index)] as SourceRecord;
  }

  /** Which event of its record `index` is, from 0. */
  numberAt(index: number): number {
    return this.#parts === undefined ? 0 : (this.#parts.numbers[index] as number);
  }

  /** The index of the first event of the same record: where a record is folded whole or not at all. */
  firstOf(index: number): number {
    return index - this.numberAt(index);
  }

  /** For people; undefined: its record has no other event. */
  placeAt(index: number): string | undefined {
    const first = this.firstOf(index);
    let end = index + 1;
    while (end < this.length && this.firstOf(end) === first) end += 1;
    return end - first === 1 ? undefined : placeOf(index - first, end - first);
  }

  /** Which of {@link keys} record `index` belongs to; undefined: it is no event. */
  keyIndexAt(index: number): number | undefined {
    const keyIndex = this.#keyIndexes[index];
    return keyIndex === NO_KEY ? undefined : keyIndex;
  }

  /** What record `index` is if it is no event. */
  noEventAt(index: number): NoEvent | undefined {
    return this.#noEvents.get(index);
  }

  /** Whether a record had no event, by its index of {@link records}. */
  isEmpty(recordIndex: number): boolean {
    return this.#empty.has(recordIndex);
  }

  eventAt(index: number): unknown {
    return this.#events[index];
  }

  positionAt(index: number): Position {
    return this.recordAt(index).position;
  }

  /** Made when it is asked for: a handler may keep it, so none is used twice. */
  contextAt(index: number): EventContext {
    const record = this.recordAt(index);
    const origin = redrivenLetter(record);
    const key = this.keys[this.#keyIndexes[index] as number] as string;
    const split = origin?.split ?? this.#scope.split;
    const position = origin?.position ?? record.position;
    const { replay } = this.#scope;
    const { arrivalTimeMs } = record;
    if (this.#parts !== undefined) {
      const arrival = arrivalTimeMs === undefined ? {} : { arrivalTimeMs };
      return { key, split, position, index: this.numberAt(index), ...arrival, replay };
    }
    if (arrivalTimeMs === undefined) return { key, split, position, replay };
    return { key, split, position, arrivalTimeMs, replay };
  }

  /** @throws what `checkKey` throws; nothing was added then */
  addEvent(event: unknown, key: unknown): void {
    // What is no text is none of these keys either, and is refused.
    const keyIndex = this.#keyIndexOf.get(key as string) ?? this.#addKey(key);
    this.#keyIndexes[this.length] = keyIndex;
    this.#events[this.length++] = event;
  }

  /** Checked when it comes first: most events of a batch have a key that came before. */
  #addKey(selected: unknown): number {
    const key = checkKey(this.#scope.definition.name, selected, this.#scope.nameKey);
    const keyIndex = this.keys.push(key) - 1;
    this.#keyIndexOf.set(key, keyIndex);
    return keyIndex;
  }

  /** Undoes the last `addNoEvent`. */
  takeBack(): NoEvent | undefined {
    this.length -= 1;
    const noEvent = this.#noEvents.get(this.length);
    this.#noEvents.delete(this.length);
    this.#parts?.records.pop();
    this.#parts?.numbers.pop();
    this.thrownAt = false;
    return noEvent;
  }

  addNoEvent(noEvent: NoEvent): void {
    if (noEvent.kind === "empty") this.#empty.add(this.recordCount);
    this.#addPart(this.recordCount, 0);
    this.#pushNoEvent(noEvent);
  }

  #pushNoEvent(noEvent: NoEvent): void {
    this.#noEvents.set(this.length, noEvent);
    this.thrownAt = noEvent.kind === "thrown";
    this.#keyIndexes[this.length++] = NO_KEY;
  }

  /** All events of one record; their keys are checked. Those that are folded already take their index and nothing more. */
  addSeveral(record: SourceRecord, { events, keys }: Several, foldedBefore: ReadonlySet<number> | undefined): void {
    const recordIndex = this.recordCount;
    for (let number = 0; number < events.length; number++) {
      this.#addPart(recordIndex, number);
      if (foldedBefore?.has(number)) this.#pushNoEvent({ kind: "dropped", record });
      else this.addEvent(events[number], keys[number]);
    }
  }

  #addPart(recordIndex: number, number: number): void {
    this.#parts?.records.push(recordIndex);
    this.#parts?.numbers.push(number);
  }
}

const NO_KEY = -1;
/** Past every index, and small enough for the engine to compare as it compares those. */
const NO_INDEX = 0x3fff_ffff;

/** The records up to and with the first at which the user's code threw. */
export async function prepare(scope: PrepareScope, records: readonly SourceRecord[]): Promise<PreparedBatch> {
  const batch = new PreparedBatch(scope, records);
  const skip = scope.skip ?? 0;
  for (const record of records) {
    const pending =
      batch.recordCount < skip
        ? passOver(scope, batch, { kind: "skipped", record })
        : prepareRecord(scope, batch, record);
    if (pending instanceof Promise) await pending;
    if (batch.thrownAt && (await isThrownAt(scope, batch, record))) break;
    if (batch.isCutShort || batch.length >= BATCH_EVENTS_MAX) break;
  }
  return batch;
}

/** Makes the further tries that are of use now, and takes back what was said of the record where one of them succeeds. */
async function isThrownAt(scope: PrepareScope, batch: PreparedBatch, record: SourceRecord): Promise<boolean> {
  const { tries } = scope;
  const noEvent = batch.takeBack();
  if (noEvent?.kind !== "thrown") return false;
  const again = async (): Promise<void> => {
    await prepareRecord(scope, batch, record);
    const next = batch.thrownAt ? batch.takeBack() : undefined;
    if (next?.kind === "thrown") throw next.thrown;
  };
  if (tries === undefined) {
    batch.addNoEvent(noEvent);
    return true;
  }
  const left = tries.left(record.position) - 1;
  const tried = await tryAtOnce({ ...tries, left, again, others: otherRecords(scope, batch) }, noEvent.thrown);
  if (tried.outcome === "taken") return false;
  batch.addNoEvent({ ...noEvent, thrown: tried.thrown, tries: 1 + tried.tries });
  return true;
}

/** A record that was an event before, then some of those that follow. */
function* otherRecords(scope: PrepareScope, batch: PreparedBatch): Generator<Try> {
  for (let index = batch.length - 1; index >= 0; index -= 1) {
    if (batch.keyIndexAt(index) === undefined) continue;
    yield () => isEvent(scope, batch.recordAt(index));
    break;
  }
  for (const index of spread(batch.recordCount, batch.records.length)) {
    yield () => isEvent(scope, batch.records[index] as SourceRecord);
  }
}

async function isEvent(scope: PrepareScope, record: SourceRecord): Promise<boolean> {
  const alone = new PreparedBatch(scope, [record]);
  await prepareRecord(scope, alone, record);
  return alone.keys.length > 0;
}

/** Answers with a promise only where the schema does. */
function prepareRecord(scope: PrepareScope, batch: PreparedBatch, record: SourceRecord): void | Promise<void> {
  // Before anything else: a later record of its key may have been folded already.
  if (record.position === scope.givenUp) return passOver(scope, batch, { kind: "given-up", record });
  if (scope.startTimeMs !== undefined && (record.arrivalTimeMs ?? scope.startTimeMs) < scope.startTimeMs) {
    return batch.addNoEvent({ kind: "dropped", record });
  }
  if (scope.passedOver?.has(record.position)) return batch.addNoEvent({ kind: "dropped", record });
  if (scope.decoding.decode !== undefined) return prepareSeveral(scope, batch, record);
  let raw: unknown;
  try {
    raw = scope.events.decode(record, scope.decoding);
  } catch (thrown) {
    return batch.addNoEvent({ kind: "unreadable", record, error: unreadable(scope, record, thrown) });
  }
  try {
    const validation = validateEvent(scope.definition, raw);
    if (!(validation instanceof Promise)) return addValidated(scope, batch, record, validation);
    return validation.then(
      (settled) => addValidated(scope, batch, record, settled),
      (thrown) => batch.addNoEvent({ kind: "thrown", record, thrown, tries: 1 }),
    );
  } catch (thrown) {
    return batch.addNoEvent({ kind: "thrown", record, thrown, tries: 1 });
  }
}

function addValidated(
  scope: PrepareScope,
  batch: PreparedBatch,
  record: SourceRecord,
  validation: Awaited<ReturnType<typeof validateEvent>>,
): void {
  if (!validation.ok) {
    batch.addNoEvent({ kind: "refused", record, error: validation.error });
    return;
  }
  const { event } = validation;
  let key: unknown;
  try {
    key = scope.definition.key(event);
  } catch (thrown) {
    batch.addNoEvent({ kind: "thrown", record, thrown, tries: 1 });
    return;
  }
  try {
    batch.addEvent(event, key);
  } catch (error) {
    batch.addNoEvent({ kind: "unfit", record, error: error as TidemarkError });
  }
}

async function prepareSeveral(scope: PrepareScope, batch: PreparedBatch, record: SourceRecord): Promise<void> {
  const taken = await takeApart(scope, record);
  if ("kind" in taken) batch.addNoEvent(taken);
  else batch.addSeveral(record, taken, scope.foldedBefore?.get(record.position));
}

/** Nothing of a record is looked at that is passed over, unless it may be folded in part: only its keys can tell. */
function passOver(scope: PrepareScope, batch: PreparedBatch, entry: PassedOver): void | Promise<void> {
  const { decoding, partlyTo = BEGINNING } = scope;
  if (decoding.decode === undefined) return batch.addNoEvent(entry);
  // Over the mark of a later record nobody could tell what of this one is folded, should its End not come.
  batch.isCutShort = true;
  return entry.record.position > partlyTo ? batch.addNoEvent(entry) : passOverPartly(scope, batch, entry);
}

async function passOverPartly(scope: PrepareScope, batch: PreparedBatch, entry: PassedOver): Promise<void> {
  const { record } = entry;
  const taken = await takeApart(scope, record);
  // A key has all of its events of a record or none: that of a single one fails whole.
  if ("kind" in taken || new Set(taken.keys).size === 1) return batch.addNoEvent(entry);
  batch.givenUpFrom = batch.length;
  batch.givenUpAs = entry;
  batch.addSeveral(record, taken, scope.foldedBefore?.get(record.position));
}
