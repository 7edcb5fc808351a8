/**
 * Drives an open checkpoint from wherever it stands to its outcome: cut, snapshot, commit (protocol §5).
 *
 * Invariants:
 * - Parts are durable before the manifest is created; the manifest exists before control says COMPLETED.
 * - Every step is found done or is done again: any invocation carries on where another died.
 */
import type { AppResources } from "../app/app-resources.ts";
import type { CheckpointRecord, Control } from "../control/control.ts";
import { startSnapshot } from "../control/control-steps.ts";
import type { CheckpointRun, Interruption } from "./checkpoint-run.ts";
import { readWhileOpen } from "./checkpoint-run.ts";
import { readCoverage } from "./coverage.ts";
import { takeCut } from "./cut.ts";
import { takeFuzzyCut } from "./fuzzy-cut.ts";
import {
  EARLIEST,
  MANIFEST_FORMAT,
  MANIFEST_FORMAT_VERSION,
  type Manifest,
  type ManifestFailing,
  type ManifestFile,
} from "./manifest.ts";
import { abortOpenCheckpoint, decideOutcome, type Outcome, recordOutcome } from "./outcome.ts";
import { SLICES_CONCURRENCY, takeSnapshot } from "./snapshot.ts";
import { ImageGone } from "./snapshot-slice.ts";
import type { CutFailing, SplitCut } from "./split-cut.ts";
import type { Workers } from "./work.ts";

export interface DriveOptions {
  readonly deadlineMs: number;
  readonly pollMs: number;
  readonly slices: number;
  readonly concurrency?: number;
  readonly workers?: Workers;
}

/** Works on the checkpoint that `control` has open until its outcome is recorded, its timeout, or the deadline. */
export async function driveCheckpoint(
  resources: AppResources,
  control: Control & { readonly checkpoint: CheckpointRecord },
  options: DriveOptions,
): Promise<Outcome | Interruption> {
  const { app, clock } = resources;
  const { checkpoint } = control;
  const timeoutAtMs = checkpoint.triggeredAtMs + app.checkpointing.timeoutMs;
  const run: CheckpointRun = {
    resources,
    checkpoint,
    generation: control.gen,
    untilMs: Math.min(options.deadlineMs, timeoutAtMs),
    pollMs: options.pollMs,
  };
  const made = clock.now() < timeoutAtMs ? await makeManifest(run, control, options) : "unfinished";
  if (made === "superseded") return made;
  if (made === "unfinished" && run.untilMs < timeoutAtMs) return made;
  if (made === "unfinished") {
    const reason = `it took longer than ${app.checkpointing.timeoutMs} ms (checkpointing.timeoutMs)`;
    return (await abortOpenCheckpoint(resources, control, reason)) ?? "superseded";
  }
  if ("reason" in made) return (await abortOpenCheckpoint(resources, control, made.reason)) ?? "superseded";
  const outcome = await decideOutcome(resources, checkpoint, made);
  await recordOutcome(resources, checkpoint, outcome);
  return outcome;
}

async function makeManifest(
  run: CheckpointRun,
  control: Control,
  options: DriveOptions,
): Promise<Manifest | { readonly reason: string } | Interruption> {
  const cut = await cutAndPlan(run, control, options.slices);
  if (typeof cut === "string") return cut;
  const { storage, app } = run.resources;
  let files: ManifestFile[] | Interruption;
  try {
    files = await takeSnapshot(run, {
      slices: cut.slices,
      concurrency: options.concurrency ?? SLICES_CONCURRENCY,
      ...(options.workers === undefined ? {} : { workers: options.workers }),
      mode: control.mode,
      covered: await readCoverage(storage, app.name, control),
    });
  } catch (thrown) {
    if (!(thrown instanceof ImageGone)) throw thrown;
    return { reason: thrown.message };
  }
  return typeof files === "string" ? files : manifestOf(run, control, cut.cuts, files);
}

async function cutAndPlan(
  run: CheckpointRun,
  control: Control,
  slices: number,
): Promise<{ readonly cuts: SplitCut[]; readonly slices: number } | Interruption> {
  if (control.mode === "at-least-once") {
    const fuzzy = await takeFuzzyCut(run, slices);
    return typeof fuzzy === "string" ? fuzzy : { cuts: fuzzy.cuts, slices: fuzzy.plan.slices };
  }
  const cuts = await takeCut(run);
  if (typeof cuts === "string") return cuts;
  await startSnapshot(run.resources.control, run.checkpoint, { slices });
  const plan = (await readWhileOpen(run))?.checkpoint?.snapshot;
  return plan === undefined ? "superseded" : { cuts, slices: plan.slices };
}

function manifestOf(
  { resources: { app, clock }, checkpoint }: CheckpointRun,
  control: Control,
  cuts: readonly SplitCut[],
  files: readonly ManifestFile[],
): Manifest {
  const iso = (ms: number): string => new Date(ms).toISOString();
  return {
    format: MANIFEST_FORMAT,
    formatVersion: MANIFEST_FORMAT_VERSION,
    kind: "manifest",
    app: app.name,
    checkpoint: checkpoint.n,
    token: checkpoint.token,
    generation: control.gen,
    ...(control.restoredFrom === undefined ? {} : { restoredFrom: control.restoredFrom }),
    mode: control.mode,
    ...(checkpoint.savepoint === undefined ? {} : { savepoint: checkpoint.savepoint }),
    triggeredAt: iso(checkpoint.triggeredAtMs),
    completedAt: iso(clock.now()),
    functions: app.functions.map(({ name, stateVersion, source }) => ({
      name,
      stateVersion,
      source,
      keys: files.filter((file) => file.function === name).reduce((sum, { items }) => sum + items, 0),
      splits: cuts
        .filter((cut) => cut.function === name)
        .map(({ split, position, freshAtMs, startTimeMs, ended, holes, takenBy, failing }) => ({
          split,
          position,
          freshAt: iso(freshAtMs),
          startFrom: startTimeMs === undefined ? EARLIEST : iso(startTimeMs),
          ended,
          ...(takenBy === undefined ? {} : { takenBy }),
          ...(failing === undefined ? {} : { failing: manifestFailing(failing) }),
          holes,
        })),
    })),
    files,
  };
}

function manifestFailing({ position, sinceMs, stopped }: CutFailing): ManifestFailing {
  const since = new Date(sinceMs).toISOString();
  return { position, since, ...(stopped === true ? { stopped } : {}) };
}
