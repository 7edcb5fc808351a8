/**
 * The event half of files: what the embedded engine's pump sends. The event has the shape of Lambda's own:
 * `{ Records: [{ eventSource: "tidemark:files", eventID: "<split>:<position>", split, position, data }] }`. A line that is no
 * UTF-8 has `base64` instead of `data`.
 */
import { TidemarkError } from "../../errors.ts";
import type { JsonValue } from "../../json/json-value.ts";
import { parseJson, settleIntegers } from "../../json/parse-json.ts";
import { textOf } from "../record-text.ts";
import type { SourceBatch, SourceEvents, SourceRecord } from "../source.ts";
import { UnreadableRow } from "./unreadable-row.ts";

const EVENT_SOURCE = "tidemark:files";

interface FileEventRecord {
  readonly eventSource: typeof EVENT_SOURCE;
  readonly eventID: string;
  readonly split: string;
  readonly position: string;
  readonly data?: JsonValue;
  /** Why the row in `data` cannot be read. */
  readonly unreadable?: string;
  /** Instead of `data`: the line's bytes, which are no text. */
  readonly base64?: string;
}

/** A JSON line's payload is its text, or its bytes where they are no UTF-8; a Parquet row's is its object. */
export const fileEvents: SourceEvents = {
  parse(event: unknown): SourceBatch {
    const delivered = (event as { readonly Records?: unknown } | null | undefined)?.Records;
    if (!Array.isArray(delivered) || delivered.length === 0) throw foreignEvent("it holds no Records");
    const split = (delivered[0] as Partial<FileEventRecord> | null)?.split;
    if (typeof split !== "string") throw foreignEvent("its first record names no split");
    const records: SourceRecord[] = [];
    for (const record of delivered as Partial<FileEventRecord>[]) {
      const { eventSource, position, data, base64 } = record;
      const hasNone = data === undefined && base64 === undefined;
      if (eventSource !== EVENT_SOURCE || typeof position !== "string" || hasNone) {
        throw foreignEvent(`record ${records.length + 1} has the eventSource ${JSON.stringify(eventSource)}`);
      }
      if (record.split !== split) {
        throw foreignEvent(`it mixes the splits ${JSON.stringify(split)} and ${JSON.stringify(record.split)}`);
      }
      const payload = payloadOf(record);
      records.push({ position, itemIdentifier: position, payload });
    }
    return { split, records };
  },

  decode({ payload }, { integers }): unknown {
    if (typeof payload === "string") return parseJson(payload, integers);
    if (payload instanceof UnreadableRow) throw new TidemarkError("fix-event", payload.why);
    return payload instanceof Uint8Array ? parseJson(textOf(payload), integers) : settleIntegers(payload, integers);
  },

  bytes({ payload }): Uint8Array | undefined {
    if (typeof payload === "string") return Buffer.from(payload);
    return payload instanceof Uint8Array ? payload : undefined;
  },

  dump({ payload }): JsonValue {
    if (payload instanceof UnreadableRow) return { unreadable: payload.why, row: payload.row };
    if (payload instanceof Uint8Array) return { base64: Buffer.from(payload).toString("base64") };
    // No payload is a list, so a row that would be taken for something else is told apart by standing in one.
    return isDumpedRow(payload) || isDumpedBytes(payload) ? [payload] : (payload as JsonValue);
  },

  undump(dumped): unknown {
    if (Array.isArray(dumped)) return dumped[0];
    if (isDumpedBytes(dumped)) return Buffer.from(dumped.base64, "base64");
    return isDumpedRow(dumped) ? new UnreadableRow(dumped.unreadable, dumped.row) : dumped;
  },

  toEvent: ({ split, records }) => ({
    Records: records.map(
      ({ position, payload }): FileEventRecord => ({
        eventSource: EVENT_SOURCE,
        eventID: `${split}:${position}`,
        split,
        position,
        ...dataOf(payload),
      }),
    ),
  }),
};

function payloadOf({ data, unreadable, base64 }: Partial<FileEventRecord>): unknown {
  if (typeof base64 === "string") return Buffer.from(base64, "base64");
  return unreadable === undefined ? data : new UnreadableRow(unreadable, data as JsonValue);
}

function dataOf(payload: unknown): Pick<FileEventRecord, "data" | "unreadable" | "base64"> {
  if (payload instanceof Uint8Array) return { base64: Buffer.from(payload).toString("base64") };
  if (payload instanceof UnreadableRow) return { data: payload.row, unreadable: payload.why };
  return { data: payload as JsonValue };
}

function isDumpedRow(dumped: unknown): dumped is { readonly unreadable: string; readonly row: JsonValue } {
  if (typeof dumped !== "object" || dumped === null || Object.keys(dumped).join() !== "unreadable,row") return false;
  return typeof (dumped as { readonly unreadable?: unknown }).unreadable === "string";
}

function isDumpedBytes(dumped: unknown): dumped is { readonly base64: string } {
  if (typeof dumped !== "object" || dumped === null || Object.keys(dumped).join() !== "base64") return false;
  return typeof (dumped as { readonly base64?: unknown }).base64 === "string";
}

function foreignEvent(reason: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The event is none of the files source: ${reason}. Wanted are records of one split with the eventSource "${EVENT_SOURCE}": was the function bound to another source?`,
  );
}
