/** Which lineage "latest" follows when a restore is asked for. */
import type { AppResources } from "../app/app-resources.ts";
import { highestGeneration, type LiveLineage } from "../checkpoint/lineage.ts";
import { readManifest } from "../checkpoint/parse-manifest.ts";
import type { Control } from "../control/control.ts";

/**
 * Control's own lineage. While a restore is under way it is that restore's: what it leaves behind is never latest again.
 * A storage that has seen later generations than control is of an earlier life of the app, whose control was lost: then
 * storage alone tells, and this is undefined.
 */
export async function lineageForRestore(
  { storage, app }: AppResources,
  control: Control | undefined,
): Promise<LiveLineage | undefined> {
  const known = await highestGeneration(storage, app.name);
  if (control === undefined || control.maxGen < known) return undefined;
  const plan = control.phase === "REPLAYING" ? control.restore : undefined;
  if (plan !== undefined && control.gen < plan.target) {
    const { generation } = await readManifest(storage, { app: app.name, n: plan.checkpoint });
    return { generation: plan.target, restoredFrom: { generation, checkpoint: plan.checkpoint } };
  }
  const { gen: generation, restoredFrom } = control;
  return restoredFrom === undefined ? { generation } : { generation, restoredFrom };
}

/** Numbers of generations are never reused, also not those of a life of the app whose control was lost. */
export async function nextGeneration({ storage, app }: AppResources, control: Control | undefined): Promise<number> {
  return Math.max(control?.maxGen ?? 1, await highestGeneration(storage, app.name)) + 1;
}
