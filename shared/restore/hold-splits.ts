/**
 * Before the flip: every split stands still, and every split of the checkpoint exists.
 *
 * Invariants:
 * - Every split of the manifest is born before control is flipped ◆. A split born after the flip is born into the
 *   target generation at its beginning, and no flip moves it any more: its events up to the cut, which the loaded
 *   state holds already, would be folded a second time.
 * - A split that exists is REPLAYING before the load: no batch begins on it, so its `attemptedTo` is final.
 * - A renamed function's splits replay as far as the function of the old name had tried them.
 */
import pMap from "p-map";
import { raiseUntil } from "../control/restore-steps.ts";
import { listSplits, readSplit, type SplitPlace, setReplaying } from "../control/split-steps.ts";
import { laterOf } from "../source/position.ts";
import { bornSplit } from "./born-split.ts";
import { type Carrier, controlOfPlan, type StepOutcome } from "./carrier.ts";
import type { RestoredFunction } from "./restored-functions.ts";

export async function holdSplits(carrier: Carrier): Promise<StepOutcome> {
  for (const restored of carrier.functions) {
    if ((await controlOfPlan(carrier)) === undefined) return "superseded";
    const { name } = restored.description;
    const places: SplitPlace[] = [...restored.splits.keys()].map((split) => ({ function: name, split }));
    for await (const { split } of listSplits(carrier.resources.control, name)) {
      if (!restored.splits.has(split)) places.push({ function: name, split });
    }
    await pMap(places, (place) => hold(carrier, restored, place), { concurrency: carrier.splitConcurrency });
    await holdFormerName(carrier, restored);
  }
  return "done";
}

async function hold(carrier: Carrier, restored: RestoredFunction, place: SplitPlace): Promise<void> {
  await bornSplit(carrier.resources, restored.description, place);
  await setReplaying(carrier.resources.control, place, carrier.plan.target);
}

/** The function of the old name may still be deployed: it must neither go on nor be forgotten. */
async function holdFormerName(carrier: Carrier, restored: RestoredFunction): Promise<void> {
  const { control } = carrier.resources;
  const { target } = carrier.plan;
  const { name } = restored.description;
  const former = restored.from?.name;
  if (former === undefined || former === name) return;
  for await (const { split, item } of listSplits(control, former)) {
    if (item === "unborn") continue;
    const place = { function: former, split };
    await setReplaying(control, place, target);
    const held = await readSplit(control, place);
    if (held === undefined || held === "unborn") continue;
    const successor = { function: name, split };
    await bornSplit(carrier.resources, restored.description, successor);
    await setReplaying(control, successor, target);
    await raiseUntil(control, successor, { target, until: laterOf(held.attemptedTo, held.until ?? "") });
  }
}
