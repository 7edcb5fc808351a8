/** What an engine does whose working state is gone with its process: it starts from what storage has. */
import type { AppResources } from "../app/app-resources.ts";
import { highestCheckpointNumber, latestCheckpoint, liveLineage } from "../checkpoint/lineage.ts";
import { startControlAt } from "../control/restore-steps.ts";
import { carryOnRestore } from "./carry-on.ts";
import type { ReplayInvoker } from "./replay-invoker.ts";
import { requestRestore } from "./restore.ts";
import type { RestoreReport } from "./restore-report.ts";

/**
 * For empty stores (the heap's): restores the latest checkpoint of the live lineage; with none, the app starts afresh,
 * and neither a checkpoint's number nor a generation's that storage has seen is used again. A file that was cut, replaced or taken
 * away since keeps nobody from starting: nothing of it is replayed, and who reads it on is refused.
 *
 * @returns the restore's report, or `nothing-to-do` for a fresh start.
 * @throws TidemarkError as {@link requestRestore} and {@link carryOnRestore} do.
 */
export async function recoverFromStorage(
  resources: AppResources,
  options: { readonly replay: ReplayInvoker },
): Promise<RestoreReport> {
  const { app, control, storage } = resources;
  const latest = await latestCheckpoint(storage, app.name);
  if (latest === undefined) {
    const past = (await liveLineage(storage, app.name))?.generation ?? 0;
    const epoch = await highestCheckpointNumber(storage);
    await startControlAt(control, { mode: app.checkpointing.mode, generation: past + 1, epoch });
    return { outcome: "nothing-to-do" };
  }
  // By its number: a later one that cannot be read is passed over, for the replay makes up for it.
  const requested = await requestRestore(resources, { checkpoint: latest.checkpoint, nothingRead: true });
  const carried = await carryOnRestore(resources, { deadlineMs: Number.POSITIVE_INFINITY, replay: options.replay });
  return { ...requested, ...carried };
}
