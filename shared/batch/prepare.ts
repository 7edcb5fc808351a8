/**
 * From records to events: decode, validate, select the key. Nothing here touches a store.
 *
 * Invariant: each record ends in exactly one way: an event with its key, a dead letter at once (refused, unreadable, or with
 * a key that is none), dropped (before the user's `startFrom`), or thrown at by the user's code (which ends the batch there).
 */

import { types } from "node:util";
import { redrivenLetter } from "../dead-letter/with-redrive.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import { checkKey } from "../function/check-key.ts";
import type { EventContext, FunctionDefinition } from "../function/define-function.ts";
import { type KeyNamer, plainKey } from "../function/name-key.ts";
import { validateEvent } from "../function/validate-event.ts";
import type { Decoding } from "../source/decoding.ts";
import type { Position } from "../source/position.ts";
import type { SourceEvents, SourceRecord } from "../source/source.ts";
import { spread, type TriesAtOnce, type Try, tryAtOnce } from "./try-at-once.ts";

/** How a record ended that is not to be folded. */
export type NoEvent =
  /** By the schema. */
  | { readonly kind: "refused"; readonly record: SourceRecord; readonly error: TidemarkError }
  /** It cannot be decoded, whatever the code is. */
  | { readonly kind: "unreadable"; readonly record: SourceRecord; readonly error: TidemarkError }
  /** The user's code took it, and gave it a key that is none: for good, since no state has a part in that. */
  | { readonly kind: "unfit"; readonly record: SourceRecord; readonly error: TidemarkError }
  /** Somebody asked for it to be passed over; nothing of it is looked at. */
  | { readonly kind: "skipped"; readonly record: SourceRecord }
  /** Given up before; passed over before anything of it is looked at. */
  | { readonly kind: "given-up"; readonly record: SourceRecord }
  | { readonly kind: "dropped"; readonly record: SourceRecord }
  | { readonly kind: "thrown"; readonly record: SourceRecord; readonly thrown: unknown; readonly tries: number };

export interface PrepareScope {
  // biome-ignore lint/suspicious/noExplicitAny: the runtime folds functions of any event and state
  readonly definition: FunctionDefinition<any, any>;
  readonly events: SourceEvents;
  readonly decoding: Decoding;
  readonly split: string;
  readonly replay: boolean;
  readonly nameKey: KeyNamer;
  readonly startTimeMs?: number | undefined;
  /** Redriven records that do not count. */
  readonly passedOver?: ReadonlySet<Position>;
  /** The record whose tries are used up. */
  readonly givenUp?: string | undefined;
  /** How often the user's code may be asked for a record that it throws at. @default once */
  readonly tries?: { readonly left: (position: Position) => number } & Pick<TriesAtOnce, "clock" | "deadlineMs">;
  /** So many records from the first one on are to be passed over. @default none */
  readonly skip?: number | undefined;
}

/**
 * The prepared records of a batch, by index. Columns rather than an object for each: what is kept until the end of the
 * batch outlives the collector's nursery, and copying it out of there would cost more than the fold.
 */
export class PreparedBatch {
  readonly records: readonly SourceRecord[];
  /** How many of them are prepared: all, or those up to and with the first that was thrown at. */
  length = 0;
  /** The user's code threw at the last prepared record. */
  thrownAt = false;
  /** The distinct keys, in the order of their first events. */
  readonly keys: string[] = [];
  readonly #scope: PrepareScope;
  readonly #events: unknown[];
  readonly #keyIndexes: Int32Array;
  readonly #keyIndexOf = new Map<string, number>();
  readonly #noEvents = new Map<number, NoEvent>();

  constructor(scope: PrepareScope, records: readonly SourceRecord[]) {
    this.#scope = scope;
    this.records = records;
    this.#events = new Array(records.length);
    this.#keyIndexes = new Int32Array(records.length);
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

  eventAt(index: number): unknown {
    return this.#events[index];
  }

  positionAt(index: number): Position {
    return (this.records[index] as SourceRecord).position;
  }

  /** Made when it is asked for: a handler may keep it, so none is used twice. */
  contextAt(index: number): EventContext {
    const record = this.records[index] as SourceRecord;
    const origin = redrivenLetter(record);
    const key = this.keys[this.#keyIndexes[index] as number] as string;
    const split = origin?.split ?? this.#scope.split;
    const position = origin?.position ?? record.position;
    const { replay } = this.#scope;
    const { arrivalTimeMs } = record;
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
    this.thrownAt = false;
    return noEvent;
  }

  addNoEvent(noEvent: NoEvent): void {
    this.#noEvents.set(this.length, noEvent);
    this.thrownAt = noEvent.kind === "thrown";
    this.#keyIndexes[this.length++] = NO_KEY;
  }
}

const NO_KEY = -1;

/** The records up to and with the first at which the user's code threw. */
export async function prepare(scope: PrepareScope, records: readonly SourceRecord[]): Promise<PreparedBatch> {
  const batch = new PreparedBatch(scope, records);
  const skip = scope.skip ?? 0;
  for (const record of records) {
    if (batch.length < skip) {
      batch.addNoEvent({ kind: "skipped", record });
      continue;
    }
    const pending = prepareRecord(scope, batch, record);
    if (pending instanceof Promise) await pending;
    if (batch.thrownAt && (await isThrownAt(scope, batch, record))) break;
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
  const failedAt = batch.length;
  for (let index = failedAt - 1; index >= 0; index -= 1) {
    if (batch.keyIndexAt(index) === undefined) continue;
    yield () => isEvent(scope, batch.records[index] as SourceRecord);
    break;
  }
  for (const index of spread(failedAt, batch.records.length)) {
    yield () => isEvent(scope, batch.records[index] as SourceRecord);
  }
}

async function isEvent(scope: PrepareScope, record: SourceRecord): Promise<boolean> {
  const alone = new PreparedBatch(scope, [record]);
  await prepareRecord(scope, alone, record);
  return alone.keyIndexAt(0) !== undefined;
}

/** Answers with a promise only where the schema does. */
function prepareRecord(scope: PrepareScope, batch: PreparedBatch, record: SourceRecord): void | Promise<void> {
  // Before anything else: a later record of its key may have been folded already.
  if (record.position === scope.givenUp) return batch.addNoEvent({ kind: "given-up", record });
  if (scope.startTimeMs !== undefined && (record.arrivalTimeMs ?? scope.startTimeMs) < scope.startTimeMs) {
    return batch.addNoEvent({ kind: "dropped", record });
  }
  if (scope.passedOver?.has(record.position)) return batch.addNoEvent({ kind: "dropped", record });
  let raw: unknown;
  try {
    raw = scope.events.decode(record, scope.decoding);
  } catch (thrown) {
    return batch.addNoEvent({ kind: "unreadable", record, error: unreadable(scope, thrown) });
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

/** A parser's words quote the record. Its dead letter holds that; logs may not, where they hide keys. Tidemark's own do not. */
function unreadable({ definition, nameKey }: PrepareScope, thrown: unknown): TidemarkError {
  if (thrown instanceof TidemarkError && thrown.kind === "fix-event") {
    return new TidemarkError("fix-event", `A record of function ${definition.name} cannot be read: ${thrown.message}`);
  }
  const why = nameKey === plainKey ? describeThrown(thrown) : types.isNativeError(thrown) ? thrown.name : "Error";
  return new TidemarkError(
    "fix-event",
    `A record of function ${definition.name} cannot be read: ${why}. Correct what writes the records: each is one JSON value.`,
    { cause: thrown },
  );
}
