/**
 * The beginning of a restore: choose, check, and record it on control. Nothing is loaded here: `carry-on.ts` does what
 * control records, so that whoever comes next can go on.
 *
 * Invariants:
 * - The checkpoint is pinned before pre-flight looks at it, and control's plan keeps it from its record on.
 * - An open checkpoint is aborted by its marker, and its status written, before the restore is recorded ◆.
 * - Every restore that is recorded has a generation and a token of its own ◆; of two, the later one holds.
 * - A restore of a checkpoint that is being restored already changes nothing.
 */
import { isDeepStrictEqual } from "node:util";
import type { AppResources } from "../app/app-resources.ts";
import { type CheckpointWish, chooseCheckpoint } from "../checkpoint/choose-checkpoint.ts";
import type { Manifest } from "../checkpoint/manifest.ts";
import { abortOpenCheckpoint } from "../checkpoint/outcome.ts";
import { readManifest } from "../checkpoint/parse-manifest.ts";
import type { Control, RestoreHold, RestorePlan } from "../control/control.ts";
import { ensureControl, pinCheckpoint, readControl, recordRestore, unpinCheckpoint } from "../control/control-steps.ts";
import type { ControlStore } from "../control/control-store.ts";
import { TidemarkError } from "../errors.ts";
import { forgetLoad, isDamaged } from "./load.ts";
import { type PreflightOptions, type PreflightProgress, type PreflightReport, preflight } from "./pre-flight.ts";
import { checkHold } from "./restore-hold.ts";
import { lineageForRestore, nextGeneration } from "./restore-lineage.ts";
import type { RestoreOutcome, RestoreReport } from "./restore-report.ts";
import { matchFunctions } from "./restored-functions.ts";

export interface RestoreChoice extends CheckpointWish {
  /**
   * Replays to there, and stays, until the restore is told to go on. Without a checkpoint's number or a savepoint's name,
   * a time chooses the latest checkpoint that was complete by then. @default replays everything
   */
  readonly until?: RestoreHold;
  /** Leave the state of functions behind that the app no longer has. @default false - refused */
  readonly allowNonRestoredState?: boolean;
  /** Say what would be done, and change nothing. @default false */
  readonly dryRun?: boolean;
  /** Told after each part that pre-flight has read. */
  readonly onProgress?: (progress: PreflightProgress) => void;
}

/** How often we meet a checkpoint that opens, or a restore that is recorded, between our read and our write. */
const ROUNDS_MAX = 20;

/**
 * Chooses a checkpoint, checks it, and records its restore. A restore of another checkpoint that is under way is
 * superseded; one of the same checkpoint is left alone. Works in an empty account: storage alone is enough.
 *
 * On a crash either nothing is recorded, or the restore is, and {@link carryOnRestore} does it.
 * Cost: a LIST of the storage's checkpoints, one GET a part, some ten small writes.
 * @throws TidemarkError `choose-another-checkpoint` or `fix-configuration`; then nothing was changed.
 */
export async function requestRestore(
  resources: AppResources,
  choice: RestoreChoice & Pick<PreflightOptions, "nothingRead"> = {},
): Promise<RestoreReport> {
  const { app, control: store, randomness, storage } = resources;
  const found = await readControl(store);
  const manifest = await chooseForRestore(resources, found, choice);
  const { checkpoint } = manifest;
  const hold = choice.until;
  const { functions } = matchFunctions(app, manifest);
  const sameRestore = await planUnderWay(store, found, { checkpoint, functions, ...(hold && { hold }) });
  if (sameRestore !== undefined) return underWay(sameRestore);
  if (choice.dryRun === true) {
    const checked = await preflight(resources, manifest, choice);
    return reportOf("would-restore", { checkpoint, generation: await nextGeneration(resources, found), checked });
  }

  await ensureControl(store, app.checkpointing.mode);
  const token = randomness.token();
  await pinCheckpoint(store, token, checkpoint);
  let report: RestoreReport;
  try {
    // Read again: retention may have come between our look at it and the pin.
    const checked = await preflight(resources, await readManifest(storage, { app: app.name, n: checkpoint }), choice);
    report = await recordChecked(resources, { checkpoint, token, checked, ...(hold && { hold }) });
  } catch (thrown) {
    // A pin that stays behind costs storage, no more; what failed is what the caller has to hear of.
    await unpinCheckpoint(store, token).catch(() => undefined);
    throw thrown;
  }
  await unpinCheckpoint(store, token);
  return report;
}

/**
 * The checkpoint that is asked for. Nothing is changed.
 * @throws TidemarkError `choose-another-checkpoint` when there is none; `fix-configuration` when it cannot be held there
 */
export async function chooseForRestore(
  resources: AppResources,
  control: Control | undefined,
  choice: RestoreChoice,
): Promise<Manifest> {
  const { app, storage } = resources;
  const { checkpoint, savepoint, until } = choice;
  const named = checkpoint !== undefined || savepoint !== undefined || choice.before !== undefined;
  const wish = named || until?.arrivedByMs === undefined ? choice : { ...choice, before: new Date(until.arrivedByMs) };
  const manifest = await chooseCheckpoint(storage, app.name, await lineageForRestore(resources, control), wish);
  if (until !== undefined) checkHold(manifest, matchFunctions(app, manifest), until);
  return manifest;
}

/** The plan under way that does what is asked for; one whose load found the checkpoint altered can only be begun afresh. */
export async function planUnderWay(
  store: ControlStore,
  control: Control | undefined,
  wanted: Pick<RestorePlan, "checkpoint" | "functions" | "hold">,
): Promise<RestorePlan | undefined> {
  const plan = control?.phase === "REPLAYING" ? control.restore : undefined;
  if (plan?.checkpoint !== wanted.checkpoint) return undefined;
  // Another mapping of functions is another restore: the app was changed since.
  if (!isDeepStrictEqual(plan.functions, wanted.functions)) return undefined;
  if (!isDeepStrictEqual(plan.hold, wanted.hold)) return undefined;
  const loads = (control?.gen ?? 0) < plan.target;
  return loads && (await isDamaged(store, plan.target)) ? undefined : plan;
}

export function underWay({ token, checkpoint, target, functions }: RestorePlan): RestoreReport {
  return { outcome: "under-way", id: token, checkpoint, generation: target, functions };
}

/** A restore whose checkpoint was checked. */
export interface CheckedRestore {
  readonly checkpoint: number;
  readonly token: string;
  readonly checked: PreflightReport;
  readonly hold?: RestoreHold;
  /** It was asked for on control, and is recorded only while it still is. */
  readonly requested?: boolean;
}

/** Records a restore on control, whose checkpoint is pinned under its token. @returns `superseded` when a request is gone or refused */
export async function recordChecked(resources: AppResources, restore: CheckedRestore): Promise<RestoreReport> {
  const { checkpoint, token, checked, hold, requested = false } = restore;
  const { app, clock, control: store, observe, storage } = resources;
  let interrupted: number | undefined;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const control = await ensureControl(store, app.checkpointing.mode);
    const recorded = control.restore?.token === token;
    const stands = control.requested?.token === token && control.requested.refused === undefined;
    if (!recorded && requested && !stands) return { outcome: "superseded", checkpoint };
    const wanted = { checkpoint, functions: checked.functions, ...(hold && { hold }) };
    const sameRestore = recorded || requested ? undefined : await planUnderWay(store, control, wanted);
    if (sameRestore !== undefined) return underWay(sameRestore);
    // A restore that finished takes every pin with it, and retention may have come and gone before ours stands again ◆.
    if (!recorded && control.pins[token] === undefined) {
      await pinCheckpoint(store, token, checkpoint);
      await readManifest(storage, { app: app.name, n: checkpoint });
    }
    if (!recorded && control.checkpoint?.open === true) {
      interrupted = control.checkpoint.n;
      await abortOpenCheckpoint(resources, control);
      continue;
    }
    const plan: RestorePlan = recorded
      ? (control.restore as RestorePlan)
      : {
          token,
          target: await nextGeneration(resources, control),
          checkpoint,
          startedAtMs: clock.now(),
          functions: checked.functions,
          ...(hold && { hold }),
        };
    // Refused: a checkpoint was opened, another restore recorded, or ours was and its answer lost; read and see.
    const step = { maxGenRead: control.maxGen, plan, requested };
    if (!recorded && (await recordRestore(store, step)) === undefined) continue;

    if (control.phase === "REPLAYING" && control.restore !== undefined && !recorded) {
      await forgetLoad(store, control.restore.target);
    }
    // Only now is the checkpoint kept for certain: a retention that had read the pins before ours stood may have gone on.
    await readManifest(storage, { app: app.name, n: checkpoint });
    observe({ type: "restore-started", checkpoint, generation: plan.target });
    const report = { id: token, ...reportOf("started", { checkpoint, generation: plan.target, checked }) };
    return interrupted === undefined ? report : { ...report, interrupted };
  }
  throw new TidemarkError(
    "retry",
    `The restore of checkpoint ${checkpoint} was not recorded: ${ROUNDS_MAX} times in a row a checkpoint or another restore began just before. Nothing of it was done; ask for it again.`,
  );
}

export function reportOf(
  outcome: RestoreOutcome,
  restore: { readonly checkpoint: number; readonly generation: number; readonly checked: PreflightReport },
): RestoreReport {
  const { checkpoint, generation, checked } = restore;
  return { outcome, checkpoint, generation, ...checked };
}
