/**
 * What a subscription of CloudWatch Logs sends to a stream: gzip of `{ messageType, owner, logGroup, logStream,
 * subscriptionFilters, logEvents: [{ id, timestamp, message }] }`.
 */
import { TidemarkError } from "../errors.ts";
import type { Decoder, RecordToDecode } from "../source/decoding.ts";
import { isGzip } from "../source/name-encoding.ts";
import { bytesMaxOf, type GzipOptions, gunzip } from "./gzip.ts";
import { jsonValues } from "./json-values.ts";

export interface CloudWatchLogsOptions extends GzipOptions {
  /** Reads a log event's message, which is text, and makes the events of it. @default none - see {@link cloudWatchLogs} */
  readonly message?: Decoder;
}

interface Subscription {
  readonly messageType?: unknown;
  readonly owner?: unknown;
  readonly logGroup?: unknown;
  readonly logStream?: unknown;
  readonly logEvents?: unknown;
}

const values = jsonValues();

/**
 * An event for each log event: `{ id, timestamp, message, owner, logGroup, logStream }`, and `extractedFields` where the filter
 * makes them. A control message, by which CloudWatch Logs asks whether the stream is there, has none. With
 * `message: json` an event is what the message itself holds.
 *
 * Takes what Firehose has unpacked as well, and several payloads in one record.
 */
export function cloudWatchLogs({ message, ...options }: CloudWatchLogsOptions = {}): Decoder {
  const bytesMax = bytesMaxOf("cloudWatchLogs", options);
  return function* (bytes, record) {
    const unpacked = isGzip(bytes) ? gunzip(bytes, bytesMax) : bytes;
    for (const payload of values(unpacked, record)) yield* eventsOf(payload as Subscription | null, message, record);
  };
}

function* eventsOf(
  payload: Subscription | null,
  message: Decoder | undefined,
  record: RecordToDecode,
): Generator<unknown> {
  const { messageType, owner, logGroup, logStream, logEvents } = payload ?? {};
  if (messageType === "CONTROL_MESSAGE") return;
  if (messageType !== "DATA_MESSAGE" || !Array.isArray(logEvents)) {
    throw new TidemarkError(
      "fix-event",
      'It is none of a subscription of CloudWatch Logs: those have a messageType, "DATA_MESSAGE" or "CONTROL_MESSAGE", and logEvents.',
    );
  }
  for (const logEvent of logEvents as readonly ({ readonly message?: unknown } | null)[]) {
    if (message === undefined) yield { ...logEvent, owner, logGroup, logStream };
    else if (typeof logEvent?.message === "string") yield* message(Buffer.from(logEvent.message), record);
    else throw new TidemarkError("fix-event", "One of its logEvents has no message.");
  }
}
