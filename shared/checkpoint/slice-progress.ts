/**
 * How far one slice of a snapshot is: an item of the control table, so that any invocation goes on where another died.
 *
 * Invariants:
 * - Progress is saved only after the part it names is durable; `cursor` stands behind the last key of the last part.
 * - Each save is conditional on the `v` that its writer read: of two writers the loser's part is named by nobody.
 */
import { compare, missing, path, value } from "../control/conditional-write.ts";
import type { ControlStore } from "../control/control-store.ts";
import { sliceKey } from "../control/item-keys.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { ManifestFile } from "./manifest.ts";

/** Which slice of which function in which checkpoint. */
export interface SlicePlace {
  readonly checkpoint: number;
  readonly function: string;
  readonly slice: number;
}

export interface SliceProgress {
  /** Where the scan goes on; absent at the start, and once done. */
  readonly cursor?: string;
  readonly parts: readonly ManifestFile[];
  /** Keys of tombstones that may go, as many as were noted; `moreTombstones`: there were more. */
  readonly tombstones: readonly string[];
  readonly moreTombstones: boolean;
  readonly done: boolean;
  /** New with every save; absent before the first. */
  readonly v?: string;
}

const NOTHING_YET: SliceProgress = { parts: [], tombstones: [], moreTombstones: false, done: false };

export async function readProgress(store: ControlStore, place: SlicePlace): Promise<SliceProgress> {
  const attributes = await store.get(sliceKey(place.checkpoint, place.function, place.slice));
  return attributes === undefined ? NOTHING_YET : (attributes as unknown as SliceProgress);
}

/** @returns false when another writer saved progress since `read`; nothing was changed. */
export async function saveProgress(
  store: ControlStore,
  place: SlicePlace,
  step: { readonly read: SliceProgress; readonly next: SliceProgress & { readonly v: string } },
): Promise<boolean> {
  const { read, next } = step;
  const { cursor, ...rest } = next;
  const answer = await store.update(sliceKey(place.checkpoint, place.function, place.slice), {
    conditions: [read.v === undefined ? missing("v") : compare("v", "=", read.v)],
    set: [
      ...Object.entries(rest).map(([name, content]) => [path(name), value(content as JsonValue)] as const),
      ...(cursor === undefined ? [] : ([[path("cursor"), value(cursor)]] as const)),
    ],
    ...(cursor === undefined ? { remove: [path("cursor")] } : {}),
  });
  return answer.applied;
}
