/** Where a restore is to be held: checked against the checkpoint that it begins from, and looked up for each split. Pure. */
import type { Manifest } from "../checkpoint/manifest.ts";
import type { RestoreHold, RestorePlan } from "../control/control.ts";
import type { SplitPlace } from "../control/split-steps.ts";
import { TidemarkError } from "../errors.ts";
import type { ReplayStop } from "./replay-invoker.ts";
import type { RestoredFunctions } from "./restored-functions.ts";

/** Where one split stops; undefined: the restore is not held, or was told to go on. */
export function stopOf(plan: RestorePlan, place: SplitPlace, until: string | undefined): ReplayStop | undefined {
  const { hold } = plan;
  if (hold === undefined || plan.wentOnAtMs !== undefined) return undefined;
  if (hold.arrivedByMs !== undefined) return { arrivedByMs: hold.arrivedByMs };
  return { position: hold.positions?.[place.function]?.[place.split] ?? until ?? "" };
}

/**
 * Refuses a hold that the restored state would already be past, or that names what is not there.
 * @throws TidemarkError `fix-configuration`, with what would do
 */
export function checkHold(manifest: Manifest, { functions }: RestoredFunctions, hold: RestoreHold): void {
  const { arrivedByMs } = hold;
  if (arrivedByMs !== undefined && arrivedByMs < Date.parse(manifest.completedAt)) {
    throw refused(
      `until is ${new Date(arrivedByMs).toISOString()}, and checkpoint ${manifest.checkpoint} completed at ${manifest.completedAt}: its state may hold records that arrived after until`,
      "Choose a checkpoint that completed before it; without a choice, the latest of those is restored.",
    );
  }
  for (const [name, splits] of Object.entries(hold.positions ?? {})) {
    const from = manifest.functions.find((one) => one.name === functions[name]);
    if (from === undefined) {
      throw refused(
        `until names the function ${JSON.stringify(name)}, of which checkpoint ${manifest.checkpoint} has no state to restore`,
        `It restores ${Object.keys(functions).join(", ")}.`,
      );
    }
    for (const [split, position] of Object.entries(splits)) {
      const cut = from.splits.find((one) => one.split === split);
      if (cut === undefined) {
        throw refused(
          `until names the split ${JSON.stringify(split)} of function ${name}, which checkpoint ${manifest.checkpoint} does not have`,
          `It has ${from.splits.map((one) => one.split).join(", ")}.`,
        );
      }
      if (position.length !== cut.position.length && cut.position !== "") {
        throw refused(
          `until gives the position ${JSON.stringify(position)} for split ${split} of function ${name}, which is none of its source`,
          `Give it as a status shows it, like ${JSON.stringify(cut.position)}.`,
        );
      }
      if (position < cut.position) {
        throw refused(
          `until gives the position ${position} for split ${split} of function ${name}, and checkpoint ${manifest.checkpoint} has it at ${cut.position} already`,
          "Choose an earlier checkpoint or a later position.",
        );
      }
    }
  }
}

function refused(why: string, wayOut: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The restore cannot be held there: ${why}. ${wayOut} Nothing was changed.`,
  );
}
