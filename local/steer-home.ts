/** Checkpoints and restores from beside a run, or without one: any process may drive them, and another may carry on. */
import { type CheckpointRequest, checkSavepointName } from "../shared/checkpoint/savepoints.ts";
import type { CheckpointRecord } from "../shared/control/control.ts";
import { readControl } from "../shared/control/control-steps.ts";
import type { SkipChoice, Skipping } from "../shared/dead-letter/skip.ts";
import { systemClock, systemRandomness } from "../shared/environment.ts";
import { TidemarkError } from "../shared/errors.ts";
import { carryOnRestore } from "../shared/restore/carry-on.ts";
import { type RestoreChoice, requestRestore } from "../shared/restore/restore.ts";
import type { RestoreReport } from "../shared/restore/restore-report.ts";
import { type RestoreStatus, restoreStatus } from "../shared/restore/status.ts";
import { createCoordinatorHandler, skipIn } from "../shared/runtime/coordinator-handler.ts";
import { checkpointOutcome } from "./checkpoint-outcome.ts";
import type { HomeApp } from "./open-home-app.ts";
import { askRun } from "./run-control.ts";

const POLL_MS = 200;
const TURN_MS = 15_000;

/**
 * Takes a checkpoint that begins after this call.
 * @throws TidemarkError `retry` when it was aborted or a restore is under way; with the heap backend, when no run is alive;
 *   `fix-configuration` when a savepoint's name cannot be had
 */
export async function takeCheckpoint(app: HomeApp, options: CheckpointRequest = {}): Promise<CheckpointRecord> {
  if (options.savepoint !== undefined) checkSavepointName(options.savepoint);
  const trigger = { ...options, token: systemRandomness.token() };
  if (app.settings.backend === "heap") return askRun(app.home, "checkpoint", trigger);
  const resources = await app.resources();
  const { control, clock } = resources;
  const coordinate = createCoordinatorHandler(resources, { replay: nobodyReplays, pollMs: POLL_MS });
  const asked = { ...trigger, after: (await readControl(control))?.epoch ?? 0 };
  for (;;) {
    const taken = await checkpointOutcome(resources, await readControl(control), asked);
    if (taken !== undefined) return taken;
    await coordinate({ deadlineMs: clock.now() + TURN_MS, trigger });
  }
}

/** Thrown to end the work of a carrier that has no functions to replay with. */
const nobody = new TidemarkError("fix-configuration", "Replaying needs the app's functions, which a run has.");
const nobodyReplays = (): Promise<never> => Promise.reject(nobody);

export interface RestoreEnd {
  readonly report: RestoreReport;
  readonly status: RestoreStatus;
  /** `finished`: events flow again; `loaded`: the next run replays; `unchanged`: see the report's outcome. */
  readonly end: "finished" | "loaded" | "unchanged";
}

/**
 * Restores a checkpoint. With a live run on the home, that run carries it on, and this waits until it is finished.
 * Without one (dynamodb), loads the state and flips to it; the next run replays.
 * @throws TidemarkError of `requestRestore`, and then nothing was changed
 */
export async function restoreHome(
  app: HomeApp,
  choice: RestoreChoice,
  onStatus: (status: RestoreStatus) => void = () => {},
): Promise<RestoreEnd> {
  const heap = app.settings.backend === "heap";
  const { onProgress: _left, ...plain } = choice;
  const report = heap
    ? await askRun(app.home, "restore", plain, { wait: false })
    : await requestRestore(await app.resources(), choice);
  const look = (): Promise<RestoreStatus> => statusOfHome(app);
  if (report.outcome !== "started" && report.outcome !== "under-way") {
    return { report, status: await look(), end: "unchanged" };
  }
  for (;;) {
    const status = await look();
    onStatus(status);
    if (status.generation !== report.generation)
      return { report: { ...report, outcome: "superseded" }, status, end: "unchanged" };
    if (status.phase === "finished") return { report: { ...report, outcome: "finished" }, status, end: "finished" };
    if (heap || app.home.liveRun() !== undefined) {
      await systemClock.sleep(POLL_MS);
    } else if (!(await load(app))) {
      return { report, status: await look(), end: "loaded" };
    }
  }
}

/**
 * Has splits pass over what they stand at, by their next batches: of a live run, or of the next one.
 * @throws TidemarkError of `skipIn`; with the heap backend, when no run is alive
 */
export async function skipInHome(app: HomeApp, choice: SkipChoice): Promise<Skipping> {
  if (app.settings.backend === "heap") return askRun(app.home, "skip", choice);
  return skipIn(await app.resources(), choice);
}

export async function statusOfHome(app: HomeApp): Promise<RestoreStatus> {
  if (app.settings.backend === "heap") return askRun(app.home, "restoreStatus");
  return restoreStatus(await app.resources());
}

/** A turn of the load. @returns whether there is more to do here: false once all that is left is to replay */
async function load(app: HomeApp): Promise<boolean> {
  const resources = await app.resources();
  try {
    await carryOnRestore(resources, { deadlineMs: resources.clock.now() + TURN_MS, replay: nobodyReplays });
    return true;
  } catch (thrown) {
    if (thrown !== nobody) throw thrown;
    return false;
  }
}
