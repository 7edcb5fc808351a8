/**
 * The coordinator: one invocation triggers a checkpoint when one is due, drives it, and settles it (protocol §5).
 *
 * Invariants:
 * - An invocation may die anywhere, and any number may run at once: each step is a conditional write or may be
 *   repeated, and the next invocation carries on from control.
 * - One checkpoint is open at a time, none while a restore runs, and none before the one before it is settled.
 */
import type { AppResources } from "../app/app-resources.ts";
import type { CheckpointRecord, Control } from "../control/control.ts";
import { ensureControl, readControl, triggerCheckpoint } from "../control/control-steps.ts";
import { TidemarkError } from "../errors.ts";
import type { Interruption } from "./checkpoint-run.ts";
import { driveCheckpoint } from "./drive.ts";
import { highestCheckpointNumber } from "./lineage.ts";
import { totalsOf } from "./manifest.ts";
import type { Outcome } from "./outcome.ts";
import { type CheckpointRequest, checkSavepointName, claimName } from "./savepoints.ts";
import { removeLeftovers, settle } from "./settle.ts";
import { removeOlderGenerations } from "./sweep.ts";
import type { Workers } from "./work.ts";

export { abortOpenCheckpoint } from "./outcome.ts";

export interface CoordinatorOptions {
  /** When this invocation stops, in ms since 1970; what is unfinished then is carried on by the next one. */
  readonly deadlineMs: number;
  /** How often busy splits, and slices that another invocation writes, are asked again, in ms. @default 1_000 */
  readonly pollMs?: number;
  /** Take a checkpoint now, due or not; with a name, a savepoint: it is kept until somebody removes it. */
  readonly request?: CheckpointRequest;
  /**
   * Slices that each function's state is scanned in; takes effect with the next checkpoint.
   * @default as many as there are workers (4 without any), up to four times as many for a state of many keys
   */
  readonly slices?: number;
  /** Slices scanned at a time by this process, each with a page and a compressor in memory. @default 4 */
  readonly slicesConcurrency?: number;
  /** Who scans the slices. @default this process */
  readonly workers?: Workers;
  /**
   * A checkpoint counts as due so long before its time, in ms. Whoever runs on a schedule gives half of the schedule's
   * period: a run that comes a moment early would otherwise leave it to the next one, and every other would be missed.
   * @default 0
   */
  readonly dueEarlyMs?: number;
}

/** What became of the last checkpoint that this invocation worked on. */
export type CoordinatorReport =
  /** Nothing was due. */
  | { readonly outcome: "idle" }
  /** A restore runs; checkpoints wait for its end. */
  | { readonly outcome: "restoring" }
  /** The deadline came first: the next invocation carries on. */
  | { readonly outcome: "unfinished"; readonly checkpoint: number }
  | { readonly outcome: "completed"; readonly checkpoint: number; readonly keys: number; readonly bytes: number }
  | { readonly outcome: "aborted"; readonly checkpoint: number; readonly reason: string }
  /** Another invocation saw it through. */
  | { readonly outcome: "superseded"; readonly checkpoint: number };

/**
 * Runs one invocation of the coordinator: at most one new checkpoint, besides carrying on one that it finds.
 *
 * Costs, when nothing is due, one read; a checkpoint costs some three small writes a split, a scan of the state, one
 * PUT a part and the manifest's, and retention's few.
 *
 * @throws TidemarkError `fix-configuration` when the app's mode is not the one it runs in, or a savepoint's name cannot be
 * had; whatever the stores throw
 * (`retry` after their patience): nothing is lost, the next invocation carries on.
 */
export async function runCoordinator(resources: AppResources, options: CoordinatorOptions): Promise<CoordinatorReport> {
  const { app, clock, control: store, observe } = resources;
  const { deadlineMs, pollMs = 1_000, slicesConcurrency, workers, request } = options;
  if (request?.savepoint !== undefined) checkSavepointName(request.savepoint);
  let report: CoordinatorReport = { outcome: "idle" };
  let triggered: number | undefined;

  for (;;) {
    const control = await ensureControl(store, app.checkpointing.mode);
    if (control.phase === "REPLAYING") return { outcome: "restoring" };
    checkMode(resources, control);
    const { checkpoint } = control;

    if (checkpoint?.open === true) {
      if (clock.now() >= deadlineMs) return { outcome: "unfinished", checkpoint: checkpoint.n };
      const { n, status } = checkpoint;
      if (n !== triggered) observe({ type: "checkpoint-carried-on", checkpoint: n, status });
      const driving = {
        ...{ deadlineMs, pollMs, slices: options.slices ?? slicesFor(checkpoint.keysBefore, workers?.count) },
        ...(slicesConcurrency === undefined ? {} : { concurrency: slicesConcurrency }),
        ...(workers === undefined ? {} : { workers }),
      };
      const outcome = await driveCheckpoint(resources, { ...control, checkpoint }, driving);
      report = reportOf(n, outcome);
      if (outcome === "unfinished") return report;
      // Whoever was faster may still be about to write the status.
      if (outcome === "superseded" || outcome.status === "DELETED") await clock.sleep(pollMs);
      const current = (await readControl(store))?.checkpoint;
      // Nobody else clears up what was written here after the checkpoint had been settled.
      if (current?.n !== n || current.settled) await removeLeftovers(resources, n);
    } else if (checkpoint !== undefined && !checkpoint.settled) {
      if (clock.now() >= deadlineMs) return report;
      await settle(resources, control, deadlineMs);
    } else if (
      triggered === undefined &&
      (request === undefined ? isDue(resources, control, options.dueEarlyMs) : !isAnswered(request, checkpoint))
    ) {
      if (clock.now() >= deadlineMs) return report;
      const begun = await trigger(resources, control, request);
      if (begun === "answered") return report;
      triggered = begun;
    } else {
      await removeOlderGenerations(resources, control, deadlineMs);
      return report;
    }
  }
}

/** A worker scans and writes so many keys in some seconds: fewer are not worth an invocation of their own. */
const KEYS_PER_SLICE = 100_000;
const SLICES_PER_WORKER_MAX = 4;

/**
 * Every worker has a slice of each function; of large states some more, so that one that is slow, or dies, does not
 * leave the others idle. Each slice is bounded by its cursor, not by its size.
 */
export function slicesFor(keysBefore = 0, workers = 4): number {
  return Math.max(workers, Math.min(Math.ceil(keysBefore / KEYS_PER_SLICE), workers * SLICES_PER_WORKER_MAX));
}

/** When the latest completed checkpoint completed; before the first one, when that was triggered first. Ms since 1970. */
export function checkpointAgeFromMs(checkpoint: CheckpointRecord | undefined): number | undefined {
  return checkpoint?.status === "COMPLETED" ? checkpoint.finishedAtMs : checkpoint?.ageFromMs;
}

function checkMode({ app }: AppResources, control: Control): void {
  if (control.mode === app.checkpointing.mode) return;
  throw new TidemarkError(
    "fix-configuration",
    `The app ${app.name} says checkpointing.mode ${JSON.stringify(app.checkpointing.mode)}, and it runs as ${JSON.stringify(control.mode)}. The mode changes with a restore only: set it back, take a savepoint, set the new mode, and restore the savepoint.`,
  );
}

function isDue({ app, clock }: AppResources, { checkpoint }: Control, dueEarlyMs = 0): boolean {
  const { intervalMs } = app.checkpointing;
  if (intervalMs === undefined) return false;
  return checkpoint === undefined || clock.now() - checkpoint.triggeredAtMs >= intervalMs - dueEarlyMs;
}

/** The last checkpoint is the very one that was asked for: an earlier invocation has seen to it. */
function isAnswered({ token }: CheckpointRequest, checkpoint: CheckpointRecord | undefined): boolean {
  return token !== undefined && checkpoint?.token === token && checkpoint.status === "COMPLETED";
}

/**
 * @returns the checkpoint's number when this call opened it; another invocation may have been first. "answered": the
 *   savepoint that is asked for is there
 */
async function trigger(
  { app, clock, control: store, observe, randomness, storage }: AppResources,
  control: Control,
  request: CheckpointRequest = {},
): Promise<number | "answered" | undefined> {
  const { savepoint } = request;
  const replaces = savepoint === undefined ? [] : await claimName(storage, app.name, { ...request, savepoint });
  if (replaces === "taken") return "answered";
  // Numbers are never used twice: what an earlier life of the app left in storage keeps its own.
  const past =
    control.checkpoint === undefined || control.checkpoint.foreign === true
      ? await highestCheckpointNumber(storage)
      : 0;
  const { checkpoint: previous } = control;
  const keysBefore = previous?.keys ?? previous?.keysBefore;
  const nowMs = clock.now();
  const ageFromMs = checkpointAgeFromMs(previous) ?? nowMs;
  const checkpoint: CheckpointRecord = {
    n: Math.max(control.epoch, past) + 1,
    open: true,
    status: "TRIGGERED",
    token: request.token ?? randomness.token(),
    ...(savepoint === undefined ? {} : { savepoint }),
    ...(replaces.length === 0 ? {} : { replaces: [...replaces] }),
    triggeredAtMs: nowMs,
    ageFromMs,
    ...(keysBefore === undefined ? {} : { keysBefore }),
    settled: false,
  };
  if ((await triggerCheckpoint(store, { epochRead: control.epoch, checkpoint })) === undefined) {
    // A repeat of a write whose answer was lost is refused too: the token tells whose checkpoint is open.
    if ((await readControl(store))?.checkpoint?.token !== checkpoint.token) return undefined;
  }
  observe({
    type: "checkpoint-triggered",
    checkpoint: checkpoint.n,
    ...(savepoint === undefined ? {} : { savepoint }),
  });
  return checkpoint.n;
}

function reportOf(checkpoint: number, outcome: Outcome | Interruption): CoordinatorReport {
  if (typeof outcome === "string") return { outcome, checkpoint };
  switch (outcome.status) {
    case "COMPLETED": {
      const { keys, bytes } = totalsOf(outcome.manifest);
      return { outcome: "completed", checkpoint, keys, bytes };
    }
    case "ABORTED":
      return { outcome: "aborted", checkpoint, reason: outcome.reason };
    case "DELETED":
      return { outcome: "superseded", checkpoint };
  }
}
