/**
 * The event half of redriven records. A payload is the dead letter; its content is that of the record in it, as the
 * function's own source decodes it. The event has the shape of Lambda's own:
 * `{ Records: [{ eventSource: "tidemark:redrive", eventID: "redrive:<position>", split, position, arrivalTimeMs, data }] }`.
 */
import { TidemarkError } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { SourceBatch, SourceEvents, SourceRecord } from "../source/source.ts";
import { REDRIVE_SPLIT, type RedriveLetter } from "./redrive-letter.ts";

const EVENT_SOURCE = "tidemark:redrive";

interface RedriveEventRecord {
  readonly eventSource: typeof EVENT_SOURCE;
  readonly eventID: string;
  readonly split: string;
  readonly position: string;
  /** When the letter was put back, in ms since 1970. */
  readonly arrivalTimeMs?: number;
  readonly data: RedriveLetter;
}

/** @param original the event half of the source that the function reads: the letters hold its records */
export function redriveEvents(original: SourceEvents): SourceEvents {
  const originalRecord = (record: SourceRecord): SourceRecord => {
    const { position, record: dumped } = record.payload as RedriveLetter;
    return { ...record, position, payload: original.undump(dumped) };
  };
  return {
    parse,
    decode: (record, decoding) => original.decode(originalRecord(record), decoding),
    bytes: (record) => original.bytes(originalRecord(record)),
    dump: (record) => record.payload as RedriveLetter,
    undump: (dumped) => dumped,
    toEvent,
  };
}

/** Is this an event of redriven records? It comes to the same function as those of its own source. */
export function isRedriveEvent(event: unknown): boolean {
  const delivered = (event as { readonly Records?: unknown } | null | undefined)?.Records;
  return Array.isArray(delivered) && delivered[0]?.eventSource === EVENT_SOURCE;
}

function parse(event: unknown): SourceBatch {
  const delivered = (event as { readonly Records?: unknown } | null | undefined)?.Records;
  if (!Array.isArray(delivered) || delivered.length === 0) throw foreignEvent("it holds no Records");
  const records: SourceRecord[] = [];
  for (const record of delivered as (Partial<RedriveEventRecord> | null)[]) {
    const { eventSource, split, position, data, arrivalTimeMs } = record ?? {};
    if (eventSource !== EVENT_SOURCE || typeof position !== "string" || typeof data?.split !== "string") {
      throw foreignEvent(`record ${records.length + 1} has the eventSource ${JSON.stringify(eventSource)}`);
    }
    if (split !== REDRIVE_SPLIT) throw foreignEvent(`it mixes in the split ${JSON.stringify(split)}`);
    records.push({
      position,
      itemIdentifier: position,
      ...(typeof arrivalTimeMs === "number" ? { arrivalTimeMs } : {}),
      payload: data,
    });
  }
  return { split: REDRIVE_SPLIT, records };
}

function toEvent({ split, records }: SourceBatch): { readonly Records: readonly RedriveEventRecord[] } {
  return {
    Records: records.map(({ position, arrivalTimeMs, payload }) => ({
      eventSource: EVENT_SOURCE,
      eventID: `${split}:${position}`,
      split,
      position,
      ...(arrivalTimeMs === undefined ? {} : { arrivalTimeMs }),
      data: payload as RedriveLetter & JsonValue,
    })),
  };
}

function foreignEvent(reason: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The event is none of redriven records: ${reason}. Wanted are records of the split "${REDRIVE_SPLIT}" with the eventSource "${EVENT_SOURCE}".`,
  );
}
