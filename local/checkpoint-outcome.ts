import type { CheckpointRecord, Control } from "../shared/control/control.ts";
import { TidemarkError } from "../shared/errors.ts";

/**
 * What became of a checkpoint that somebody asked for and now waits for.
 * @param asked.after the number of the last checkpoint that was begun when it was asked for
 * @returns undefined: it is not there yet, or still open
 * @throws TidemarkError `retry` when it was aborted, or a restore keeps it from being taken
 */
export function checkpointOutcome(
  control: Control | undefined,
  asked: { readonly after: number; readonly savepoint?: string },
): CheckpointRecord | undefined {
  if (control?.phase === "REPLAYING") {
    throw new TidemarkError(
      "retry",
      "A restore is under way, so no checkpoint can be taken. Ask again when it is done (tidemark restore --status tells).",
    );
  }
  const taken = control?.checkpoint;
  if (taken === undefined || taken.n <= asked.after || taken.open || taken.savepoint !== asked.savepoint) {
    return undefined;
  }
  if (taken.status === "COMPLETED") return taken;
  throw new TidemarkError("retry", `Checkpoint ${taken.n} was aborted: ${taken.reason ?? "no reason was given"}.`);
}
