/** Feeds one split to its function: one batch at a time, in order, from where control says the split stands. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { readSplit } from "../../shared/control/split-steps.ts";
import { describeThrown, TidemarkError } from "../../shared/errors.ts";
import { BEGINNING, type Position } from "../../shared/source/position.ts";
import type { Slots } from "../../shared/source/slots.ts";
import type { Source } from "../../shared/source/source.ts";
import { type BatchLimits, cutBatches } from "./batches.ts";
import { type DeliveryOptions, deliverAll } from "./delivery.ts";

/** A source that cannot be read is tried ever more seldom: often nothing helps before somebody has repaired it. */
const FAILED_SOURCE_MS_MAX = 30_000;
/** Rests are slept in short naps, so that a stop need not wait for their end. */
const NAP_MS = 50;
/** What is no error of Tidemark's own says of no source that it will pass: this often in a row it will not. */
const UNEXPECTED_MAX = 3;

/** Figures of one split since the engine started. */
export interface SplitProgress {
  readonly function: string;
  readonly split: string;
  /** The last record that was delivered, or where reading began. */
  readonly position: Position;
  /** Records delivered and resolved. */
  readonly records: number;
  /** Batches, and the invocations they took: more where some had to be delivered again. */
  readonly batches: number;
  readonly invocations: number;
  /** The source held nothing more when last read. */
  readonly caughtUp: boolean;
  /** No record will ever follow, and all are resolved; or what follows is unfinished, and nobody waits for it. */
  readonly drained: boolean;
  /** What was left unread at the end because it is not whole yet, in words that name where. */
  readonly unfinished?: string;
  /** Why it will not go on by itself; it is tried on, ever more seldom. */
  readonly stuck?: string;
}

export interface SplitPumpOptions extends DeliveryOptions, BatchLimits {
  readonly function: string;
  readonly split: string;
  readonly source: Source;
  /** How many splits are looked up in control at a time. */
  readonly begins: Slots;
  /** Told when it is stuck, and when it is no more. */
  readonly changed: () => void;
}

export class SplitPump {
  position: Position = BEGINNING;
  records = 0;
  batches = 0;
  invocations = 0;
  caughtUp = false;
  drained = false;
  unfinished: string | undefined;
  stuck: string | undefined;
  private readonly options: SplitPumpOptions;

  constructor(options: SplitPumpOptions) {
    this.options = options;
  }

  get progress(): SplitProgress {
    const { position, records, batches, invocations, caughtUp, drained, unfinished, stuck } = this;
    return {
      function: this.options.function,
      split: this.options.split,
      position,
      records,
      batches,
      invocations,
      caughtUp,
      drained,
      ...(unfinished === undefined ? {} : { unfinished }),
      ...(stuck === undefined ? {} : { stuck }),
    };
  }

  /** Runs until the split is drained or `signal` says stop. A source that fails is read again, for as long as it takes. */
  async run(): Promise<void> {
    const { signal, clock, observe, split, pauses } = this.options;
    let failures = 0;
    let said = "";
    while (!signal.aborted && !this.drained) {
      const before = this.records;
      try {
        await this.readFromControl();
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        failures = this.records > before ? 1 : failures + 1;
        const error = describeThrown(thrown);
        if (error !== said) observe({ type: "source-failed", function: this.options.function, split, error });
        said = error;
        if (isLasting(thrown) ?? failures >= UNEXPECTED_MAX) this.noteStuck(error);
        const restsMs = Math.min(FAILED_SOURCE_MS_MAX, pauses.firstMs * 2 ** Math.min(failures, 30));
        for (const endsAtMs = clock.now() + restsMs; !signal.aborted && clock.now() < endsAtMs; ) {
          await clock.sleep(Math.min(NAP_MS, restsMs));
        }
      }
    }
  }

  private noteStuck(reason: string | undefined): void {
    if (this.stuck === reason) return;
    const { function: name, split, observe, changed } = this.options;
    if (this.stuck === undefined && reason !== undefined)
      observe({ type: "split-stuck", function: name, split, reason });
    this.stuck = reason;
    changed();
  }

  private async readFromControl(): Promise<void> {
    const { source, split, batchRecords, signal, clock, control, observe } = this.options;
    const giveBack = await this.options.begins.take(signal);
    const item = await readSplit(control, { function: this.options.function, split }).finally(giveBack);
    this.position = item === undefined || item === "unborn" ? BEGINNING : item.position;
    const pages = source.reader
      .read({ split, after: this.position, pageRecords: batchRecords, follow: true, signal })
      [Symbol.asyncIterator]();
    let ended = false;
    try {
      for await (const { records, caughtUp, unfinished, ...batch } of cutBatches(pages, this.options, clock)) {
        if (records.length > 0 && !(await this.deliver(records))) return;
        ended = batch.ended;
        this.caughtUp = caughtUp || ended;
        this.noteStuck(undefined);
        if (unfinished !== undefined && unfinished !== this.unfinished) {
          observe({ type: "unfinished-record", function: this.options.function, split, text: unfinished });
        }
        this.unfinished = unfinished;
        if (signal.aborted) return;
        if (ended) break;
      }
      // A reading that ends by itself at an unfinished record waits for nobody to finish it.
      if (!this.caughtUp || (!ended && this.unfinished === undefined)) return;
      this.drained = true;
      observe({ type: "split-drained", function: this.options.function, split });
    } finally {
      await pages.return?.();
    }
  }

  private async deliver(records: Parameters<typeof deliverAll>[2]["records"]): Promise<boolean> {
    this.caughtUp = false;
    this.noteStuck(undefined);
    const options = { ...this.options, onStuck: (reason: string | undefined) => this.noteStuck(reason) };
    const invocations = await deliverAll(options, this.options.function, { split: this.options.split, records });
    if (invocations === undefined) return false;
    this.position = records.at(-1)?.position ?? this.position;
    this.records += records.length;
    this.batches += 1;
    this.invocations += invocations;
    // Where functions run in this process, one batch follows another without a turn of the event loop: the coordinator,
    // whose every step waits for one, would take no checkpoint under load.
    await nextTurn();
    return true;
  }
}

/** Whether an error stays until somebody has done something; undefined: nobody knows. */
function isLasting(thrown: unknown): boolean | undefined {
  return thrown instanceof TidemarkError ? thrown.kind !== "retry" : undefined;
}
