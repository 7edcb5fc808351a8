/** The events of one record that its source's `decode` takes apart: all of them, or why there is none. */
import { types } from "node:util";
import { redrivenLetter } from "../dead-letter/with-redrive.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import { checkKey } from "../function/check-key.ts";
import { plainKey } from "../function/name-key.ts";
import { validateEvent } from "../function/validate-event.ts";
import { describeValue } from "../json/describe-value.ts";
import { disownPromise } from "../json/disown-promise.ts";
import { parseJson } from "../json/parse-json.ts";
import { nameEncoding } from "../source/name-encoding.ts";
import type { SourceRecord } from "../source/source.ts";
import type { NoEvent, PrepareScope } from "./prepare-scope.ts";

/** A record of more events is refused: all of them are in memory at once. */
export const RECORD_EVENTS_MAX = 100_000;
/** A batch takes no further record once it has so many events; the rest is delivered again. */
export const BATCH_EVENTS_MAX = 100_000;

export interface Several {
  readonly events: readonly unknown[];
  /** Of each event. */
  readonly keys: readonly string[];
}

/** Which of its record's events one is, for people. */
export const placeOf = (number: number, of: number): string => `Event ${number + 1} of ${of} of the record`;

/**
 * What the user's code throws is in the answer.
 * @throws TidemarkError `fix-configuration` where the source has no bytes to take apart
 */
export async function takeApart(scope: PrepareScope, record: SourceRecord): Promise<Several | NoEvent> {
  const { definition, nameKey } = scope;
  const values: unknown[] = [];
  const bytes = scope.events.bytes(record);
  if (bytes === undefined) throw noBytes(definition.name);
  try {
    let promise: number | undefined;
    for (const value of decoded(scope, record, bytes)) {
      if (disownPromise(value)) promise ??= values.length;
      if (values.push(value) > RECORD_EVENTS_MAX) {
        return { kind: "unreadable", record, error: tooManyEvents(definition.name) };
      }
    }
    if (promise !== undefined) throw promised(`, as event ${promise + 1},`);
  } catch (thrown) {
    return { kind: "unreadable", record, error: unreadable(scope, record, thrown) };
  }
  if (values.length === 0) return { kind: "empty", record };
  const events: unknown[] = [];
  const keys: string[] = [];
  for (const [number, value] of values.entries()) {
    const place = values.length === 1 ? undefined : placeOf(number, values.length);
    let key: unknown;
    try {
      const pending = validateEvent(definition, value);
      const validation = pending instanceof Promise ? await pending : pending;
      if (!validation.ok) return { kind: "refused", record, error: inPlace(place, validation.error) };
      events.push(validation.event);
      key = definition.key(validation.event);
    } catch (thrown) {
      return { kind: "thrown", record, thrown, tries: 1, place };
    }
    try {
      keys.push(checkKey(definition.name, key, nameKey));
    } catch (error) {
      return { kind: "unfit", record, error: inPlace(place, error as TidemarkError) };
    }
  }
  return { events, keys };
}

function decoded({ decoding }: PrepareScope, record: SourceRecord, bytes: Uint8Array): Iterable<unknown> {
  const { arrivalTimeMs } = record;
  const { position } = redrivenLetter(record) ?? record;
  const values: unknown = decoding.decode?.(bytes, {
    position,
    ...(arrivalTimeMs === undefined ? {} : { arrivalTimeMs }),
    parseJson: (text) => parseJson(text, decoding.integers),
  });
  if (typeof values === "object" && values !== null && Symbol.iterator in values && !ArrayBuffer.isView(values)) {
    return values as Iterable<unknown>;
  }
  if (disownPromise(values)) throw promised("");
  throw new TidemarkError("fix-function", `decode returned ${describeValue(values)}; ${WANTED}`);
}

const WANTED = "it must return the record's events at once, as a list or another iterable: [event], or [] for none.";

function promised(where: string): TidemarkError {
  return new TidemarkError(
    "fix-function",
    `decode returned${where} a promise; ${WANTED} What has to be waited for belongs into the event's schema, which may be asynchronous.`,
  );
}

function noBytes(functionName: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The source of function ${functionName} has a decode, which takes bytes, and its records are rows of a table (Parquet). The batch writes nothing. Leave decode out.`,
  );
}

function inPlace(place: string | undefined, error: TidemarkError): TidemarkError {
  if (place === undefined) return error;
  const whole = "None of the record is folded: it is a dead letter as a whole.";
  return new TidemarkError(error.kind, `${place}: ${error.message} ${whole}`, { cause: error });
}

function tooManyEvents(functionName: string): TidemarkError {
  return new TidemarkError(
    "fix-event",
    `A record of function ${functionName} decodes to more than ${RECORD_EVENTS_MAX} events, which are folded whole or not at all and held in memory for that. Write them as several records.`,
  );
}

/** A parser's words quote the record. Its dead letter holds that; logs may not, where they hide keys. Tidemark's own do not. */
export function unreadable(
  { decoding, definition, events, nameKey }: PrepareScope,
  record: SourceRecord,
  thrown: unknown,
): TidemarkError {
  const bytes = decoding.decode === undefined ? events.bytes(record) : undefined;
  const encoding = bytes && nameEncoding(bytes);
  const cannot = `A record of function ${definition.name} cannot be read`;
  if (thrown instanceof TidemarkError && encoding === undefined) {
    return new TidemarkError("fix-event", `${cannot}: ${thrown.message}`, { cause: thrown });
  }
  const why = nameKey === plainKey ? describeThrown(thrown) : types.isNativeError(thrown) ? thrown.name : "Error";
  const wayOut =
    encoding ??
    (decoding.decode === undefined
      ? "Correct what writes the records: each is one JSON value. Records of several, or of another form, are taken apart by a decode of the source."
      : "Correct what writes the records, or the decode of the source.");
  return new TidemarkError("fix-event", `${cannot}: ${why}. ${wayOut}`, { cause: thrown });
}
