/**
 * The load: every part of the checkpoint into the restored generation, item by item.
 *
 * Invariants:
 * - An item is written only where its key has none ◆; "there is one" means that this plan wrote it, since the
 *   generation is this plan's alone and no handler writes into it before control is flipped.
 * - ◆ What is there already is compared: another attempt wrote it, which may have read something else and ended before it
 *   found that its checksum does not hold.
 * - Items carry no `applied` ◆ and no before-image, in epoch 0, under a fresh `v`.
 * - A part is noted as loaded only after every item of it was written or found equal in one reading whose checksum and
 *   counts held; a count of its first items only after each of those was.
 * - A part that is found altered spoils the generation: some of its items may be in it, and none is ever overwritten.
 *   That is noted, and the restore can only be begun afresh, in another generation.
 *
 * Cost: one write an item, one small write a part. A second carrier's repeat, and what goes on after a crash or a deadline:
 * a read for each item that is there (in batches, for those that are noted), besides a refused write for those that are
 * not noted. Memory is bounded by the items in flight.
 */
import { isDeepStrictEqual } from "node:util";
import pMap, { pMapIterable } from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { ManifestFile } from "../checkpoint/manifest.ts";
import { type PartItem, readPart } from "../checkpoint/part-file.ts";
import { handOut, type LoadWork, type WorkAnswer, type Workers } from "../checkpoint/work.ts";
import { compare, path, value } from "../control/conditional-write.ts";
import type { RestorePlan } from "../control/control.ts";
import { readControl } from "../control/control-steps.ts";
import type { ControlAttributes, ControlStore } from "../control/control-store.ts";
import { loadPartition } from "../control/item-keys.ts";
import { TidemarkError } from "../errors.ts";
import type { StateItem } from "../state/state-item.ts";
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
      [path("written"), value(Math.max(before.written, written))],
      [path("done"), value(done)],
    ],
  });
  return done ? "done" : "unfinished";
}

/** Items that are noted as written, read at a time to be compared. */
const COMPARED_AT_ONCE = 10;

/** @returns how many of the part's first items are in the generation: all of them, or those written by the deadline. */
async function writeItems(scope: LoadScope, part: PartToLoad, before: number): Promise<number> {
  const { compression, randomness, storage } = scope.resources;
  const { target: generation, checkpoint } = scope.plan;
  const toItem = (image: PartItem): StateItem => ({
    key: image.key,
    generation,
    v: randomness.token(),
    epoch: 0,
    state: { value: image.state, version: image.stateVersion },
    applied: {},
  });
  const writes = pMapIterable(
    inGroups(readPart(storage, checkpoint, part.file, compression), before),
    async ({ images, areNoted }) => {
      if (isOver(scope)) return undefined;
      await putItems(scope, part, { items: images.map(toItem), areNoted });
      return images.length;
    },
    { concurrency: scope.writeConcurrency },
  );
  let written = 0;
  for await (const count of writes) {
    // Leaving early closes the part's stream.
    if (count === undefined) return written;
    written += count;
  }
  return written;
}

/** Items that are noted as written come together, to be compared; the others one by one. */
async function* inGroups(
  images: AsyncIterable<PartItem>,
  noted: number,
): AsyncGenerator<{ readonly images: readonly PartItem[]; readonly areNoted: boolean }> {
  let group: PartItem[] = [];
  let index = 0;
  for await (const image of images) {
    group.push(image);
    index += 1;
    if (index < noted && group.length < COMPARED_AT_ONCE) continue;
    yield { images: group, areNoted: index <= noted };
    group = [];
  }
  if (group.length > 0) yield { images: group, areNoted: true };
}

/** @throws TidemarkError `choose-another-checkpoint` when another attempt has put something else there, or elsewhere */
async function putItems(
  scope: LoadScope,
  { function: name }: PartToLoad,
  { items, areNoted }: { readonly items: readonly StateItem[]; readonly areNoted: boolean },
): Promise<void> {
  const { control, state } = scope.resources;
  const { plan } = scope;
  const [first] = items;
  if (!areNoted && first !== undefined && (await state.write(name, first, undefined))) return;
  const keys = items.map(({ key }) => key);
  const there = await state.load({ function: name, generation: plan.target }, keys);
  for (const item of items) {
    const found = there.get(item.key);
    if (isDeepStrictEqual(found?.state, item.state)) continue;
    // Once control is flipped events are folded into what was loaded: every part had been found whole by then.
    const live = (await readControl(control))?.gen ?? 0;
    if (live < plan.target) throw damagedLoad(plan);
    return;
  }
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

export function damagedLoad({ checkpoint, target }: Pick<RestorePlan, "checkpoint" | "target">): TidemarkError {
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
