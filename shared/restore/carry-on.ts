/**
 * The restore that control records, carried on by whoever calls: after a crash, at a deadline, by two at once.
 *
 * Why any number of carriers may do this, each as slowly as it likes (protocol §6):
 * - All carry the same plan: its checkpoint, target generation and token were fixed in one write of control.
 * - Before control's flip nothing of the live generation changes but that its splits stand still; a carrier that dies
 *   leaves a generation that nobody reads, filled in part.
 * - The load writes an item only where there is none, into a generation that no other plan fills and that no handler
 *   writes before the flip; and every key of the checkpoint is there before the flip. So a stalled carrier's write
 *   finds its key taken, for as long as tombstones are kept: longer than any invocation lives.
 * - The flip of control and of each split holds only from a lower generation, so it happens once, and what it writes
 *   comes from the manifest: it does not matter whose it is.
 * - Every split of the manifest is born before control's flip ◆ (`hold-splits.ts`), so that none is born beyond it.
 * - A split runs when its own item says that it has reached `until`, in its generation.
 * - Where the plan is to be held, no split runs before control notes that it goes on; a carrier that read the plan before
 *   that holds once more, and the next one goes on.
 * - A carrier's code has every function of the plan ◆: otherwise it would flip control without what it does not load.
 * - A carrier of an older plan is refused by those conditions (its target is lower), and stops where it sees that
 *   control's token is not its own. Control runs again only while the target is the latest generation ◆.
 */
import type { AppDescription } from "../app/app-description.ts";
import type { AppResources } from "../app/app-resources.ts";
import { highestCheckpointNumber, writeGenerationRecord } from "../checkpoint/lineage.ts";
import { readManifest } from "../checkpoint/parse-manifest.ts";
import type { Workers } from "../checkpoint/work.ts";
import type { RestorePlan } from "../control/control.ts";
import { finishRestore, flipControl, readControl, recordLoaded } from "../control/control-steps.ts";
import { recordHeld } from "../control/requested-steps.ts";
import { TidemarkError } from "../errors.ts";
import { type Carrier, controlOfPlan, type StepOutcome } from "./carrier.ts";
import type { EventSourceMappings } from "./event-source-mappings.ts";
import { holdSplits } from "./hold-splits.ts";
import { damagedLoad, forgetLoad, isDamaged, loadParts } from "./load.ts";
import type { ReplayInvoker } from "./replay-invoker.ts";
import { replaySplits } from "./replay-splits.ts";
import type { RestoreReport } from "./restore-report.ts";
import { restoredFunctions } from "./restored-functions.ts";
import { disableMappings, enableMappings } from "./turn-mappings.ts";

export interface CarryOnOptions {
  /** No new piece of work is begun after this; ms since 1970. */
  readonly deadlineMs: number;
  readonly replay: ReplayInvoker;
  /** The functions' event source mappings, to be off meanwhile. @default there are none */
  readonly mappings?: EventSourceMappings;
  /** Who loads the parts. @default this process */
  readonly workers?: Workers;
  /** Parts loaded at a time by this process. @default 4 */
  readonly partConcurrency?: number;
  /** Writes in flight for each part. @default 16 */
  readonly writeConcurrency?: number;
  /** Splits replayed at a time. @default 4 */
  readonly splitConcurrency?: number;
}

/**
 * Does what is left of the restore that control records. May be called by several at once, and again after any crash.
 *
 * Cost: a few writes a split, one write a key, and what the replayed batches cost.
 * @throws TidemarkError `fix-configuration` when the plan has a function that this code has not; nothing was done then.
 * `choose-another-checkpoint` when the checkpoint was altered since pre-flight: the generation
 * before is untouched until the flip, so another can be restored; any other that a replay met. Call again to go on.
 */
export async function carryOnRestore(resources: AppResources, options: CarryOnOptions): Promise<RestoreReport> {
  const control = await readControl(resources.control);
  if (control?.phase !== "REPLAYING" || control.restore === undefined) return { outcome: "nothing-to-do" };
  const plan = control.restore;
  if (isHeld(plan)) return report(plan, "held");
  refuseForeign(plan, resources.app);
  // Once control is flipped every part was found whole, whatever a slower load has read.
  if (control.gen < plan.target && (await isDamaged(resources.control, plan.target))) throw damagedLoad(plan);
  const manifest = await readManifest(resources.storage, { app: resources.app.name, n: plan.checkpoint });
  const carrier: Carrier = {
    resources,
    plan,
    manifest,
    functions: restoredFunctions(resources.app, manifest, plan.functions),
    deadlineMs: options.deadlineMs,
    replay: options.replay,
    ...(options.mappings === undefined ? {} : { mappings: options.mappings }),
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    partConcurrency: options.partConcurrency ?? 4,
    writeConcurrency: options.writeConcurrency ?? 16,
    splitConcurrency: options.splitConcurrency ?? 4,
  };
  resources.observe({ type: "restore-carried-on", checkpoint: plan.checkpoint, generation: plan.target });

  const before = control.gen < plan.target ? [holdSplits, load, flip] : [];
  for (const step of [disableMappings, ...before, replaySplits, finish]) {
    const outcome = await step(carrier);
    if (outcome === "superseded") return report(plan, await stopped(carrier));
    if (outcome === "unfinished") return report(plan, "unfinished");
    if (outcome === "held") return hold(carrier);
  }
  const after = await readControl(resources.control);
  if (options.mappings !== undefined && after !== undefined) await enableMappings(resources, after, options.mappings);
  return report(plan, "finished");
}

/**
 * ◆ Code that does not have a function of the plan, as before a deploy that renames it, would flip control without that
 * function's state.
 */
function refuseForeign({ checkpoint, functions }: RestorePlan, { name: app, functions: own }: AppDescription): void {
  const foreign = Object.keys(functions).filter((name) => !own.some((one) => one.name === name));
  if (foreign.length === 0) return;
  throw new TidemarkError(
    "fix-configuration",
    `The restore of checkpoint ${checkpoint} restores the function ${foreign.join(", ")}, which this code of the app ${app} does not have; it has ${own.map(({ name }) => name).join(", ")}. Nothing was done here. Let the code that has it carry the restore on, or ask for the restore again with this code, which begins afresh.`,
  );
}

const isHeld = ({ heldAtMs, wentOnAtMs }: RestorePlan): boolean => heldAtMs !== undefined && wentOnAtMs === undefined;

/** Told to go on meanwhile: the next call does. */
async function hold({ resources, plan }: Carrier): Promise<RestoreReport> {
  const held = await recordHeld(resources.control, plan.token, resources.clock.now());
  if (!held) return report(plan, "unfinished");
  resources.observe({ type: "restore-held", checkpoint: plan.checkpoint, generation: plan.target });
  return report(plan, "held");
}

function report(plan: RestorePlan, outcome: RestoreReport["outcome"]): RestoreReport {
  return { outcome, checkpoint: plan.checkpoint, generation: plan.target, functions: plan.functions };
}

/** Control no longer records this plan as under way: another carrier has finished it, or another restore replaced it. */
async function stopped({ resources, plan }: Carrier): Promise<"finished" | "superseded"> {
  const restore = (await readControl(resources.control))?.restore;
  return restore?.token === plan.token && restore.finishedAtMs !== undefined ? "finished" : "superseded";
}

async function load(carrier: Carrier): Promise<StepOutcome> {
  const { resources, plan, functions } = carrier;
  const outcome = await loadParts(carrier);
  if (outcome !== "done") return outcome;
  const nowMs = resources.clock.now();
  const before = await controlOfPlan(carrier);
  if (before === undefined) return "superseded";
  // Another load may have met an altered part meanwhile, and have put items where this one has put none.
  if (before.gen < plan.target && (await isDamaged(resources.control, plan.target))) throw damagedLoad(plan);
  if (before.restore?.loadedAtMs !== undefined) return "done";
  if ((await recordLoaded(resources.control, plan.token, nowMs)) === undefined) return "superseded";
  resources.observe({
    type: "restore-loaded",
    checkpoint: plan.checkpoint,
    generation: plan.target,
    keys: functions.flatMap(({ files }) => files).reduce((sum, { items }) => sum + items, 0),
    milliseconds: nowMs - plan.startedAtMs,
  });
  return "done";
}

/** The generation's record is in storage first: storage alone must know the lineage of every checkpoint that follows. */
async function flip(carrier: Carrier): Promise<StepOutcome> {
  const { resources, plan, manifest } = carrier;
  const from = { generation: manifest.generation, checkpoint: plan.checkpoint };
  await writeGenerationRecord(resources.storage, {
    generation: plan.target,
    restoredFrom: from,
    at: new Date(resources.clock.now()).toISOString(),
  });
  const epochAtLeast = await highestCheckpointNumber(resources.storage);
  for (;;) {
    const control = await controlOfPlan(carrier);
    if (control === undefined) return "superseded";
    if (control.gen >= plan.target) return "done";
    // Not applied: the epoch has moved, or another carrier flipped; the next turn reads which.
    await flipControl(resources.control, {
      target: plan.target,
      from,
      mode: resources.app.checkpointing.mode,
      epochAtLeast,
      epochRead: control.epoch,
    });
  }
}

async function finish(carrier: Carrier): Promise<StepOutcome> {
  const { resources, plan } = carrier;
  const nowMs = resources.clock.now();
  const finished = await finishRestore(resources.control, { target: plan.target, atMs: nowMs });
  if (finished === undefined) return "superseded";
  await forgetLoad(resources.control, plan.target);
  resources.observe({
    type: "restore-finished",
    checkpoint: plan.checkpoint,
    generation: plan.target,
    milliseconds: nowMs - plan.startedAtMs,
  });
  return "done";
}
