import type { Integers } from "../json/parse-json.ts";
import type { Position } from "./position.ts";

export type { Integers };

/** What a decoder is told of the record beside its bytes. */
export interface RecordToDecode {
  readonly position: Position;
  /** When the source received it, in ms since 1970; absent where the source does not say. */
  readonly arrivalTimeMs?: number;
  /** Of a record within a KPL record; absent elsewhere. */
  readonly partitionKey?: string;
  /** Of a record within a KPL record whose producer gave one: a number of up to 39 digits. */
  readonly explicitHashKey?: string;
  /** Reads JSON as the source's `integers` says. @throws SyntaxError, or TidemarkError `fix-event` where it refuses an integer */
  readonly parseJson: (text: string) => unknown;
}

/**
 * Makes events of one record: none, one or many, which its function's schema sees one by one, and which are folded whole or
 * not at all, in this order.
 *
 * Must be deterministic, with no effect outside, as `handle`; it runs again whenever the record is delivered again. It is not
 * asynchronous: what has to be waited for belongs into the event's schema, which may be. A throw makes the record a dead letter at once.
 */
export type Decoder = (bytes: Uint8Array, record: RecordToDecode) => Iterable<unknown>;

/** How the records of a source are decoded: what the app module says of it, with its defaults. */
export interface Decoding {
  readonly integers: Integers;
  /** Takes each record apart. @default none - a record is one event */
  readonly decode?: Decoder;
}

export const DEFAULT_DECODING: Decoding = { integers: "exact" };
