/** Which checkpoint to name when one cannot be restored. */
import type { AppResources } from "../app/app-resources.ts";
import { latestCheckpoint } from "../checkpoint/lineage.ts";
import type { Manifest } from "../checkpoint/manifest.ts";
import { readManifest } from "../checkpoint/parse-manifest.ts";
import { readControl } from "../control/control-steps.ts";
import { type CheckOptions, checkCheaply } from "./cheap-checks.ts";
import { lineageForRestore } from "./restore-lineage.ts";

/**
 * The newest checkpoint before `manifest`, of the live lineage, against which nothing is known: its files are there and
 * the source reaches back to it. Its parts are not read. Undefined: there is none.
 */
export async function newestOlderCheckpoint(
  resources: AppResources,
  manifest: Manifest,
  options: CheckOptions,
): Promise<number | undefined> {
  const { app, storage, control } = resources;
  const lineage = await lineageForRestore(resources, await readControl(control));
  let before = manifest.checkpoint;
  for (;;) {
    const older = await latestCheckpoint(storage, app.name, lineage, ({ checkpoint }) => checkpoint < before);
    if (older === undefined) return undefined;
    const candidate = await readManifest(storage, { app: app.name, n: older.checkpoint });
    if ((await checkCheaply(resources, candidate, options)).length === 0) return older.checkpoint;
    before = older.checkpoint;
  }
}
