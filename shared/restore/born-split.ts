/** A split's item, born where it is not: births read control themselves, after the unborn item was seen (protocol §4). */
import type { FunctionDescription } from "../app/app-description.ts";
import type { AppResources } from "../app/app-resources.ts";
import { freshAtBeginning } from "../checkpoint/look-at-split.ts";
import type { Split } from "../control/split.ts";
import { birth, readSplit, type SplitPlace } from "../control/split-steps.ts";
import { invariant } from "../errors.ts";

export async function bornSplit(
  resources: AppResources,
  description: FunctionDescription,
  place: SplitPlace,
): Promise<Split> {
  const found = await readSplit(resources.control, place);
  if (found !== undefined && found !== "unborn") return found;
  await birth(resources.control, place, {
    mode: resources.app.checkpointing.mode,
    freshAtMs: await freshAtBeginning(resources, place),
    startTimeMs: description.startTimeMs,
  });
  const born = await readSplit(resources.control, place);
  invariant(born !== undefined && born !== "unborn", "a split is born once its birth was answered");
  return born;
}
