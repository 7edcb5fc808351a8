/** How far a restore has come, from control and split items alone: for people and for `--json`. Never needed for safety. */
import type { AppResources } from "../app/app-resources.ts";
import { readManifest } from "../checkpoint/parse-manifest.ts";
import type { Control, Phase, RequestedRestore, RestoreHold, RestorePlan } from "../control/control.ts";
import { readControl } from "../control/control-steps.ts";
import { listSplits } from "../control/split-steps.ts";
import type { Position } from "../source/position.ts";
import { checkedParts } from "./check-parts.ts";
import { partsOfLoad } from "./load.ts";
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
  /**
   * `none`: this app was never restored. `checking`: asked for, nothing was changed. `refused`: the check found that it
   * cannot be done, and nothing was changed. `held`: replayed to where it stays until it is told to go on.
   */
  readonly phase: "none" | "checking" | "refused" | "loading" | "replaying" | "held" | "finished";
  /** The restore's token. */
  readonly id?: string;
  readonly checkpoint?: number;
  readonly generation?: number;
  /** Why it was refused. */
  readonly reason?: string;
  /** Another restore that was asked for while this one is under way, and has not taken its place. */
  readonly requested?: Pick<RestoreStatus, "phase" | "id" | "checkpoint" | "reason">;
  /** Where it is held, or will be. */
  readonly hold?: RestoreHold;
  /** While `checking`: the parts that were read through. */
  readonly partsChecked?: number;
  readonly partsLoaded: number;
  readonly partsTotal: number;
  readonly keysLoaded?: number;
  readonly keysTotal?: number;
  /** Functions whose event source mapping is off for the restore, and will be enabled again. */
  readonly mappingsOff?: readonly string[];
  readonly splits: readonly SplitStatus[];
  /** From its start to its end, or until now. */
  readonly seconds?: number;
}

/**
 * The restore that is under way, else the one that is asked for, else the last one.
 * Cost: one read of control, one GET of the manifest, one query for each function and one for the parts.
 */
export async function restoreStatus(resources: AppResources): Promise<RestoreStatus> {
  const control = await readControl(resources.control);
  const plan = control?.restore;
  const request = control?.requested;
  if (request !== undefined && control?.phase !== "REPLAYING") return requestStatus(resources, request);
  if (control === undefined || plan === undefined) return { phase: "none", partsLoaded: 0, partsTotal: 0, splits: [] };
  const { checkpoint, target, token: id } = plan;
  const finished = plan.finishedAtMs !== undefined;
  const status = {
    ...{ id, checkpoint, generation: target },
    ...(request === undefined ? {} : { requested: requestOf(request) }),
    ...(plan.hold === undefined ? {} : { hold: plan.hold }),
    ...(control.mappingsOff === undefined || finished ? {} : { mappingsOff: Object.keys(control.mappingsOff) }),
    splits: await splitsOf(resources, target),
    seconds: ((plan.finishedAtMs ?? resources.clock.now()) - plan.startedAtMs) / 1000,
  };
  // A finished restore's checkpoint may have been retired since, and its parts' progress is gone.
  if (finished) return { phase: "finished", ...status, partsLoaded: 0, partsTotal: 0 };
  const manifest = await readManifest(resources.storage, { app: resources.app.name, n: checkpoint });
  const functions = restoredFunctions(resources.app, manifest, plan.functions);
  const files = functions.flatMap((one) => one.files);
  const parts = [...(await partsOfLoad(resources.control, target)).values()];
  return {
    phase: phaseOf(control, plan),
    ...status,
    partsLoaded: parts.filter(({ done }) => done).length,
    partsTotal: files.length,
    keysLoaded: parts.reduce((sum, { written }) => sum + written, 0),
    keysTotal: files.reduce((sum, { items }) => sum + items, 0),
  };
}

function phaseOf(control: Control, plan: RestorePlan): RestoreStatus["phase"] {
  if (control.gen < plan.target) return "loading";
  return plan.heldAtMs !== undefined && plan.wentOnAtMs === undefined ? "held" : "replaying";
}

function requestOf({ token: id, checkpoint, refused }: RequestedRestore): NonNullable<RestoreStatus["requested"]> {
  if (refused === undefined) return { phase: "checking", id, checkpoint };
  return { phase: "refused", id, checkpoint, reason: refused.message };
}

async function requestStatus(resources: AppResources, request: RequestedRestore): Promise<RestoreStatus> {
  const { token: id, checkpoint, requestedAtMs, refused, hold } = request;
  const nothing = { id, checkpoint, ...(hold && { hold }), partsLoaded: 0, splits: [] };
  if (refused !== undefined) {
    const seconds = (refused.atMs - requestedAtMs) / 1000;
    return { phase: "refused", ...nothing, reason: refused.message, partsTotal: 0, seconds };
  }
  const { files } = await readManifest(resources.storage, { app: resources.app.name, n: checkpoint });
  return {
    phase: "checking",
    ...nothing,
    partsChecked: (await checkedParts(resources.control, id)).size,
    partsTotal: files.length,
    seconds: (resources.clock.now() - requestedAtMs) / 1000,
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
