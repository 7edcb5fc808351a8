/** Cuts what a source reads into batches by size and window, as Lambda's event source mapping does. */
import type { Clock } from "../../shared/environment.ts";
import type { ReadPage, SourceRecord } from "../../shared/source/source.ts";

export interface BatchLimits {
  readonly batchRecords: number;
  /** How long records wait for a batch to fill, in ms; 0: not at all. */
  readonly batchWindowMs: number;
}

export interface CutBatch {
  readonly records: readonly SourceRecord[];
  /** Nothing follows these records, now or ever. */
  readonly ended: boolean;
  readonly caughtUp: boolean;
  /** As `ReadPage.unfinished`. */
  readonly unfinished?: string;
}

/** Batches in order, none empty but one that says `ended` or `caughtUp`. Pages hold at most `batchRecords` records. */
export async function* cutBatches(
  pages: AsyncIterator<ReadPage>,
  limits: BatchLimits,
  clock: Clock,
): AsyncGenerator<CutBatch> {
  let waiting: SourceRecord[] = [];
  let windowEndsAtMs = 0;
  let next: Promise<IteratorResult<ReadPage>> | undefined;
  for (;;) {
    next ??= pages.next();
    const page = waiting.length === 0 ? await next : await within(next, windowEndsAtMs - clock.now(), clock);
    if (page === "window over") {
      yield { records: waiting, ended: false, caughtUp: false };
      waiting = [];
      continue;
    }
    next = undefined;
    if (page.done === true) {
      if (waiting.length > 0) yield { records: waiting, ended: false, caughtUp: true };
      return;
    }
    const { records, ended, caughtUp, unfinished } = page.value;
    const rest = unfinished === undefined ? { ended, caughtUp } : { ended, caughtUp, unfinished };
    const isLast = ended || unfinished !== undefined;
    // The common case copies nothing: a full page, or any page where no window is kept.
    if (waiting.length === 0 && (limits.batchWindowMs === 0 || records.length >= limits.batchRecords || isLast)) {
      yield { records, ...rest };
      continue;
    }
    if (waiting.length === 0 && records.length > 0) windowEndsAtMs = clock.now() + limits.batchWindowMs;
    if (waiting.length + records.length > limits.batchRecords) {
      yield { records: waiting, ended: false, caughtUp: false };
      waiting = [];
      windowEndsAtMs = clock.now() + limits.batchWindowMs;
    }
    waiting.push(...records);
    if (waiting.length >= limits.batchRecords || isLast) {
      yield { records: waiting, ...rest };
      waiting = [];
    } else if (waiting.length === 0) {
      yield { records: waiting, ...rest };
    }
  }
}

async function within(
  page: Promise<IteratorResult<ReadPage>>,
  leftMs: number,
  clock: Clock,
): Promise<IteratorResult<ReadPage> | "window over"> {
  if (leftMs <= 0) return "window over";
  const arrived = new AbortController();
  try {
    return await Promise.race([page, clock.sleep(leftMs, arrived.signal).then(() => "window over" as const)]);
  } finally {
    // A timer that nobody waits for any more would keep the process alive.
    arrived.abort();
  }
}
