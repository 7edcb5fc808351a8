/**
 * The load: every part of the checkpoint into the restored generation, item by item.
 *
 * Invariants:
 * - An item is written only where its key has none ◆; "there is one" means that this plan wrote it, since the
 *   generation is this plan's alone and no handler writes into it before control is flipped.
 * - Items carry no `applied` ◆ and no before-image, in epoch 0, under a fresh `v`.
 * - A part is noted as loaded only after every item of it was answered and its checksum and counts held; a count of its
 *   first items only after each of those was answered.
 * - A part that is found altered spoils the generation: some of its items may be in it, and none is ever overwritten.
 *   That is noted, and the restore can only be begun afresh, in another generation.
 *
 * Cost: one write an item (a second carrier's repeat: one refused write an item), one small write a part. Memory is
 * bounded by the items in flight.
 */
import pMap, { pMapIterable } from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { ManifestFile } from "../checkpoint/manifest.ts";
import { readPart } from "../checkpoint/part-file.ts";
import { handOut, type LoadWork, type WorkAnswer, type Workers } from "../checkpoint/work.ts";
import { compare, path, value } from "../control/conditional-write.ts";
import type { RestorePlan } from "../control/control.ts";
import type { ControlAttributes, ControlStore } from "../control/control-store.ts";
import { loadPartition } from "../control/item-keys.ts";
import { TidemarkError } from "../errors.ts";
import { type Carrier, controlOfPlan, isOver, type StepOutcome } from "./carrier.ts";

type LoadOutcome = Exclude<StepOutcome, "held">;

/** What loads parts: a carrier's own process, or a worker that was given one. */
export interface LoadScope {
  readonly resources: AppResources;
  readonly plan: Pick<RestorePlan, "token" | "target" | "checkpoint">;
  /** No item is begun after this; ms since 1970. */
  readonly deadlineMs: number;
  readonly writeConcurrency: number;
}

/** A part to load, and the function of the app that takes it. */
export interface PartToLoad {
  readonly file: ManifestFile;
  readonly function: string;
}

export async function loadParts(carrier: Carrier): Promise<LoadOutcome> {
  const { resources, plan, workers } = carrier;
  const loaded = await partsOfLoad(resources.control, plan.target);
  const parts: PartToLoad[] = carrier.functions.flatMap(({ description, files }) =>
    files.filter(({ name }) => loaded.get(name)?.done !== true).map((file) => ({ file, function: description.name })),
  );
  let outcome: LoadOutcome = "done";
  await pMap(
    parts,
    async (part) => {
      if (outcome !== "done") return;
      const one = await (workers === undefined ? loadPart(carrier, part) : handOutPart(carrier, part, workers));
      // After the wait: another part may have ended meanwhile, and worse.
      outcome = worse(outcome, one);
    },
    { concurrency: workers?.count ?? carrier.partConcurrency },
  );
  if (outcome !== "done" || workers === undefined) return outcome;
  // A worker's answer decides nothing: control is not flipped before every part is noted.
  const noted = await partsOfLoad(resources.control, plan.target);
  return parts.every(({ file }) => noted.get(file.name)?.done === true) ? "done" : "unfinished";
}

function worse(one: LoadOutcome, other: LoadOutcome): LoadOutcome {
  if (one === "superseded" || other === "superseded") return "superseded";
  return one === "unfinished" || other === "unfinished" ? "unfinished" : "done";
}

async function handOutPart(carrier: Carrier, part: PartToLoad, { invoke }: Workers): Promise<LoadOutcome> {
  const { resources, plan, deadlineMs: untilMs } = carrier;
  const { token, target, checkpoint } = plan;
  const work = { work: "load", token, target, checkpoint, ...part } as const;
  const { outcome } = await handOut(invoke, work, { ...resources, untilMs });
  return outcome === "image-gone" ? "unfinished" : outcome;
}

/** Writes in flight for a part that a worker loads. */
const WORKER_WRITES = 16;

/** What a worker does: loads a part until it is done or the time is up. */
export async function runLoadWork(resources: AppResources, work: LoadWork, deadlineMs: number): Promise<WorkAnswer> {
  const { token, target, checkpoint, file, function: name } = work;
  const plan = { token, target, checkpoint };
  const outcome = await loadPart(
    { resources, plan, deadlineMs, writeConcurrency: WORKER_WRITES },
    { file, function: name },
  );
  return { outcome };
}

/** Loads what is left of a part. A crash leaves the count that was noted last; items after it are found written. */
export async function loadPart(scope: LoadScope, part: PartToLoad): Promise<LoadOutcome> {
  if (isOver(scope)) return "unfinished";
  if ((await controlOfPlan(scope)) === undefined) return "superseded";
  const { control } = scope.resources;
  const { target } = scope.plan;
  const key = { partition: loadPartition(target), sort: part.file.name };
  const before = asProgress(await control.get(key));
  if (before.done) return "done";
  let written: number;
  try {
    written = await writeItems(scope, part, before.written);
  } catch (thrown) {
    if (thrown instanceof TidemarkError && thrown.kind === "choose-another-checkpoint")
      await noteDamage(control, target);
    throw thrown;
  }
  const done = written === part.file.items;
  // Two workers on a part: what the slower one notes is true as well, but takes nothing back that is done.
  await control.update(key, {
    conditions: [compare("done", "<>", true)],
    set: [
      [path("written"), value(written)],
      [path("done"), value(done)],
    ],
  });
  return done ? "done" : "unfinished";
}

/** @returns how many of the part's first items are in the generation: all of them, or those written by the deadline. */
async function writeItems(scope: LoadScope, part: PartToLoad, before: number): Promise<number> {
  const { compression, state, randomness, storage } = scope.resources;
  const { target, checkpoint } = scope.plan;
  let index = 0;
  const writes = pMapIterable(
    readPart(storage, checkpoint, part.file, compression),
    async (image) => {
      if (index++ < before) return true;
      if (isOver(scope)) return false;
      const restored = { value: image.state, version: image.stateVersion };
      const item = {
        key: image.key,
        generation: target,
        v: randomness.token(),
        epoch: 0,
        state: restored,
        applied: {},
      };
      // False: an earlier carrier of this plan wrote it.
      await state.write(part.function, item, undefined);
      return true;
    },
    { concurrency: scope.writeConcurrency },
  );
  let written = 0;
  for await (const one of writes) {
    // Leaving early closes the part's stream.
    if (!one) return written;
    written += 1;
  }
  return written;
}

/** No part has this name: `object-paths.ts` refuses it. */
const DAMAGED = "#damaged";

async function noteDamage(control: ControlStore, generation: number): Promise<void> {
  await control.update(
    { partition: loadPartition(generation), sort: DAMAGED },
    { conditions: [], set: [[path("damaged"), value(true)]] },
  );
}

/** Whether a load into this generation has met a part that was altered after pre-flight. */
export async function isDamaged(control: ControlStore, generation: number): Promise<boolean> {
  return (await control.get({ partition: loadPartition(generation), sort: DAMAGED })) !== undefined;
}

export function damagedLoad({ checkpoint, target }: RestorePlan): TidemarkError {
  return new TidemarkError(
    "choose-another-checkpoint",
    `Checkpoint ${checkpoint} was altered while it was loaded, so generation ${target} may hold what it should not; it was never made live, and what was live before is untouched. Ask for a restore of another checkpoint, or of this one if it has been repaired: either begins afresh.`,
  );
}

/** How far a part is in a generation. */
export interface PartProgress {
  /** Items from its beginning that are in the generation. */
  readonly written: number;
  readonly done: boolean;
}

function asProgress(attributes: ControlAttributes | undefined): PartProgress {
  return attributes === undefined ? { written: 0, done: false } : (attributes as unknown as PartProgress);
}

/** The parts of which anything is noted, by name. */
export async function partsOfLoad(control: ControlStore, generation: number): Promise<Map<string, PartProgress>> {
  const parts = new Map<string, PartProgress>();
  for await (const { sort, attributes } of control.list(loadPartition(generation))) {
    if (sort !== DAMAGED) parts.set(sort, asProgress(attributes));
  }
  return parts;
}

/** Forgets a load's progress: its restore is finished, or another took its place. */
export async function forgetLoad(control: ControlStore, generation: number): Promise<void> {
  for (const sort of [...(await partsOfLoad(control, generation)).keys(), DAMAGED]) {
    await control.delete({ partition: loadPartition(generation), sort });
  }
}
