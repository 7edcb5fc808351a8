/** How far a restore has come, from control and split items alone: for people and for `--json`. Never needed for safety. */
import type { AppResources } from "../app/app-resources.ts";
import { readManifest } from "../checkpoint/parse-manifest.ts";
import { readControl } from "../control/control-steps.ts";
import type { Phase } from "../control/split.ts";
import { listSplits } from "../control/split-steps.ts";
import type { Position } from "../source/position.ts";
import { loadedParts } from "./load.ts";
import { restoredFunctions } from "./restored-functions.ts";

export interface SplitStatus {
  readonly function: string;
  readonly split: string;
  /** `WAITING`: not yet in the restored generation. */
  readonly phase: Phase | "WAITING";
  readonly position: Position;
  /** A replay goes to here; absent: there is nothing to replay. */
  readonly until?: Position;
}

export interface RestoreStatus {
  /** `none`: this app was never restored. */
  readonly phase: "none" | "loading" | "replaying" | "finished";
  readonly checkpoint?: number;
  readonly generation?: number;
  readonly partsLoaded: number;
  readonly partsTotal: number;
  readonly splits: readonly SplitStatus[];
  /** From its start to its end, or until now. */
  readonly seconds?: number;
}

/**
 * The restore that is under way, or the last one.
 * Cost: one read of control, one GET of the manifest, one query for each function and one for the parts.
 */
export async function restoreStatus(resources: AppResources): Promise<RestoreStatus> {
  const control = await readControl(resources.control);
  const plan = control?.restore;
  if (control === undefined || plan === undefined) return { phase: "none", partsLoaded: 0, partsTotal: 0, splits: [] };
  const { checkpoint, target } = plan;
  const finished = plan.finishedAtMs !== undefined;
  const seconds = ((plan.finishedAtMs ?? resources.clock.now()) - plan.startedAtMs) / 1000;
  // A finished restore's checkpoint may have been retired since, and its parts' progress is gone.
  if (finished) {
    const splits = await splitsOf(resources, target);
    return { phase: "finished", checkpoint, generation: target, partsLoaded: 0, partsTotal: 0, splits, seconds };
  }
  const manifest = await readManifest(resources.storage, { app: resources.app.name, n: checkpoint });
  const functions = restoredFunctions(resources.app, manifest, plan.functions);
  return {
    phase: control.gen < target ? "loading" : "replaying",
    checkpoint,
    generation: target,
    partsLoaded: (await loadedParts(resources.control, target)).size,
    partsTotal: functions.reduce((sum, { files }) => sum + files.length, 0),
    splits: await splitsOf(resources, target),
    seconds,
  };
}

async function splitsOf({ app, control }: AppResources, target: number): Promise<SplitStatus[]> {
  const splits: SplitStatus[] = [];
  for (const { name } of app.functions) {
    for await (const { split, item } of listSplits(control, name)) {
      if (item === "unborn") continue;
      splits.push({
        function: name,
        split,
        phase: item.gen < target ? "WAITING" : item.phase,
        position: item.position,
        ...(item.until === undefined ? {} : { until: item.until }),
      });
    }
  }
  return splits;
}
