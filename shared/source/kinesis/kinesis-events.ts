/**
 * The event half of Kinesis: the event that an event source mapping sends, without filter and without tumbling window.
 * A payload is the record's bytes; a record's content is JSON in UTF-8, where the source has no `decode`.
 */
import { TidemarkError } from "../../errors.ts";
import { parseJson } from "../../json/parse-json.ts";
import { dumpBytes, textOf, undumpBytes } from "../record-text.ts";
import type { SourceBatch, SourceEvents, SourceRecord } from "../source.ts";
import { positionOf } from "./kinesis-position.ts";

const EVENT_SOURCE = "aws:kinesis";

interface KinesisEventRecord {
  readonly eventSource: typeof EVENT_SOURCE;
  readonly eventVersion: string;
  readonly eventName: string;
  /** `<shard id>:<sequence number>` */
  readonly eventID: string;
  readonly kinesis: {
    readonly kinesisSchemaVersion: string;
    readonly sequenceNumber: string;
    /** base64 */
    readonly data: string;
    /** Seconds since 1970, with a fraction. */
    readonly approximateArrivalTimestamp: number;
  };
}

export const kinesisEvents: SourceEvents = {
  parse(event: unknown): SourceBatch {
    const delivered = (event as { readonly Records?: unknown } | null | undefined)?.Records;
    if (!Array.isArray(delivered) || delivered.length === 0) throw foreignEvent("it holds no Records");
    let split: string | undefined;
    const records: SourceRecord[] = [];
    for (const record of delivered as (KinesisEventRecord | null | undefined)[]) {
      if (
        record?.eventSource !== EVENT_SOURCE ||
        typeof record.eventID !== "string" ||
        typeof record.kinesis?.sequenceNumber !== "string" ||
        typeof record.kinesis.data !== "string"
      ) {
        throw foreignEvent(
          `record ${records.length + 1} has the eventSource ${JSON.stringify(record?.eventSource)} or lacks an eventID, sequence number or data`,
        );
      }
      const shard = record.eventID.slice(0, record.eventID.indexOf(":"));
      split ??= shard;
      if (shard !== split) throw foreignEvent(`it mixes the shards ${split} and ${shard}`);
      const { sequenceNumber, data, approximateArrivalTimestamp: arrival } = record.kinesis;
      records.push({
        position: positionOf(sequenceNumber),
        itemIdentifier: sequenceNumber,
        ...(typeof arrival === "number" ? { arrivalTimeMs: Math.round(arrival * 1000) } : {}),
        payload: Buffer.from(data, "base64"),
      });
    }
    if (!split) throw foreignEvent("its eventID names no shard");
    return { split, records };
  },

  decode: (record, { integers }) => parseJson(textOf(record.payload as Uint8Array), integers),

  bytes: (record) => record.payload as Uint8Array,

  dump: (record) => dumpBytes(record.payload as Uint8Array),

  undump: undumpBytes,

  toEvent: ({ split, records }) => ({
    Records: records.map(
      ({ itemIdentifier, arrivalTimeMs, payload }): KinesisEventRecord => ({
        eventSource: EVENT_SOURCE,
        eventVersion: "1.0",
        eventName: "aws:kinesis:record",
        eventID: `${split}:${itemIdentifier}`,
        kinesis: {
          kinesisSchemaVersion: "1.0",
          sequenceNumber: itemIdentifier,
          data: Buffer.from(payload as Uint8Array).toString("base64"),
          approximateArrivalTimestamp: (arrivalTimeMs ?? 0) / 1000,
        },
      }),
    ),
  }),
};

function foreignEvent(reason: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The event is none of a Kinesis stream: ${reason}. Wanted are records of one shard with the eventSource "${EVENT_SOURCE}", from an event source mapping without filter and without tumbling window.`,
  );
}
