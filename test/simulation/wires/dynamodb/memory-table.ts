/**
 * One table: items in the order in which scans come across them, and what they were some writes ago.
 *
 * Invariants:
 * - Partitions are ordered by a hash of their key, as on DynamoDB, where no caller can know the order; within one,
 *   items are ordered by the bytes of their sort key. The order of two keys never changes.
 * - A write is one step: whoever reads sees it whole or not at all.
 * - An older view is the table as it was at one moment, at most {@link HISTORY_WRITES_MAX} writes ago.
 */
import { compareText, type Item } from "./attribute-rules.ts";

export interface Place {
  readonly partition: string;
  readonly sort: string;
}

export interface Entry extends Place {
  readonly hash: number;
  readonly item: Item;
  readonly bytes: number;
}

/** The names of the key's two attributes. */
export interface Key {
  readonly partition: string;
  readonly sort: string;
}

/** What a read needs of a table, today's or an older one. */
export interface TableView {
  get(place: Place): Entry | undefined;
  /** In order, from the first entry after `place`, or from the first of all that have at least this hash. */
  after(place: Place | { readonly hash: number }): Iterable<Entry>;
}

export const HISTORY_WRITES_MAX = 64;

export class MemoryTable implements TableView {
  readonly name: string;
  readonly key: Key;
  readonly hash: (partition: string) => number;
  readonly #ordered: Entry[] = [];
  readonly #byPlace = new Map<string, Map<string, Entry>>();
  readonly #history: { readonly place: Place; readonly before: Entry | undefined }[] = [];

  /** @param hash - of a partition key, below {@link HASHES} */
  constructor(name: string, key: Key, hash: (partition: string) => number = hashOf) {
    this.name = name;
    this.key = key;
    this.hash = hash;
  }

  get size(): number {
    return this.#ordered.length;
  }

  get({ partition, sort }: Place): Entry | undefined {
    return this.#byPlace.get(partition)?.get(sort);
  }

  /** A new item at its place, or none any more. */
  set(place: Place, now: { readonly item: Item; readonly bytes: number } | undefined): void {
    const before = this.get(place);
    this.#history.push({ place, before });
    if (this.#history.length > HISTORY_WRITES_MAX) this.#history.shift();
    this.#put(place, now && { hash: this.hash(place.partition), ...place, ...now });
  }

  *after(place: Place | { readonly hash: number }): Iterable<Entry> {
    const from =
      "hash" in place ? { hash: place.hash, partition: "", sort: "" } : { hash: this.hash(place.partition), ...place };
    for (let at = this.#firstAbove(from); at < this.#ordered.length; at++) yield this.#ordered[at] as Entry;
  }

  /** The table as it was `writes` writes ago, or as long ago as is remembered. */
  ago(writes: number): TableView {
    if (writes === 0) return this;
    const older = new MemoryTable(this.name, this.key, this.hash);
    for (const entry of this.#ordered) older.#put(entry, entry);
    for (const { place, before } of this.#history.slice(-writes).reverse()) older.#put(place, before);
    return older;
  }

  #put(place: Place, entry: Entry | undefined): void {
    const before = this.get(place);
    const at = this.#firstAbove({ hash: this.hash(place.partition), ...place });
    if (before !== undefined) this.#ordered.splice(at - 1, 1, ...(entry === undefined ? [] : [entry]));
    else if (entry !== undefined) this.#ordered.splice(at, 0, entry);
    const partition = this.#byPlace.get(place.partition);
    if (entry === undefined) partition?.delete(place.sort);
    else if (partition === undefined) this.#byPlace.set(place.partition, new Map([[place.sort, entry]]));
    else partition.set(place.sort, entry);
  }

  /** Where the first entry stands that is ordered after this place. */
  #firstAbove(place: Place & { readonly hash: number }): number {
    let [low, high] = [0, this.#ordered.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareEntries(this.#ordered[middle] as Entry, place) > 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function compareEntries(one: Place & { readonly hash: number }, other: Place & { readonly hash: number }): number {
  return one.hash - other.hash || compareText(one.partition, other.partition) || compareText(one.sort, other.sort);
}

/** 32 bits; FNV-1a, mixed once more so that keys which differ at their end stand far apart. */
export function hashOf(partition: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < partition.length; i++) hash = Math.imul(hash ^ partition.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export const HASHES = 2 ** 32;
