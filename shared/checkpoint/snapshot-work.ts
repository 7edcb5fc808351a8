/** What a snapshot worker does: one slice of the open checkpoint, until it is done or the time is up. */
import type { AppResources } from "../app/app-resources.ts";
import { readControl } from "../control/control-steps.ts";
import { type CheckpointRun, readWhileOpen } from "./checkpoint-run.ts";
import { readCoverage } from "./coverage.ts";
import { ImageGone, snapshotSlice } from "./snapshot-slice.ts";
import type { SnapshotWork, WorkAnswer } from "./work.ts";

const POLL_MS = 1_000;

/**
 * Costs two reads and a GET besides the slice's own (see `snapshotSlice`). A crash leaves the cursor of the last part
 * that was saved; at the deadline the part that is being written is closed and saved.
 */
export async function runSnapshotWork(
  resources: AppResources,
  work: SnapshotWork,
  deadlineMs: number,
): Promise<WorkAnswer> {
  const { app, control: store, storage } = resources;
  const control = await readControl(store);
  const { checkpoint } = control ?? {};
  if (control === undefined || checkpoint?.n !== work.checkpoint || checkpoint.token !== work.token) {
    return { outcome: "superseded" };
  }
  const run: CheckpointRun = {
    resources,
    checkpoint,
    generation: control.gen,
    untilMs: Math.min(deadlineMs, checkpoint.triggeredAtMs + app.checkpointing.timeoutMs),
    pollMs: POLL_MS,
  };
  const slices = (await readWhileOpen(run))?.checkpoint?.snapshot?.slices;
  if (slices === undefined) return { outcome: "superseded" };
  try {
    const outcome = await snapshotSlice({
      run,
      place: { checkpoint: work.checkpoint, function: work.function, slice: work.slice },
      slices,
      mode: control.mode,
      covered: await readCoverage(storage, app.name, control),
      signal: new AbortController().signal,
    });
    return { outcome };
  } catch (thrown) {
    if (!(thrown instanceof ImageGone)) throw thrown;
    return { outcome: "image-gone", reason: thrown.message };
  }
}
