/**
 * Settling: what follows a checkpoint's outcome before the next one may begin (protocol §5, step 5).
 *
 * Invariants:
 * - Splits are told only after control has the outcome: before-images are needed until then.
 * - Every step may be repeated; `settled` is written last, so that whoever finds it missing does all of them again.
 */
import pMap from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { Control } from "../control/control.ts";
import { settleCheckpoint } from "../control/control-steps.ts";
import { snapshotPartition } from "../control/item-keys.ts";
import { listSplits, resolveEpoch } from "../control/split-steps.ts";
import { invariant } from "../errors.ts";
import { SPLITS_CONCURRENCY } from "./checkpoint-run.ts";
import { nextCoverage } from "./coverage.ts";
import { throwFirst } from "./cut.ts";
import { applyRetention, removeOrphans } from "./retention.ts";
import { removeTombstones } from "./sweep.ts";

/**
 * Tells the splits, applies retention, removes tombstones (until the deadline: the rest is left for the next time) and
 * what the snapshot left behind. A write a split, a few requests for storage, and retention's.
 * @returns control once the checkpoint is settled, by this call or another.
 */
export async function settle(
  resources: AppResources,
  control: Control,
  deadlineMs: number,
): Promise<Control | undefined> {
  const { checkpoint } = control;
  invariant(checkpoint !== undefined && !checkpoint.open, "only a checkpoint with an outcome is settled");
  const { n } = checkpoint;
  if (control.mode === "exactly-once") await resolve(resources, control, n);
  await removeOrphans(resources, n);
  if (checkpoint.status !== "COMPLETED") {
    await removeProgress(resources, n);
    return settleCheckpoint(resources.control, { n });
  }
  const kept = await applyRetention(
    resources,
    checkpoint.savepoint === undefined ? n : undefined,
    checkpoint.replaces ?? [],
  );
  if (checkpoint.snapshot !== undefined) {
    await removeTombstones(resources, control, { n, slices: checkpoint.snapshot.slices }, deadlineMs);
  }
  await removeProgress(resources, n);
  const atMs = checkpoint.finishedAtMs ?? resources.clock.now();
  const coverage = nextCoverage(control.coverage, { n, generation: control.gen, atMs });
  return settleCheckpoint(resources.control, { n, kept, coverage });
}

/** Writers may drop the before-images of epochs up to `n`. */
async function resolve({ app, control: store }: AppResources, control: Control, n: number): Promise<void> {
  for (const { name } of app.functions) {
    const open = [];
    for await (const { split, item } of listSplits(store, name)) {
      if (item !== "unborn" && item.resolved < n && item.gen === control.gen) open.push({ split, item });
    }
    await pMap(open, ({ split, item }) => resolveEpoch(store, { function: name, split }, { n, read: item }), {
      concurrency: SPLITS_CONCURRENCY,
      stopOnError: false,
    }).catch(throwFirst);
  }
}

/** Clears what an invocation still wrote for checkpoint `n` after others had settled it. */
export async function removeLeftovers(resources: AppResources, n: number): Promise<void> {
  await removeOrphans(resources, n);
  await removeProgress(resources, n);
}

async function removeProgress({ control }: AppResources, n: number): Promise<void> {
  const partition = snapshotPartition(n);
  for await (const { sort } of control.list(partition)) await control.delete({ partition, sort });
}
