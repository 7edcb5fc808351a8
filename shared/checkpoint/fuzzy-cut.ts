/**
 * The cut of an at-least-once checkpoint: the positions of all splits, read before any state is scanned (protocol §5).
 *
 * Invariants:
 * - Every position was read, and is durable, before the snapshot's plan names it; scans begin after that.
 * - The first plan stays: positions that a second coordinator reads meanwhile, younger than what the first has
 *   scanned, are never used.
 * - A split in another generation than control's is not cut ◆: the coordinator stops, as at an exact cut.
 */
import pMap from "p-map";
import { path, value } from "../control/conditional-write.ts";
import type { SnapshotPlan } from "../control/control.ts";
import { startSnapshot } from "../control/control-steps.ts";
import type { ControlAttributes } from "../control/control-store.ts";
import { allHoles } from "../control/hole-items.ts";
import { cutKey, cutSortPrefix, snapshotPartition } from "../control/item-keys.ts";
import { listSplits, readSplit, type SplitPlace } from "../control/split-steps.ts";
import { invariant } from "../errors.ts";
import { type CheckpointRun, type Interruption, readWhileOpen, SPLITS_CONCURRENCY } from "./checkpoint-run.ts";
import { throwFirst } from "./cut.ts";
import { lookAtSplit } from "./look-at-split.ts";
import { cutFailing, holesAtCut, type SplitCut, unreadableAt } from "./split-cut.ts";

/** Reads and saves every split's position, unless that was done before. One small write and a look a split. */
export async function takeFuzzyCut(
  run: CheckpointRun,
  slices: number,
): Promise<{ readonly cuts: SplitCut[]; readonly plan: SnapshotPlan } | Interruption> {
  const { control, randomness } = run.resources;
  const open = await readWhileOpen(run);
  if (open === undefined) return "superseded";
  let plan = open.checkpoint?.snapshot;
  if (plan === undefined) {
    const cut = randomness.token();
    if (!(await savePositions(run, cut))) return "superseded";
    await startSnapshot(control, run.checkpoint, { slices, cut });
    plan = (await readWhileOpen(run))?.checkpoint?.snapshot;
    if (plan === undefined) return "superseded";
  }
  invariant(plan.cut !== undefined, "an at-least-once snapshot names its positions");
  return { cuts: await readCuts(run, plan.cut), plan };
}

/** False: a split stands in another generation. */
async function savePositions({ resources, checkpoint, generation }: CheckpointRun, cut: string): Promise<boolean> {
  let superseded = false;
  for (const { name } of resources.app.functions) {
    const places: SplitPlace[] = [];
    for await (const { split } of listSplits(resources.control, name)) places.push({ function: name, split });
    await pMap(
      places,
      async (place) => {
        const found = await readSplit(resources.control, place);
        // An unborn split has folded nothing: its beginning is its cut, and a restore births it there.
        if (found === undefined || found === "unborn") return;
        let unreadable = false;
        const split = await lookAtSplit(resources, place, found, () => {
          unreadable = true;
        });
        if (split.gen !== generation) {
          superseded = true;
          return;
        }
        const failing = unreadable ? unreadableAt(split.position, resources.clock.now()) : cutFailing(split);
        await resources.control.update(cutKey(checkpoint.n, cut, place), {
          conditions: [],
          set: [
            [path("function"), value(name)],
            [path("split"), value(place.split)],
            [path("position"), value(split.position)],
            [path("freshAtMs"), value(split.freshAt)],
            [path("ended"), value(split.ended === true)],
            ...(failing === undefined ? [] : [[path("failing"), value({ ...failing })] as const]),
          ],
        });
      },
      { concurrency: SPLITS_CONCURRENCY, stopOnError: false },
    ).catch(throwFirst);
    if (superseded) break;
  }
  return !superseded;
}

async function readCuts({ resources, checkpoint }: CheckpointRun, cut: string): Promise<SplitCut[]> {
  const cuts: SplitCut[] = [];
  for await (const { sort, attributes } of resources.control.list(snapshotPartition(checkpoint.n))) {
    if (!sort.startsWith(cutSortPrefix(cut))) continue;
    const saved = asSaved(attributes);
    const split = await readSplit(resources.control, saved);
    const born = split === "unborn" ? undefined : split;
    const holes = born === undefined ? [] : await allHoles(resources.control, saved, born);
    const { startTimeMs, takenBy } = born ?? {};
    cuts.push({ ...saved, startTimeMs, takenBy, holes: holesAtCut(holes, saved.position) });
  }
  return cuts;
}

type SavedCut = Omit<SplitCut, "holes" | "startTimeMs" | "takenBy">;

function asSaved(attributes: ControlAttributes): SavedCut {
  return attributes as unknown as SavedCut;
}
