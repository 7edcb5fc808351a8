/**
 * The event half of files: what the embedded engine's pump sends. The event has the shape of Lambda's own:
 * `{ Records: [{ eventSource: "tidemark:files", eventID: "<split>:<position>", split, position, data }] }`.
 */
import { TidemarkError } from "../../errors.ts";
import type { JsonValue } from "../../json/json-value.ts";
import { parseJson, settleIntegers } from "../../json/parse-json.ts";
import type { SourceBatch, SourceEvents, SourceRecord } from "../source.ts";

const EVENT_SOURCE = "tidemark:files";

interface FileEventRecord {
  readonly eventSource: typeof EVENT_SOURCE;
  readonly eventID: string;
  readonly split: string;
  readonly position: string;
  readonly data: JsonValue;
}

/** A JSON line's payload is its text; a Parquet row's is its object. */
export const fileEvents: SourceEvents = {
  parse(event: unknown): SourceBatch {
    const delivered = (event as { readonly Records?: unknown } | null | undefined)?.Records;
    if (!Array.isArray(delivered) || delivered.length === 0) throw foreignEvent("it holds no Records");
    const split = (delivered[0] as Partial<FileEventRecord> | null)?.split;
    if (typeof split !== "string") throw foreignEvent("its first record names no split");
    const records: SourceRecord[] = [];
    for (const record of delivered as Partial<FileEventRecord>[]) {
      const { eventSource, position, data } = record;
      if (eventSource !== EVENT_SOURCE || typeof position !== "string" || data === undefined) {
        throw foreignEvent(`record ${records.length + 1} has the eventSource ${JSON.stringify(eventSource)}`);
      }
      if (record.split !== split) {
        throw foreignEvent(`it mixes the splits ${JSON.stringify(split)} and ${JSON.stringify(record.split)}`);
      }
      records.push({ position, itemIdentifier: position, payload: data });
    }
    return { split, records };
  },

  decode: ({ payload }, { integers }) =>
    typeof payload === "string" ? parseJson(payload, integers) : settleIntegers(payload, integers),

  dump: (record) => record.payload as JsonValue,

  undump: (dumped) => dumped,

  toEvent: ({ split, records }) => ({
    Records: records.map(
      ({ position, payload }): FileEventRecord => ({
        eventSource: EVENT_SOURCE,
        eventID: `${split}:${position}`,
        split,
        position,
        data: payload as JsonValue,
      }),
    ),
  }),
};

function foreignEvent(reason: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The event is none of the files source: ${reason}. Wanted are records of one split with the eventSource "${EVENT_SOURCE}": was the function bound to another source?`,
  );
}
