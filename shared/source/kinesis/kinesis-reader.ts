/**
 * The reader half of Kinesis: shards are splits.
 *
 * Invariants:
 * - An empty answer of GetRecords says nothing: only an empty one that is 0 ms behind has caught up, and only one
 *   without a next iterator is the end.
 * - A shard that the stream no longer lists has ended: shards go only after their last record has expired.
 * - Nothing is missing as long as a record at or before the position is still held: records expire in order.
 */
import type { _Record, Shard } from "@aws-sdk/client-kinesis";
import type { Clock } from "../../environment.ts";
import { invariant } from "../../errors.ts";
import { pause } from "../pause.ts";
import { BEGINNING, type Position } from "../position.ts";
import type { ReadPage, SourceReader, SourceRecord, SplitDescription, SplitLook } from "../source.ts";
import { type KinesisCalls, UnknownPositionError } from "./kinesis-calls.ts";
import { positionOf } from "./kinesis-position.ts";

/** How long a follow read rests once it has caught up. */
const FOLLOW_POLL_MS = 1_000;
/** GetRecords' own limits: 10,000 records, 10 MB. */
const RECORDS_PER_CALL_MAX = 10_000;
/** Clocks differ, and expiry is not to the second. */
const RETENTION_MARGIN_MS = 5 * 60_000;

export interface KinesisReaderOptions {
  readonly calls: KinesisCalls;
  readonly clock: Clock;
  readonly retentionMs: () => Promise<number>;
  /** @default 1000 - the API's maximum */
  readonly shardsPerPage?: number;
}

export class KinesisReader implements SourceReader {
  readonly #calls: KinesisCalls;
  readonly #clock: Clock;
  readonly #retentionMs: () => Promise<number>;
  readonly #shardsPerPage: number;

  constructor({ calls, clock, retentionMs, shardsPerPage = 1000 }: KinesisReaderOptions) {
    this.#calls = calls;
    this.#clock = clock;
    this.#retentionMs = retentionMs;
    this.#shardsPerPage = shardsPerPage;
  }

  /** One ListShards for each thousand of shards. Whether a parent is still listed is known only once all are. */
  async *splits(): AsyncGenerator<SplitDescription> {
    const shards = new Map<string, Shard>();
    let token: string | undefined;
    do {
      const page = { shardsMax: this.#shardsPerPage, ...(token === undefined ? {} : { token }) };
      const answer = await this.#calls.listShards(page);
      for (const shard of answer.Shards ?? []) if (shard.ShardId !== undefined) shards.set(shard.ShardId, shard);
      token = answer.NextToken;
    } while (token !== undefined);
    for (const [split, { ParentShardId, AdjacentParentShardId }] of shards) {
      const parents = [ParentShardId, AdjacentParentShardId].filter((id) => id !== undefined && shards.has(id));
      yield { split, parents: parents as string[] };
    }
  }

  async *read({
    split,
    after,
    pageRecords,
    follow,
    signal,
  }: Parameters<SourceReader["read"]>[0]): AsyncGenerator<ReadPage> {
    for await (const { records, ended, caughtUp } of this.#answers(split, after, RECORDS_PER_CALL_MAX, signal)) {
      for (let from = 0; from === 0 || from < records.length; from += pageRecords) {
        if (signal?.aborted === true) return;
        const page = records.slice(from, from + pageRecords);
        const last = from + pageRecords >= records.length;
        if (page.length > 0 || ended || caughtUp) {
          yield { records: page, ended: last && ended, caughtUp: last && caughtUp };
        }
      }
      if (ended || (caughtUp && !follow)) return;
      if (caughtUp) await pause(this.#clock, FOLLOW_POLL_MS, signal);
    }
  }

  async look(split: string, after: Position): Promise<SplitLook> {
    const { first, ended } = await this.#firstAfter(split, after);
    return {
      holdsRecords: first !== undefined,
      ended,
      ...(first?.arrivalTimeMs === undefined ? {} : { firstArrivalTimeMs: first.arrivalTimeMs }),
    };
  }

  async holdsAny(split: string, { after, to }: { readonly after: Position; readonly to: Position }): Promise<boolean> {
    if (to <= after) return false;
    const { first } = await this.#firstAfter(split, after);
    return first !== undefined && first.position <= to;
  }

  async missingAfter(request: Parameters<SourceReader["missingAfter"]>[0]): Promise<string | undefined> {
    const { split, after, freshAtMs, nowMs } = request;
    try {
      const iterator = await this.#calls.iteratorAfter(split, after);
      if (iterator === undefined) return `shard ${split} is no longer listed: its records have expired`;
    } catch (error) {
      if (error instanceof UnknownPositionError) return `shard ${split} does not know the position ${after}`;
      throw error;
    }
    const retentionMs = await this.#retentionMs();
    if (nowMs - freshAtMs <= retentionMs - RETENTION_MARGIN_MS) return undefined;
    const { first } = await this.#firstAfter(split, BEGINNING);
    if (first !== undefined && first.position <= after) return undefined;
    return `shard ${split} keeps records for ${retentionMs / 3_600_000} hours, and those that arrived after ${new Date(freshAtMs).toISOString()} may have expired`;
  }

  async #firstAfter(
    split: string,
    after: Position,
  ): Promise<{ readonly first?: SourceRecord; readonly ended: boolean }> {
    for await (const { records, ended, caughtUp } of this.#answers(split, after, 1, undefined)) {
      const [first] = records;
      if (first !== undefined) return { first, ended: false };
      if (ended || caughtUp) return { ended };
    }
    return { ended: false };
  }

  /** Every answer of GetRecords, empty ones too; expired iterators are renewed after the last record handed out. */
  async *#answers(
    split: string,
    after: Position,
    recordsMax: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ReadPage> {
    let read = after;
    let iterator = await this.#calls.iteratorAfter(split, read, signal);
    while (signal?.aborted !== true) {
      if (iterator === undefined) {
        yield { records: [], ended: true, caughtUp: true };
        return;
      }
      const answer = await this.#calls.getRecords({ shard: split, iterator, recordsMax, signal });
      if (answer === undefined) {
        iterator = await this.#calls.iteratorAfter(split, read, signal);
        continue;
      }
      const records = (answer.Records ?? []).map(recordOf);
      read = records.at(-1)?.position ?? read;
      iterator = answer.NextShardIterator ?? undefined;
      const ended = iterator === undefined;
      yield { records, ended, caughtUp: ended || (records.length === 0 && answer.MillisBehindLatest === 0) };
      if (ended) return;
    }
  }
}

function recordOf({ SequenceNumber, ApproximateArrivalTimestamp, Data }: _Record): SourceRecord {
  invariant(SequenceNumber !== undefined && Data !== undefined, "a Kinesis record has a sequence number and data");
  return {
    position: positionOf(SequenceNumber),
    itemIdentifier: SequenceNumber,
    ...(ApproximateArrivalTimestamp === undefined ? {} : { arrivalTimeMs: ApproximateArrivalTimestamp.getTime() }),
    payload: Buffer.from(Data.buffer, Data.byteOffset, Data.byteLength),
  };
}
