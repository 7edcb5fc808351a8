/**
 * The state backend port: the working state of the functions (Flink's "state backend"), key by key.
 *
 * Invariants every adapter keeps:
 * - A write of one item is atomic and conditional; conditions and loads are linearizable per item.
 * - Whole images only: an adapter that splits a large item over several of its own never shows half of it.
 * - A scan returns every item that exists from before its start to after its end at least once, as it is at
 *   some moment of the scan.
 * - Throttling and unprocessed items are retried inside, with jitter, until the adapter's patience ends with a
 *   TidemarkError of kind `retry`. A write whose answer was lost may have been applied: the caller reloads and tells by `v`.
 */
import type { StateItem } from "./state-item.ts";

/** Which state: one function's, in one generation. */
export interface StateScope {
  readonly function: string;
  readonly generation: number;
}

export interface ScanPage {
  readonly items: readonly StateItem[];
  /** Where to go on after this page; undefined after the last page of the slice. */
  readonly cursor: string | undefined;
}

export interface StateBackend {
  /** The most bytes that one key's item may take (DynamoDB: 400 KB); undefined: no limit. */
  readonly itemBytesMax: number | undefined;
  /**
   * Refuses a state that alone outgrows the limit; `write` calls it before it writes. Pure: no request.
   * @throws TidemarkError `fix-function` naming function, key, bytes and limit.
   */
  refuseOversized(functionName: string, item: StateItem): void;
  /** The items of these keys (distinct), strongly consistent; a key that has none is missing from the map. */
  load(scope: StateScope, keys: readonly string[]): Promise<Map<string, StateItem>>;
  /**
   * Writes an item if its key still has the item named `expected` (undefined: still has none).
   * @returns whether it was written; false changes nothing. No promise where nothing has to be waited for.
   * @throws TidemarkError `fix-function` when the state outgrows the backend's limit; nothing was written.
   */
  write(functionName: string, item: StateItem, expected: string | undefined): boolean | Promise<boolean>;
  /** Removes an item if it is still the one named `v`. */
  remove(scope: StateScope, key: string, v: string): Promise<boolean>;
  /** One slice of a generation's items, page by page, strongly consistent, going on after `cursor`. */
  scan(
    scope: StateScope,
    slice: { readonly index: number; readonly count: number },
    cursor?: string,
  ): AsyncIterable<ScanPage>;
  /**
   * Removes what one page of a slice holds of generations below `scope.generation`; the next page goes on after `cursor`.
   * Items that are written meanwhile, and were a moment before, may stay.
   * @returns the next page's cursor; undefined after the last page of the slice.
   */
  removeOlderGenerations(
    scope: StateScope,
    slice: { readonly index: number; readonly count: number },
    cursor?: string,
  ): Promise<string | undefined>;
}
