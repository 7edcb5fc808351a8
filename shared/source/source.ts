/**
 * The source port: where events come from, and how they are read again.
 *
 * A source has two halves. The *event half* turns the event of one Lambda invocation into a split and its
 * records. The *reader half* reads a split after a position, for replay, for the embedded engine's pump,
 * and for the coordinator's look at what is still there.
 *
 * Invariants every adapter keeps:
 * - A record's position is the same each time it is delivered or read, through either half.
 * - Positions of a split are ordered as text exactly as its records are ordered.
 * - `read` returns every record that the source still holds after a position, in order, none twice.
 * - `ended` is said only when no record will ever follow, or, of what people may add to (a file), when none follows as it
 *   stands: a batch that comes after it takes it back.
 */
import type { JsonValue } from "../json/json-value.ts";
import type { Decoding } from "./decoding.ts";
import type { Position } from "./position.ts";

export interface SourceRecord {
  readonly position: Position;
  /** What a partial batch response names this record by (Kinesis: the sequence number). */
  readonly itemIdentifier: string;
  /** When the source received the record, in ms since 1970; absent where the source does not say. */
  readonly arrivalTimeMs?: number;
  /** The record as the source holds it; `SourceEvents.decode` makes the event of it. */
  readonly payload: unknown;
}

/** Records of one split, in order. */
export interface SourceBatch {
  readonly split: string;
  readonly records: readonly SourceRecord[];
}

/** The event half. Needs no client and no permission. */
export interface SourceEvents {
  /** @throws TidemarkError `fix-configuration` when the event is not one of this source, or mixes splits. */
  parse(event: unknown): SourceBatch;
  /**
   * The record's content as a value, decoded as the app says for the source. A throw makes the record a dead letter at
   * once, like a refusal by the schema.
   */
  decode(record: SourceRecord, decoding: Decoding): unknown;
  /** The record's content as bytes, for an app's own `decode`; undefined: it is none (a row of a table). */
  bytes(record: SourceRecord): Uint8Array | undefined;
  /** The record's content in a form that a dead letter can hold and {@link SourceEvents.undump} takes back. */
  dump(record: SourceRecord): JsonValue;
  /** The payload that was dumped. */
  undump(dumped: JsonValue): unknown;
  /** The event that Lambda would get for these records: what the embedded engine's pump sends. */
  toEvent(batch: SourceBatch): unknown;
}

export interface SplitDescription {
  readonly split: string;
  /** Splits whose records all come before this split's (Kinesis resharding). Only those the source still lists. */
  readonly parents: readonly string[];
}

export interface ReadPage {
  readonly records: readonly SourceRecord[];
  /** No record will ever follow those read so far. */
  readonly ended: boolean;
  /** The source holds nothing after this page right now. Reading goes on only after a while. */
  readonly caughtUp: boolean;
  /**
   * With `caughtUp`: what follows is the beginning of a record that is not whole yet, left unread, in words that name where.
   * A reading that does not follow is over then, and not `ended`.
   */
  readonly unfinished?: string;
}

/** What the source holds after a position, as the coordinator sees it at every checkpoint. */
export interface SplitLook {
  readonly holdsRecords: boolean;
  readonly ended: boolean;
  /** Arrival of the first record after the position; the lag is now minus this. Absent when there is none or the source does not say. */
  readonly firstArrivalTimeMs?: number;
}

/** What a place holds that a source does not read. */
export interface LeftOut {
  /** The place, as it was bound: `data`, `data/*.log`. */
  readonly place: string;
  /** The first thousand by name, each with a reason in a clause. */
  readonly files: readonly { readonly name: string; readonly reason: string }[];
  readonly total: number;
}

/** The reader half. */
export interface SourceReader {
  /** Every split that the source lists, those that are closed included. */
  splits(): AsyncIterable<SplitDescription>;
  /** What `splits`, read through last, left out; absent where a source reads whatever there is. Costs nothing. */
  leftOut?(): LeftOut;
  /**
   * The records after `after` (exclusive; `BEGINNING` reads from the oldest), as pages of at most `pageRecords`.
   * The iteration ends when the split is ended, or when `follow` is false and it has caught up.
   */
  read(request: {
    readonly split: string;
    readonly after: Position;
    readonly pageRecords: number;
    readonly follow: boolean;
    readonly signal?: AbortSignal;
  }): AsyncIterable<ReadPage>;
  look(split: string, after: Position): Promise<SplitLook>;
  /** Does the source still hold any record in `(after, to]`? */
  holdsAny(split: string, range: { readonly after: Position; readonly to: Position }): Promise<boolean>;
  /**
   * Why the records after `after` cannot all be read any more, in a clause for an error message; undefined when they can.
   * `to`: so far they were read before and will be read again; where the source keeps all, it is read through up to there by
   * the code that a replay reads with (files: the cost of reading that much). `freshAtMs` is the time up to which nothing can
   * have expired unseen (`SplitItem.freshAt` at the cut).
   */
  missingAfter(request: {
    readonly split: string;
    readonly after: Position;
    /** Not before `after`. @default `after` - nothing is known to have been read behind it */
    readonly to?: Position;
    readonly freshAtMs: number;
    readonly nowMs: number;
  }): Promise<string | undefined>;
}

export interface Source {
  readonly events: SourceEvents;
  readonly reader: SourceReader;
  /** How long the source keeps a record, in ms; undefined: for ever. Asked at every batch: an answer that costs a call is kept for a minute. */
  retentionMs(): Promise<number | undefined>;
}
