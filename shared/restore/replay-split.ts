/**
 * The replay of one split, by the event function, on the restore's instruction.
 *
 * Invariants:
 * - A split becomes RUNNING only when it has reached `until`; its item says so, never an answer of the replayer.
 * - While a restore is to be held no split becomes RUNNING, also none that has nothing left to replay ◆: with its mapping
 *   not yet off it would go on past where everything is to stay.
 */
import { readSplit, runSplit, type SplitPlace } from "../control/split-steps.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import type { Position } from "../source/position.ts";
import { type Carrier, controlOfPlan, isOver, type StepOutcome } from "./carrier.ts";
import { stopOf } from "./restore-hold.ts";

/** Invocations of one split in a row that fail before the carrier gives up; backoff between them grows to the maximum. */
const FAILURES_MAX = 8;
const BACKOFF_MS = 200;
const BACKOFF_MS_MAX = 10_000;
/** A batch is halved until the record that kills stands alone: 10,000 records take 14 Begins. */
const HALVINGS_MAX = 14;
/** A NAT gateway forgets a connection that idles for 350 s. */
const STRETCH_MS = 120_000;

export async function replaySplit(carrier: Carrier, place: SplitPlace): Promise<StepOutcome> {
  const { resources, plan, replay } = carrier;
  const { control, observe } = resources;
  const idleMax = resources.app.deadLetters.triesMax + HALVINGS_MAX;
  let failures = 0;
  let idle = 0;
  let reached: Position | undefined;
  for (;;) {
    const item = await readSplit(control, place);
    if (item === undefined || item === "unborn" || item.gen !== plan.target) return "superseded";
    if (item.phase === "RUNNING") return "done";
    const stop = stopOf(plan, place, item.until);
    if (stop?.position !== undefined && item.position >= stop.position) return "held";
    if (stop === undefined && (item.until === undefined || item.position >= item.until)) {
      // Not applied: another carrier, or a Begin, came first; the next turn reads what it did.
      if ((await runSplit(control, place, plan.target)) !== undefined) {
        observe({ type: "split-replayed", ...place, position: item.position });
      }
      continue;
    }
    if (isOver(carrier)) return "unfinished";
    if ((await controlOfPlan(carrier)) === undefined) return "superseded";

    idle = item.position === reached ? idle + 1 : 0;
    reached = item.position;
    if (idle > idleMax) throw stuck(place, item.position, stop?.position ?? item.until ?? "", item.failing?.error);
    if (idle > 0) await pause(carrier, idle);
    try {
      const leftMs = carrier.deadlineMs - resources.clock.now();
      const { stopped } = await replay({
        ...{ ...place, generation: plan.target, milliseconds: Math.min(STRETCH_MS, leftMs) },
        ...(stop === undefined ? {} : { stop }),
      });
      failures = 0;
      if (stopped === true) return "held";
    } catch (thrown) {
      if (thrown instanceof TidemarkError && thrown.kind !== "retry") throw thrown;
      failures += 1;
      if (failures >= FAILURES_MAX) throw failing(place, thrown);
      // A death says nothing of how far the split gets, and has its own pause.
      reached = undefined;
      await pause(carrier, failures);
    }
  }
}

/** Full jitter under an exponential bound. */
async function pause(carrier: Carrier, turn: number): Promise<void> {
  const { clock, randomness } = carrier.resources;
  const bound = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.min(turn, 10));
  await clock.sleep(Math.ceil(bound * randomness.fraction()));
}

function stuck(place: SplitPlace, position: Position, until: Position, error: string | undefined): TidemarkError {
  return new TidemarkError(
    "fix-function",
    `The replay of split ${place.split} of function ${place.function} stays at position ${JSON.stringify(position)} and has to reach ${JSON.stringify(until)}${error === undefined ? "" : `; the record after it fails with: ${error}`}. Repair the function and run the restore again: it goes on from there.`,
  );
}

function failing(place: SplitPlace, thrown: unknown): TidemarkError {
  return new TidemarkError(
    "retry",
    `The replay of split ${place.split} of function ${place.function} failed ${FAILURES_MAX} times in a row, at last with: ${describeThrown(thrown)}. Run the restore again: it goes on from there.`,
    { cause: thrown },
  );
}
