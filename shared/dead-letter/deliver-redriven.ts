/**
 * How redriven letters come to an event function where no mapping and no pump reads them: the coordinator of a
 * deployment looks for those after the position of the function's redrive split, and invokes the function with them.
 *
 * Invariants:
 * - A batch begins right after the position that was read, as every delivery of a split does: nothing is passed over.
 * - What was delivered is known from the split's item alone, never from an answer. Two that deliver the same, or one
 *   that dies, are a mapping that delivers twice: the function's Begin and the records' positions decide.
 * - A letter whose own split has not come to it yet is not delivered: the batch would begin, and not end, and a
 *   checkpoint would wait for it.
 */
import { readControl } from "../control/control-steps.ts";
import type { ControlStore } from "../control/control-store.ts";
import { readSplit, type SplitPlace } from "../control/split-steps.ts";
import type { Clock, Randomness } from "../environment.ts";
import { describeThrown } from "../errors.ts";
import { jsonText } from "../json/json-text.ts";
import type { Observer } from "../observer.ts";
import { BEGINNING, type Position } from "../source/position.ts";
import type { Source, SourceBatch, SourceRecord } from "../source/source.ts";
import { REDRIVE_SPLIT } from "./redrive-letter.ts";
import { redrivenLetter } from "./with-redrive.ts";

/** Invokes an event function with records of its redrive split, in the form of its source's events. */
export type RedriveInvoker = (functionName: string, event: unknown) => Promise<{ readonly reason?: string }>;

export interface RedriveDelivery {
  readonly function: string;
  /** The function's source together with its redriven letters. */
  readonly source: Source;
  readonly invoke: RedriveInvoker;
  /** No batch is begun after this; ms since 1970. */
  readonly deadlineMs: number;
  /** So often a record is tried: a delivery that leaves the split where it was is repeated so often, then left to the next call. */
  readonly triesMax: number;
}

const BATCH_RECORDS_MAX = 100;
/** Lambda takes 6 MB. */
const BATCH_BYTES_MAX = 4_000_000;
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 1_000;

/**
 * Delivers a function's redriven letters for as long as there are any and its redrive split runs. Told to the observer is
 * what fails; nothing is thrown, for the next call delivers it.
 * Cost: without letters one read of the split and one GET; else that for each batch, and a GET and a read for each letter.
 */
export async function deliverRedriven(
  surroundings: {
    readonly control: ControlStore;
    readonly clock: Clock;
    readonly randomness: Randomness;
    readonly observe: Observer;
  },
  delivery: RedriveDelivery,
): Promise<void> {
  const { control, clock, randomness, observe } = surroundings;
  const place: SplitPlace = { function: delivery.function, split: REDRIVE_SPLIT };
  const failed = (error: string): void => observe({ type: "redrive-failed", function: delivery.function, error });
  let reached: Position | undefined;
  let failures = 0;
  try {
    for (;;) {
      const item = await readSplit(control, place);
      // A restore replays it. One that is over may have left it so, which the function's Begin mends.
      if (isReplaying(item) && (await readControl(control))?.phase !== "RUNNING") return;
      const position = item === undefined || item === "unborn" ? BEGINNING : item.position;
      if (reached !== undefined && position > reached)
        observe({ type: "redriven", function: place.function, position });
      failures = position === reached ? failures + 1 : 0;
      reached = position;
      if (failures > delivery.triesMax || clock.now() >= delivery.deadlineMs) return;
      const records = await nextRecords(control, delivery, position, observe);
      if (records.length === 0) return;
      if (failures > 0) {
        await clock.sleep(Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** failures) * randomness.fraction());
      }
      try {
        const { reason } = await delivery.invoke(delivery.function, eventOf(delivery, records));
        if (reason !== undefined) failed(reason);
      } catch (thrown) {
        failed(describeThrown(thrown));
      }
    }
  } catch (thrown) {
    failed(describeThrown(thrown));
  }
}

const isReplaying = (item: Awaited<ReturnType<typeof readSplit>>): boolean =>
  item !== undefined && item !== "unborn" && item.phase === "REPLAYING";

const eventOf = ({ source }: RedriveDelivery, records: SourceBatch["records"]): unknown =>
  source.events.toEvent({ split: REDRIVE_SPLIT, records });

/** A batch that an invocation takes, up to the first letter that has to wait. */
async function nextRecords(
  control: ControlStore,
  delivery: RedriveDelivery,
  after: Position,
  observe: Observer,
): Promise<SourceRecord[]> {
  const next: SourceRecord[] = [];
  let bytes = 0;
  const request = { split: REDRIVE_SPLIT, after, pageRecords: 1, follow: false };
  for await (const { records } of delivery.source.reader.read(request)) {
    for (const record of records) {
      bytes += Buffer.byteLength(jsonText(eventOf(delivery, [record])));
      if (next.length > 0 && bytes > BATCH_BYTES_MAX) return next;
      if (!(await hasComeToIt(control, delivery.function, record))) {
        if (next.length === 0)
          observe({ type: "redrive-waits", function: delivery.function, position: record.position });
        return next;
      }
      next.push(record);
    }
    if (next.length >= BATCH_RECORDS_MAX) break;
  }
  return next;
}

/** Whether the letter's own split has come to its record, so that hole or not is decided for good. */
async function hasComeToIt(control: ControlStore, functionName: string, record: SourceRecord): Promise<boolean> {
  const letter = redrivenLetter(record);
  if (letter === undefined) return true;
  const split = await readSplit(control, { function: functionName, split: letter.split });
  return split !== undefined && split !== "unborn" && split.position >= letter.position;
}
