/**
 * The second half of a restore: flip, replay, run, until a look at every split finds nothing left to do.
 *
 * Invariants:
 * - Splits are listed again after control's flip, and again before the end: one that was born meanwhile is met.
 * - A split runs only after its parents do, and a function's redriven dead letters after all its other splits. Where a
 *   restore is to be held, a parent that has come to its hold counts as one that runs.
 * - Where it is held at a time, every split of the source is met, also one that no batch has ever read ◆.
 */
import pMap from "p-map";
import type { SplitPlace } from "../control/split-steps.ts";
import { REDRIVE_SPLIT } from "../dead-letter/redrive-letter.ts";
import { invariant } from "../errors.ts";
import type { SplitDescription } from "../source/source.ts";
import { bornSplit } from "./born-split.ts";
import { type Carrier, controlOfPlan, isOver, type StepOutcome } from "./carrier.ts";
import { type FlippedSplit, flipSplits } from "./flip-splits.ts";
import { replaySplit } from "./replay-split.ts";
import type { RestoredFunction } from "./restored-functions.ts";

const nameOf = ({ function: name, split }: SplitPlace): string => `${name}/${split}`;

export async function replaySplits(carrier: Carrier): Promise<StepOutcome> {
  const held = new Set<string>();
  for (;;) {
    const control = await controlOfPlan(carrier);
    if (control === undefined) return "superseded";
    const waiting: FlippedSplit[] = [];
    const ready: FlippedSplit[] = [];
    for (const restored of carrier.functions) {
      if (holdsAtTime(carrier)) await bearUnreadSplits(carrier, restored);
      const splits = await flipSplits(carrier, restored, control.epoch);
      if (splits === undefined) return "superseded";
      const replaying = splits.filter(({ item, place }) => item.phase === "REPLAYING" && !held.has(nameOf(place)));
      waiting.push(...replaying);
      if (replaying.length > 0) ready.push(...(await withoutWaitingParents(carrier, restored, replaying)));
    }
    if (waiting.length === 0) return held.size === 0 ? "done" : "held";
    invariant(ready.length > 0, "splits are not their own ancestors");
    if (isOver(carrier)) return "unfinished";
    const outcomes = await pMap(ready, ({ place }) => replaySplit(carrier, place), {
      concurrency: carrier.splitConcurrency,
      // One split's failure must not leave the others behind: they end what they are at.
      stopOnError: false,
    }).catch((thrown: unknown) => {
      throw thrown instanceof AggregateError ? thrown.errors[0] : thrown;
    });
    if (outcomes.includes("superseded")) return "superseded";
    if (outcomes.includes("unfinished")) return "unfinished";
    for (const [index, { place }] of ready.entries()) if (outcomes[index] === "held") held.add(nameOf(place));
  }
}

const holdsAtTime = ({ plan }: Carrier): boolean =>
  plan.hold?.arrivedByMs !== undefined && plan.wentOnAtMs === undefined;

/** ◆ A split that no batch has met may hold records from before the time, and its mapping is off. */
async function bearUnreadSplits({ resources }: Carrier, { description }: RestoredFunction): Promise<void> {
  for await (const { split } of resources.sourceOf(description.name).reader.splits()) {
    await bornSplit(resources, description, { function: description.name, split });
  }
}

async function withoutWaitingParents(
  carrier: Carrier,
  restored: RestoredFunction,
  replaying: readonly FlippedSplit[],
): Promise<FlippedSplit[]> {
  const waiting = new Set(replaying.map(({ place }) => place.split));
  const parents = new Map<string, readonly string[]>();
  const listed: AsyncIterable<SplitDescription> = carrier.resources.sourceOf(restored.description.name).reader.splits();
  for await (const description of listed) {
    if (waiting.has(description.split)) parents.set(description.split, description.parents);
  }
  return replaying.filter(({ place }) =>
    // Dead letters were given up before, and come after everything else again.
    place.split === REDRIVE_SPLIT
      ? waiting.size === 1
      : !(parents.get(place.split) ?? []).some((parent) => waiting.has(parent)),
  );
}
