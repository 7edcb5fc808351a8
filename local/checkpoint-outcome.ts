import { type CheckpointRequest, savepointOf } from "../shared/checkpoint/savepoints.ts";
import type { CheckpointRecord, Control } from "../shared/control/control.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { CheckpointStorage } from "../shared/storage/checkpoint-storage.ts";

export interface AskedCheckpoint extends CheckpointRequest {
  /** The number of the last checkpoint that was begun when it was asked for. */
  readonly after: number;
}

/**
 * What became of a checkpoint that somebody asked for and now waits for. One of a name is that of the request's token; one
 * without is any that began since.
 * @returns undefined: it is not there yet, or still open
 * @throws TidemarkError `retry` when it was aborted, or a restore keeps it from being taken
 */
export async function checkpointOutcome(
  { app, storage }: { readonly app: { readonly name: string }; readonly storage: CheckpointStorage },
  control: Control | undefined,
  asked: AskedCheckpoint,
): Promise<CheckpointRecord | undefined> {
  if (control?.phase === "REPLAYING") {
    throw new TidemarkError(
      "retry",
      "A restore is under way, so no checkpoint can be taken. Ask again when it is done (tidemark restore --status tells).",
    );
  }
  const taken = control?.checkpoint;
  if (taken === undefined || taken.n <= asked.after) return undefined;
  const isMine = asked.savepoint === undefined ? taken.savepoint === undefined : taken.token === asked.token;
  // Another one may have begun since it was completed.
  if (!isMine) return savepointOf(storage, app.name, asked);
  if (taken.open) return undefined;
  if (taken.status === "COMPLETED") return taken;
  throw new TidemarkError("retry", `Checkpoint ${taken.n} was aborted: ${taken.reason ?? "no reason was given"}.`);
}
