/**
 * Delivers one batch of a split until all of it is resolved, as Lambda's event source mapping does: unlimited retries
 * with growing pauses, from the record that a partial batch failure names on.
 */
import { readControl } from "../../shared/control/control-steps.ts";
import type { ControlStore } from "../../shared/control/control-store.ts";
import { readSplit } from "../../shared/control/split-steps.ts";
import type { Clock, Randomness } from "../../shared/environment.ts";
import { describeThrown, TidemarkError } from "../../shared/errors.ts";
import type { BatchAnswer } from "../../shared/runtime/event-handler.ts";
import { BEGINNING } from "../../shared/source/position.ts";
import type { SourceBatch, SourceRecord } from "../../shared/source/source.ts";
import type { EngineObserver } from "../engine-event.ts";

/** Invokes a function with records of a split. A throw, or the death of the invocation, is a failure of the whole batch. */
export type Deliver = (functionName: string, batch: SourceBatch) => Promise<BatchAnswer>;

export interface DeliveryPauses {
  /** The pause after the first failure; it doubles with each further one, with full jitter. */
  readonly firstMs: number;
  readonly longestMs: number;
}

export const DELIVERY_PAUSES: DeliveryPauses = { firstMs: 100, longestMs: 2_000 };

/** A refusal may be of a restore that just ends, or of a worker that is just replaced: this often in a row it is not. */
const REFUSALS_MAX = 3;

/** How often a restore that replays the split is looked at. */
const RESTORE_POLL_MS = 100;

export interface DeliveryOptions {
  readonly deliver: Deliver;
  readonly control: ControlStore;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly observe: EngineObserver;
  readonly pauses: DeliveryPauses;
  readonly signal: AbortSignal;
  /** Told why the batch will not pass by itself, and `undefined` when it has got further after all. It is tried on. */
  readonly onStuck?: (reason: string | undefined) => void;
}

/** @returns how many invocations it took; or undefined when `signal` ended it before all was resolved. */
export async function deliverAll(
  options: DeliveryOptions,
  functionName: string,
  batch: SourceBatch,
): Promise<number | undefined> {
  let rest = batch.records;
  let failures = 0;
  for (let invocations = 1; ; invocations++) {
    if (options.signal.aborted) return undefined;
    const outcome = await tryOnce(options, functionName, { split: batch.split, records: rest });
    if (outcome.rest.length === 0) {
      options.onStuck?.(undefined);
      return invocations;
    }
    // A batch that got further starts over with short pauses: something is getting done.
    failures = outcome.rest.length < rest.length ? 1 : failures + 1;
    rest = outcome.rest;
    const isStuck = outcome.stopped || (outcome.refused && failures >= REFUSALS_MAX);
    options.onStuck?.(isStuck ? outcome.error : undefined);
    options.observe({
      type: "delivery-failed",
      function: functionName,
      split: batch.split,
      records: rest.length,
      tries: failures,
      error: outcome.error,
    });
    await pause(options, failures);
    rest = await afterRestore(options, functionName, batch.split, rest);
    if (rest.length === 0) return invocations;
  }
}

interface Outcome {
  readonly rest: readonly SourceRecord[];
  readonly error: string;
  /** The split has stopped. */
  readonly stopped: boolean;
  /** For a reason that is not of a kind that passes. */
  readonly refused: boolean;
}

async function tryOnce({ deliver }: DeliveryOptions, functionName: string, batch: SourceBatch): Promise<Outcome> {
  try {
    const { batchItemFailures, reason, stopped = false } = await deliver(functionName, batch);
    if (batchItemFailures.length === 0) return { rest: [], error: "", stopped: false, refused: false };
    const named = new Set(batchItemFailures.map((failure) => failure.itemIdentifier));
    const first = batch.records.findIndex((record) => named.has(record.itemIdentifier));
    // As with Lambda, a name that the batch does not hold fails the whole batch.
    const rest = batch.records.slice(Math.max(first, 0));
    return { rest, error: reason ?? "the function reported it", stopped, refused: false };
  } catch (thrown) {
    const refused = thrown instanceof TidemarkError && thrown.kind !== "retry";
    return { rest: batch.records, error: describeThrown(thrown), stopped: false, refused };
  }
}

async function pause({ clock, randomness, pauses, signal }: DeliveryOptions, failures: number): Promise<void> {
  const ceilingMs = Math.min(pauses.longestMs, pauses.firstMs * 2 ** Math.min(failures - 1, 30));
  const untilMs = clock.now() + ceilingMs * (0.5 + randomness.fraction() / 2);
  for (let leftMs = untilMs - clock.now(); leftMs > 0 && !signal.aborted; leftMs = untilMs - clock.now()) {
    await clock.sleep(Math.min(leftMs, RESTORE_POLL_MS));
  }
}

/** While a restore replays, its own invocations feed the split; what it has passed need not be sent again. */
async function afterRestore(
  { control, clock, signal }: DeliveryOptions,
  functionName: string,
  split: string,
  rest: readonly SourceRecord[],
): Promise<readonly SourceRecord[]> {
  try {
    if ((await readControl(control))?.phase !== "REPLAYING") return rest;
    while (!signal.aborted && (await readControl(control))?.phase === "REPLAYING") await clock.sleep(RESTORE_POLL_MS);
    const item = await readSplit(control, { function: functionName, split });
    const position = item === undefined || item === "unborn" ? BEGINNING : item.position;
    return rest.filter((record) => record.position > position);
  } catch {
    // Only the pause depends on control: the handler itself refuses what must not be folded.
    return rest;
  }
}
