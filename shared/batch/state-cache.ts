/**
 * A worker's own copy of the items it wrote or loaded last, so that a batch reads only keys it does not know.
 *
 * Safe without any agreement with other workers: a stale item has a stale `v`, so the write computed from it fails and
 * the key is loaded afresh; and `applied` only grows within a generation.
 */
import type { JsonValue } from "../json/json-value.ts";
import { ABSENT, type Image, type StateItem } from "../state/state-item.ts";

/** Small items are bounded by their number, so that looking through them stays what it costs now. */
export const CACHED_ITEMS_MAX = 20_000;

/**
 * What the items of a function may take of a worker's memory: 20,000 of 1 KB, with some room. The smallest Lambda function
 * (128 MB, half of which Node takes) still has room for it beside a batch; at 400 KB an item, 20,000 would take 8 GB. More
 * would save reads of keys that come again after longer.
 */
export const CACHED_BYTES_MAX = 32 * 1024 * 1024;

export interface StateCacheOptions {
  /** @default 20_000 */
  readonly itemsMax?: number;
  /** As {@link bytesInMemory} counts them. @default 32 MB */
  readonly bytesMax?: number;
}

interface Cached {
  readonly item: StateItem;
  readonly bytes: number;
}

export class StateCache {
  readonly #itemsMax: number;
  readonly #bytesMax: number;
  readonly #items = new Map<string, Cached>();
  #bytes = 0;
  #generation = 0;

  constructor({ itemsMax = CACHED_ITEMS_MAX, bytesMax = CACHED_BYTES_MAX }: StateCacheOptions = {}) {
    this.#itemsMax = itemsMax;
    this.#bytesMax = bytesMax;
  }

  /** The cache holds one generation: a new one empties it. */
  enter(generation: number): void {
    if (generation === this.#generation) return;
    this.#items.clear();
    this.#bytes = 0;
    this.#generation = generation;
  }

  get(key: string): StateItem | undefined {
    return this.#items.get(key)?.item;
  }

  put(item: StateItem): void {
    if (item.generation !== this.#generation) return;
    const bytes = bytesInMemory(item);
    // Deleting first moves the key to the end: the first key of the map is the one used longest ago.
    this.forget(item.key);
    this.#items.set(item.key, { item, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#items.keys()) {
      if (this.#items.size <= this.#itemsMax && this.#bytes <= this.#bytesMax) return;
      this.forget(oldest);
    }
  }

  forget(key: string): void {
    const cached = this.#items.get(key);
    if (cached === undefined) return;
    this.#bytes -= cached.bytes;
    this.#items.delete(key);
  }
}

/** Of an item without its state: the object, its entry in the map, and its names. */
const ITEM_BYTES = 300;
const MARK_BYTES = 150;

/**
 * Some bytes that an item takes in V8: two for a unit of text, eight for a reference or a number, and what objects have
 * around them. Costs as much as checking a state does.
 */
function bytesInMemory({ key, state, before, applied }: StateItem): number {
  const marks = Object.keys(applied).length * MARK_BYTES;
  return ITEM_BYTES + 2 * key.length + marks + imageBytes(state) + (before === undefined ? 0 : imageBytes(before));
}

const imageBytes = (image: Image): number => (image === ABSENT ? 0 : valueBytes(image.value));

function valueBytes(value: JsonValue): number {
  if (typeof value === "string") return 24 + 2 * value.length;
  if (typeof value !== "object" || value === null) return 8;
  let bytes = 32;
  if (Array.isArray(value)) {
    for (const element of value as readonly JsonValue[]) bytes += 8 + valueBytes(element);
    return bytes;
  }
  const object = value as { readonly [name: string]: JsonValue };
  // Names are shared by the objects that have the same, unless they are data themselves, as those of a map of counts are.
  for (const name of Object.keys(object)) bytes += 16 + name.length + valueBytes(object[name] as JsonValue);
  return bytes;
}
