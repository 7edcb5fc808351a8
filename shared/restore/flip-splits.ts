/**
 * After control's flip: every split into the restored generation, at the cut.
 *
 * Invariants:
 * - A split is flipped once, from a lower generation ◆; whoever flips it writes what the manifest says, so it does
 *   not matter which carrier it is, or when.
 * - A split that the checkpoint does not have starts at its beginning: nothing of it is in the loaded state.
 * - Which records are too early is the checkpoint's word too: the item may have been born under an app that says otherwise.
 */
import pMap from "p-map";
import { freshAtBeginning } from "../checkpoint/look-at-split.ts";
import { EARLIEST } from "../checkpoint/manifest.ts";
import { storeHoles } from "../control/hole-items.ts";
import { type Split, VERSIONS_KEPT } from "../control/split.ts";
import { type FlipStep, flipSplit, listSplits, type SplitPlace } from "../control/split-steps.ts";
import { BEGINNING } from "../source/position.ts";
import { bornSplit } from "./born-split.ts";
import type { Carrier } from "./carrier.ts";
import type { RestoredFunction } from "./restored-functions.ts";

/** A split of the restored generation as it was found after its flip. */
export interface FlippedSplit {
  readonly place: SplitPlace;
  readonly item: Split;
}

/** Flips what is left to flip and returns the function's splits; undefined: a later restore has flipped one. */
export async function flipSplits(
  carrier: Carrier,
  restored: RestoredFunction,
  epoch: number,
): Promise<FlippedSplit[] | undefined> {
  const { target } = carrier.plan;
  const places: SplitPlace[] = [];
  for await (const { split } of listSplits(carrier.resources.control, restored.description.name)) {
    places.push({ function: restored.description.name, split });
  }
  const splits = await pMap(places, (place) => flip(carrier, restored, { place, epoch }), {
    concurrency: carrier.splitConcurrency,
  });
  return splits.some(({ item }) => item.gen > target) ? undefined : splits;
}

async function flip(
  carrier: Carrier,
  restored: RestoredFunction,
  { place, epoch }: { readonly place: SplitPlace; readonly epoch: number },
): Promise<FlippedSplit> {
  const { control, app } = carrier.resources;
  const { target } = carrier.plan;
  for (;;) {
    const item = await bornSplit(carrier.resources, restored.description, place);
    if (item.gen >= target) return { place, item };
    const atCut = restored.splits.get(place.split);
    // The next turn reads what came of it: a repeat whose first answer was lost finds itself flipped.
    await flipSplit(control, place, {
      target,
      position: atCut?.position ?? BEGINNING,
      // Some of it may have expired since it was read. How fresh the split is where it stands now says nothing of that ◆.
      freshAt:
        atCut === undefined
          ? Math.min(item.beginningFreshAt ?? 0, await freshAtBeginning(carrier.resources, place))
          : Date.parse(atCut.freshAt),
      start: startOf(atCut?.startFrom),
      holes: await storeHoles(control, place, target, atCut?.holes ?? []),
      ended: atCut?.ended ?? false,
      mode: app.checkpointing.mode,
      takenBy: takenByEither(atCut?.takenBy, item.takenBy),
      epoch,
    });
  }
}

/** What a version has once taken it has taken, before the cut or after it; an item that was just born knows of none. */
function takenByEither(
  atCut: readonly string[] | undefined,
  now: readonly string[] | undefined,
): readonly string[] | undefined {
  const both = new Set([...(atCut ?? []), ...(now ?? [])]);
  return both.size === 0 ? undefined : [...both].slice(-VERSIONS_KEPT);
}

function startOf(startFrom: string | undefined): FlipStep["start"] {
  if (startFrom === undefined) return undefined;
  return startFrom === EARLIEST ? {} : { timeMs: Date.parse(startFrom) };
}
