/**
 * The control store port: a few small items (control, splits, slices of a snapshot), each written by one
 * conditional write at a time.
 *
 * Invariants every adapter keeps:
 * - `update` is atomic per item; `get` and `list` are strongly consistent per item.
 * - An `update` whose answer was lost may have been applied, once or (retried by a client) twice.
 */
import type { JsonValue } from "../json/json-value.ts";
import type { ConditionalWrite } from "./conditional-write.ts";

/** Where an item is: made by `item-keys.ts` alone. */
export interface ItemKey {
  readonly partition: string;
  readonly sort: string;
}

/** An item's attributes, without its key. */
export type ControlAttributes = { readonly [name: string]: JsonValue };

export type UpdateAnswer =
  /** `before`: the attributes before the write; undefined: there was no item. `after`: as written. */
  | {
      readonly applied: true;
      readonly before: ControlAttributes | undefined;
      readonly after: ControlAttributes;
    }
  | { readonly applied: false };

export interface ControlStore {
  get(key: ItemKey): Promise<ControlAttributes | undefined>;
  /** The items of a partition, in the order of their sort keys. */
  list(partition: string): AsyncIterable<{ readonly sort: string; readonly attributes: ControlAttributes }>;
  /** Creates the item where it is missing and the conditions allow. */
  update(key: ItemKey, write: ConditionalWrite): Promise<UpdateAnswer>;
  delete(key: ItemKey): Promise<void>;
}
