/**
 * Working state in this process's memory (Flink's HashMapStateBackend): for the embedded engine, benchmarks and tests.
 * Nothing survives the process; checkpoints are what does.
 *
 * Items are kept by reference and given out by reference: nobody may change one. `write` makes nothing but, for a new
 * key, its entry: it runs once for every changed key of every batch.
 */
import type { ScanPage, StateBackend, StateScope } from "../state-backend.ts";
import type { StateItem } from "../state-item.ts";

interface Entry {
  /** Counts the keys ever added to the generation. The map lists entries in this order, so a cursor can name a place. */
  readonly ordinal: number;
  item: StateItem;
}

interface Generation {
  readonly entries: Map<string, Entry>;
  ordinals: number;
}

const PAGE_ITEMS_DEFAULT = 1_000;

export class HeapStateBackend implements StateBackend {
  readonly itemBytesMax = undefined;
  readonly #functions = new Map<string, Map<number, Generation>>();
  readonly #pageItems: number;
  /** The scope of the call before: almost always that of the next. */
  #lastFunction = "";
  #lastGeneration = Number.NaN;
  #last: Generation = { entries: new Map(), ordinals: 0 };

  /** @param options.pageItems - items in a page of a scan. @default 1_000 */
  constructor(options: { readonly pageItems?: number } = {}) {
    this.#pageItems = options.pageItems ?? PAGE_ITEMS_DEFAULT;
  }

  refuseOversized(_functionName: string, _item: StateItem): void {
    // Memory has no limit for one key.
  }

  load(scope: StateScope, keys: readonly string[]): Promise<Map<string, StateItem>> {
    const { entries } = this.#generation(scope.function, scope.generation);
    const found = new Map<string, StateItem>();
    for (const key of keys) {
      const entry = entries.get(key);
      if (entry !== undefined) found.set(key, entry.item);
    }
    return Promise.resolve(found);
  }

  write(functionName: string, item: StateItem, expected: string | undefined): boolean {
    const generation = this.#generation(functionName, item.generation);
    const entry = generation.entries.get(item.key);
    if (entry?.item.v !== expected) return false;
    if (entry === undefined) generation.entries.set(item.key, { ordinal: generation.ordinals++, item });
    else entry.item = item;
    return true;
  }

  remove(scope: StateScope, key: string, v: string): Promise<boolean> {
    const { entries } = this.#generation(scope.function, scope.generation);
    return Promise.resolve(entries.get(key)?.item.v === v && entries.delete(key));
  }

  async *scan(
    scope: StateScope,
    slice: { readonly index: number; readonly count: number },
    cursor?: string,
  ): AsyncGenerator<ScanPage, void> {
    const { entries, ordinals: end } = this.#generation(scope.function, scope.generation);
    const after = cursor === undefined ? -1 : Number(cursor);
    let items: StateItem[] = [];
    let last = after;
    for (const { ordinal, item } of entries.values()) {
      // Keys added since the scan began are not owed, and waiting for them might never end.
      if (ordinal >= end) break;
      if (ordinal <= after || ordinal % slice.count !== slice.index) continue;
      if (items.length === this.#pageItems) {
        yield { items, cursor: String(last) };
        items = [];
      }
      items.push(item);
      last = ordinal;
    }
    yield { items, cursor: undefined };
  }

  /** Whole generations at once: each slice is one page, and the first one is all that there is to do. */
  removeOlderGenerations(scope: StateScope): Promise<undefined> {
    const generations = this.#functions.get(scope.function);
    for (const generation of generations?.keys() ?? []) {
      if (generation < scope.generation) generations?.delete(generation);
    }
    this.#lastGeneration = Number.NaN;
    return Promise.resolve(undefined);
  }

  #generation(functionName: string, generation: number): Generation {
    if (generation === this.#lastGeneration && functionName === this.#lastFunction) return this.#last;
    const generations = this.#functions.get(functionName) ?? new Map<number, Generation>();
    this.#functions.set(functionName, generations);
    const found = generations.get(generation) ?? { entries: new Map<string, Entry>(), ordinals: 0 };
    generations.set(generation, found);
    this.#lastFunction = functionName;
    this.#lastGeneration = generation;
    this.#last = found;
    return found;
  }
}
