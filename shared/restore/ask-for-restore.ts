/**
 * A restore for a caller that cannot wait: it is asked for in one write, after the checks that cost little, and whoever
 * coordinates checks the rest and begins it (protocol §6, "Asked for").
 *
 * Invariants:
 * - Asking changes nothing but the request and the pin of its checkpoint; what runs goes on until the whole pre-flight held.
 * - Of several requests the one that stands on control is done: each takes the place of what it has read. One that asks
 *   for what is asked for, or under way, already changes nothing.
 * - A request is recorded as a restore only while it stands ◆, in the very write that takes it off control: of two
 *   coordinators that have checked it one records it, and one that was replaced or refused meanwhile never begins.
 */
import { isDeepStrictEqual } from "node:util";
import type { AppResources } from "../app/app-resources.ts";
import { readManifest } from "../checkpoint/parse-manifest.ts";
import type { Workers } from "../checkpoint/work.ts";
import type { RequestedRestore } from "../control/control.ts";
import { ensureControl, pinCheckpoint, readControl, unpinCheckpoint } from "../control/control-steps.ts";
import { putRequest, recordGoOn, refuseRequest } from "../control/requested-steps.ts";
import { TidemarkError } from "../errors.ts";
import { checkStretch, forgetChecks } from "./check-parts.ts";
import { preflightWithoutParts } from "./pre-flight.ts";
import { chooseForRestore, planUnderWay, type RestoreChoice, recordChecked, reportOf, underWay } from "./restore.ts";
import { nextGeneration } from "./restore-lineage.ts";
import type { RestoreReport } from "./restore-report.ts";
import { matchFunctions } from "./restored-functions.ts";

/** How often another request, a restore or retention may come between our read and our write. */
const ROUNDS_MAX = 20;
const PART_CONCURRENCY = 4;

/**
 * Chooses a checkpoint, checks what can be checked without reading its parts, and asks for its restore. Answers what is
 * going to be done: `requested`, or `under-way` when that restore was asked for or begun before. Works in an empty account.
 *
 * Cost: a LIST of the storage's checkpoints, a look at the source for each split, some five small requests.
 * @throws TidemarkError `choose-another-checkpoint` or `fix-configuration`; then nothing was changed
 */
export async function askForRestore(resources: AppResources, choice: RestoreChoice = {}): Promise<RestoreReport> {
  const { app, clock, control: store, observe, randomness } = resources;
  const token = randomness.token();
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const found = await readControl(store);
    const manifest = await chooseForRestore(resources, found, choice);
    const { checkpoint } = manifest;
    const hold = choice.until;
    const { functions } = matchFunctions(app, manifest);
    const request: RequestedRestore = {
      token,
      checkpoint,
      requestedAtMs: clock.now(),
      allowNonRestoredState: choice.allowNonRestoredState ?? false,
      ...(hold && { hold }),
    };
    const pending = found?.requested;
    const asked = pending !== undefined && pending.refused === undefined;
    if (!asked) {
      const same = await planUnderWay(store, found, { checkpoint, functions, ...(hold && { hold }) });
      if (same !== undefined) return underWay(same);
    }
    const { report } = await preflightWithoutParts(resources, manifest, request);
    const generation = await nextGeneration(resources, found);
    if (choice.dryRun === true) return reportOf("would-restore", { checkpoint, generation, checked: report });
    // Ours, its answer lost; or another's that does the same.
    if (asked && (pending.token === token || doesTheSame(pending, request))) {
      const outcome = pending.token === token ? "requested" : "under-way";
      return { ...reportOf(outcome, { checkpoint, generation, checked: report }), id: pending.token };
    }
    const read = await ensureControl(store, app.checkpointing.mode);
    // Looked at again in the next round: what was chosen may not be what is meant any more.
    if (read.requested?.token !== pending?.token || (found !== undefined && read.maxGen !== found.maxGen)) continue;
    if ((await putRequest(store, { read, request })) === undefined) {
      const now = await readControl(store);
      if (now?.requested?.token !== token) continue;
    }
    if (pending !== undefined) await forgetChecks(store, pending.token);
    observe({ type: "restore-requested", checkpoint });
    return { ...reportOf("requested", { checkpoint, generation, checked: report }), id: token };
  }
  throw new TidemarkError(
    "retry",
    `The restore was not asked for: ${ROUNDS_MAX} times in a row another one, or a deletion of the checkpoint, came just before. Nothing of it was done; ask for it again.`,
  );
}

function doesTheSame(one: RequestedRestore, other: RequestedRestore): boolean {
  const { checkpoint, allowNonRestoredState, hold } = other;
  return (
    one.checkpoint === checkpoint &&
    one.allowNonRestoredState === allowNonRestoredState &&
    isDeepStrictEqual(one.hold, hold)
  );
}

/**
 * Checks the restore that is asked for, a stretch at a time, and then records it, or notes why it is refused. May be called
 * by several at once, and again after any crash.
 *
 * Cost: one GET and one small write a part, then some ten small writes.
 * @throws whatever the stores throw of kind `retry`: the next call goes on
 */
export async function carryOnRequest(
  resources: AppResources,
  options: { readonly deadlineMs: number; readonly workers?: Workers },
): Promise<RestoreReport> {
  const { app, clock, control: store, observe, storage } = resources;
  const control = await readControl(store);
  const request = control?.requested;
  if (control === undefined || request === undefined || request.refused !== undefined) {
    return { outcome: "nothing-to-do" };
  }
  const { token, checkpoint, allowNonRestoredState, hold } = request;
  let report: RestoreReport;
  try {
    // A restore that finished meanwhile took every pin with it.
    if (control.pins[token] === undefined) await pinCheckpoint(store, token, checkpoint);
    const manifest = await readManifest(storage, { app: app.name, n: checkpoint });
    const checked = await checkStretch(resources, manifest, {
      ...{ token, allowNonRestoredState, deadlineMs: options.deadlineMs, partConcurrency: PART_CONCURRENCY },
      ...(options.workers === undefined ? {} : { workers: options.workers }),
    });
    if (checked === "unfinished") return { outcome: checked, id: token, checkpoint };
    if (checked === "superseded") {
      // Pinned above, or noted by a worker, after what took its place had cleared both up.
      await forgetChecks(store, token);
      await unpinCheckpoint(store, token);
      return { outcome: checked, id: token, checkpoint };
    }
    report = await recordChecked(resources, { checkpoint, token, checked, requested: true, ...(hold && { hold }) });
  } catch (thrown) {
    if (!(thrown instanceof TidemarkError) || thrown.kind === "retry" || thrown.kind === "report-bug") throw thrown;
    const { kind, message } = thrown;
    await refuseRequest(store, token, { kind, message, atMs: clock.now() });
    await forgetChecks(store, token);
    observe({ type: "restore-refused", checkpoint, reason: message });
    return { outcome: "refused", id: token, checkpoint };
  }
  await forgetChecks(store, token);
  // Recorded, it is kept by its plan; replaced, by nobody.
  await unpinCheckpoint(store, token);
  return { ...report, id: token };
}

/**
 * Tells a restore that is held, or is still on its way to its hold, to go on to the end.
 * @throws TidemarkError `fix-configuration` when no restore is under way that is to be held; `retry` when it was replaced
 */
export async function goOnWithRestore(resources: AppResources): Promise<RestoreReport> {
  const { clock, control: store } = resources;
  const control = await readControl(store);
  const plan = control?.phase === "REPLAYING" ? control.restore : undefined;
  if (plan?.hold === undefined) {
    throw new TidemarkError(
      "fix-configuration",
      `No restore is under way that is to be held, so none can go on. ${plan === undefined ? "Nothing is being restored." : `The restore of checkpoint ${plan.checkpoint} goes on by itself.`} A restore is held when it was asked for with "until".`,
    );
  }
  if (plan.wentOnAtMs === undefined && !(await recordGoOn(store, plan.token, clock.now()))) {
    // Said before, by another or by ourselves, the answer lost; or another restore came first.
    const now = (await readControl(store))?.restore;
    if (now?.token !== plan.token || now.wentOnAtMs === undefined) {
      throw new TidemarkError(
        "retry",
        `The restore of checkpoint ${plan.checkpoint} was not told to go on: another restore took its place just before. Look at the status.`,
      );
    }
  }
  const { token: id, checkpoint, target: generation, functions } = plan;
  return { outcome: "going-on", id, checkpoint, generation, functions };
}
