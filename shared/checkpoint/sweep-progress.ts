/**
 * How far the items of older generations are removed from one function's state: an item of the control table, so that a
 * table of any size is swept in as many invocations as it takes.
 *
 * Invariants:
 * - A slice's cursor is saved only after every older item before it is gone.
 * - It belongs to one generation. That of an earlier one counts for nothing: what was live then is older now.
 * - Each save is conditional on the `v` that its writer read, and refused once a later generation is swept.
 */
import { anyOf, compare, missing, path, value } from "../control/conditional-write.ts";
import type { ControlStore } from "../control/control-store.ts";
import { sweepKey } from "../control/item-keys.ts";
import type { StateScope } from "../state/state-backend.ts";

/** A cursor belongs to a slice of so many: it is theirs as long as they are not done. */
export interface SweepProgress {
  readonly slices: readonly SweptSlice[];
  /** New with every save; absent before the first. */
  readonly v?: string;
}

export interface SweptSlice {
  /** Where the next page begins; absent at the start, and once done. */
  readonly cursor?: string;
  readonly done: boolean;
}

/** Pages that are swept at a time. */
const SLICES = 4;

export async function readSweep(store: ControlStore, scope: StateScope): Promise<SweepProgress> {
  const found = (await store.get(sweepKey(scope.function))) as (SweepProgress & { generation: number }) | undefined;
  if (found?.generation === scope.generation) return found;
  const slices = Array.from({ length: SLICES }, () => ({ done: false }));
  return found?.v === undefined ? { slices } : { slices, v: found.v };
}

/** @returns false when another writer saved progress since `read`; nothing was changed. */
export async function saveSweep(
  store: ControlStore,
  scope: StateScope,
  step: { readonly read: SweepProgress; readonly next: Required<SweepProgress> },
): Promise<boolean> {
  const { read, next } = step;
  const answer = await store.update(sweepKey(scope.function), {
    conditions: [
      read.v === undefined ? missing("v") : compare("v", "=", read.v),
      anyOf(missing("generation"), compare("generation", "<=", scope.generation)),
    ],
    set: [
      [path("generation"), value(scope.generation)],
      [path("slices"), value(next.slices.map((slice) => ({ ...slice })))],
      [path("v"), value(next.v)],
    ],
  });
  return answer.applied;
}
