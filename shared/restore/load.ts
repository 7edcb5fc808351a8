/**
 * The load: every part of the checkpoint into the restored generation, item by item.
 *
 * Invariants:
 * - An item is written only where its key has none ◆; "there is one" means that this plan wrote it, since the
 *   generation is this plan's alone and no handler writes into it before control is flipped.
 * - Items carry no `applied` ◆ and no before-image, in epoch 0, under a fresh `v`.
 * - A part is noted as loaded only after every item of it was answered and its checksum and counts held.
 * - A part that is found altered spoils the generation: some of its items may be in it, and none is ever overwritten.
 *   That is noted, and the restore can only be begun afresh, in another generation.
 *
 * Cost: one write an item (a second carrier's repeat: one refused write an item), one small write a part. Memory is
 * bounded by the items in flight.
 */
import pMap, { pMapIterable } from "p-map";
import type { ManifestFile } from "../checkpoint/manifest.ts";
import { readPart } from "../checkpoint/part-file.ts";
import { path, value } from "../control/conditional-write.ts";
import type { RestorePlan } from "../control/control.ts";
import type { ControlStore } from "../control/control-store.ts";
import { loadPartition } from "../control/item-keys.ts";
import { TidemarkError } from "../errors.ts";
import { type Carrier, controlOfPlan, isOver, type StepOutcome } from "./carrier.ts";

/** A part to load, and the function of the app that takes it. */
interface PartToLoad {
  readonly file: ManifestFile;
  readonly function: string;
}

export async function loadParts(carrier: Carrier): Promise<StepOutcome> {
  const loaded = await loadedParts(carrier.resources.control, carrier.plan.target);
  const parts: PartToLoad[] = carrier.functions.flatMap(({ description, files }) =>
    files.filter(({ name }) => !loaded.has(name)).map((file) => ({ file, function: description.name })),
  );
  let outcome: StepOutcome = "done";
  await pMap(
    parts,
    async (part) => {
      if (outcome === "done") outcome = worse(outcome, await loadPart(carrier, part));
    },
    { concurrency: carrier.partConcurrency },
  );
  return outcome;
}

function worse(one: StepOutcome, other: StepOutcome): StepOutcome {
  if (one === "superseded" || other === "superseded") return "superseded";
  return one === "unfinished" || other === "unfinished" ? "unfinished" : "done";
}

async function loadPart(carrier: Carrier, part: PartToLoad): Promise<StepOutcome> {
  if (isOver(carrier)) return "unfinished";
  if ((await controlOfPlan(carrier)) === undefined) return "superseded";
  const { control } = carrier.resources;
  const { target } = carrier.plan;
  try {
    if (!(await writeItems(carrier, part))) return "unfinished";
  } catch (thrown) {
    if (thrown instanceof TidemarkError && thrown.kind === "choose-another-checkpoint")
      await noteDamage(control, target);
    throw thrown;
  }
  await control.update(
    { partition: loadPartition(target), sort: part.file.name },
    { conditions: [], set: [[path("items"), value(part.file.items)]] },
  );
  return "done";
}

/** @returns whether the whole part was written before the deadline. */
async function writeItems(carrier: Carrier, part: PartToLoad): Promise<boolean> {
  const { state, randomness, storage } = carrier.resources;
  const { target, checkpoint } = carrier.plan;
  const writes = pMapIterable(
    readPart(storage, checkpoint, part.file),
    async (image) => {
      if (isOver(carrier)) return false;
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
    { concurrency: carrier.writeConcurrency },
  );
  // Leaving early closes the part's stream.
  for await (const written of writes) if (!written) return false;
  return true;
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

/** Names of the parts that are in a generation. */
export async function loadedParts(control: ControlStore, generation: number): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { sort } of control.list(loadPartition(generation))) if (sort !== DAMAGED) names.add(sort);
  return names;
}

/** Forgets a load's progress: its restore is finished, or another took its place. */
export async function forgetLoad(control: ControlStore, generation: number): Promise<void> {
  for (const sort of [...(await loadedParts(control, generation)), DAMAGED]) {
    await control.delete({ partition: loadPartition(generation), sort });
  }
}
