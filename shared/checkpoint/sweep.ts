/**
 * Removes what a completed checkpoint made superfluous: tombstones whose positions are covered, and the items of
 * generations that a restore left behind.
 *
 * Invariants:
 * - Only while no checkpoint is open, and only what {@link readCoverage} covers; each removal is conditional on the `v`
 *   that was looked at, so that a key that was written meanwhile stays.
 * - It is never owed: what is left at the deadline is noted again by the next snapshot.
 */
import pMap from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { Control } from "../control/control.ts";
import { recordSwept } from "../control/control-steps.ts";
import type { StateScope } from "../state/state-backend.ts";
import type { StateItem } from "../state/state-item.ts";
import { type Covered, readCoverage } from "./coverage.ts";
import { readProgress, type SliceProgress } from "./slice-progress.ts";
import { readSweep, type SweptSlice, saveSweep } from "./sweep-progress.ts";

const REMOVALS_CONCURRENCY = 16;

/** How many noted keys are loaded at a time: one BatchGetItem. */
const KEYS_PER_LOAD = 100;

/**
 * Removes the tombstones that the snapshot of checkpoint `n` noted. Costs a read and a delete a tombstone; where a
 * slice had more than it could note, a scan of that slice.
 */
export async function removeTombstones(
  resources: AppResources,
  control: Control,
  checkpoint: { readonly n: number; readonly slices: number },
  deadlineMs: number,
): Promise<void> {
  const { app, clock, observe, storage } = resources;
  const covered = await readCoverage(storage, app.name, control);
  for (const { name } of app.functions) {
    let keys = 0;
    for (let slice = 0; slice < checkpoint.slices; slice += 1) {
      const noted = await readProgress(resources.control, { checkpoint: checkpoint.n, function: name, slice });
      const place = { function: name, generation: control.gen, slice, slices: checkpoint.slices };
      for await (const items of candidates(resources, place, noted)) {
        keys += await removeCovered(resources, place, items, covered);
        if (clock.now() >= deadlineMs) break;
      }
    }
    if (keys > 0) observe({ type: "tombstones-removed", function: name, keys });
    if (clock.now() >= deadlineMs) return;
  }
}

interface SlicePart {
  readonly function: string;
  readonly generation: number;
  readonly slice: number;
  readonly slices: number;
}

async function* candidates(
  { state }: AppResources,
  place: SlicePart,
  noted: SliceProgress,
): AsyncGenerator<readonly StateItem[]> {
  for (let start = 0; start < noted.tombstones.length; start += KEYS_PER_LOAD) {
    yield [...(await state.load(place, noted.tombstones.slice(start, start + KEYS_PER_LOAD))).values()];
  }
  if (!noted.moreTombstones) return;
  for await (const page of state.scan(place, { index: place.slice, count: place.slices })) yield page.items;
}

async function removeCovered(
  { state }: AppResources,
  place: SlicePart,
  items: readonly StateItem[],
  covered: Covered,
): Promise<number> {
  const going = items.filter((item) => covered(place.function, item));
  const removed = await pMap(going, (item) => state.remove(place, item.key, item.v), {
    concurrency: REMOVALS_CONCURRENCY,
  });
  return removed.filter(Boolean).length;
}

/**
 * Removes the items of generations before the live one, once a checkpoint of the live one has completed: until then
 * they are the way back. Goes on at the next call where the deadline cut it off.
 */
export async function removeOlderGenerations(
  resources: AppResources,
  control: Control,
  deadlineMs: number,
): Promise<void> {
  if (control.sweep !== true || control.coverage?.generation !== control.gen) return;
  for (const { name } of resources.app.functions) {
    if (!(await sweepFunction(resources, { function: name, generation: control.gen }, deadlineMs))) return;
  }
  await recordSwept(resources.control, control.gen);
}

/** @returns false at the deadline, or when another coordinator is on it: what both removed is gone all the same. */
async function sweepFunction(resources: AppResources, scope: StateScope, deadlineMs: number): Promise<boolean> {
  const { clock, control, randomness, state } = resources;
  let progress = await readSweep(control, scope);
  while (progress.slices.some(({ done }) => !done)) {
    if (clock.now() >= deadlineMs) return false;
    const count = progress.slices.length;
    const page = async (slice: SweptSlice, index: number): Promise<SweptSlice> => {
      if (slice.done) return slice;
      const cursor = await state.removeOlderGenerations(scope, { index, count }, slice.cursor);
      return cursor === undefined ? { done: true } : { cursor, done: false };
    };
    const next = { slices: await Promise.all(progress.slices.map(page)), v: randomness.token() };
    if (!(await saveSweep(control, scope, { read: progress, next }))) return false;
    progress = next;
  }
  return true;
}
