/**
 * A worker's own copy of the items it wrote or loaded last, so that a batch reads only keys it does not know.
 *
 * Safe without any agreement with other workers: a stale item has a stale `v`, so the write computed from it fails and
 * the key is loaded afresh; and `applied` only grows within a generation.
 */
import type { StateItem } from "../state/state-item.ts";

/** Bounds the memory of a worker: at some 1 KB an item, 20 MB. */
export const CACHED_ITEMS_MAX = 20_000;

export class StateCache {
  readonly #itemsMax: number;
  readonly #items = new Map<string, StateItem>();
  #generation = 0;

  constructor(itemsMax: number = CACHED_ITEMS_MAX) {
    this.#itemsMax = itemsMax;
  }

  /** The cache holds one generation: a new one empties it. */
  enter(generation: number): void {
    if (generation === this.#generation) return;
    this.#items.clear();
    this.#generation = generation;
  }

  get(key: string): StateItem | undefined {
    return this.#items.get(key);
  }

  put(item: StateItem): void {
    if (item.generation !== this.#generation) return;
    // Deleting first moves the key to the end: the first key of the map is the one used longest ago.
    this.#items.delete(item.key);
    this.#items.set(item.key, item);
    if (this.#items.size <= this.#itemsMax) return;
    const oldest = this.#items.keys().next();
    if (!oldest.done) this.#items.delete(oldest.value);
  }

  forget(key: string): void {
    this.#items.delete(key);
  }
}
