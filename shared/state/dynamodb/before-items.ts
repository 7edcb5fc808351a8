/**
 * Before-images that outgrew their item: each an item of its own, put before the main item that names it.
 *
 * Invariants:
 * - A before-item is written once and never changed; its name holds the `v` of the write that made it.
 * - Whoever reads a main item reads the before-item it names, strongly. When that one is gone, the main item has been
 *   written since, and is read again: an image is never guessed and never mixed.
 * - A before-item is deleted only after a write of the main item that no longer names it was answered, or when the
 *   main item that would have named it can never be written any more. A crash in between leaves an orphan, which
 *   nothing reads, until its generation is removed.
 */
import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { batchGet } from "../../dynamodb/batch-get.ts";
import { type DynamoDBAccess, untilNotThrottled } from "../../dynamodb/dynamodb-access.ts";
import { TidemarkError } from "../../errors.ts";
import { plainKey } from "../../function/name-key.ts";
import type { Image, StateItem } from "../state-item.ts";
import { type DecodedItem, fromBeforeAttributes, fromItem } from "./state-item-attributes.ts";
import { generationText, itemKey, type StateAccess } from "./state-table.ts";

/** Names remembered at most; a forgotten one costs an orphan, not correctness. */
const NAMES_MAX = 10_000;

/** Which before-item each known version of an item names, so that a write can keep it or delete it. */
export class BeforeItemNames {
  readonly #byVersion = new Map<string, string>();
  readonly #byImage = new WeakMap<object, string>();

  remember(item: StateItem, name: string): void {
    if (typeof item.before !== "object") return;
    this.#byImage.set(item.before, name);
    this.#byVersion.set(item.v, name);
    if (this.#byVersion.size > NAMES_MAX) {
      for (const oldest of this.#byVersion.keys()) {
        this.#byVersion.delete(oldest);
        break;
      }
    }
  }

  /** The before-item that the item named `v` names. */
  named(v: string | undefined): string | undefined {
    return v === undefined ? undefined : this.#byVersion.get(v);
  }

  /** The before-item that holds `image`, if the item named `expected` still names it: then it need not be put again. */
  reusable(image: Image | undefined, expected: string | undefined): string | undefined {
    const name = this.named(expected);
    return name !== undefined && typeof image === "object" && this.#byImage.get(image) === name ? name : undefined;
  }

  forget(v: string | undefined): void {
    if (v !== undefined) this.#byVersion.delete(v);
  }
}

/**
 * Completes items, at most 100 of which name a before-item; those that were removed meanwhile are left out.
 * Costs a request only if an item names one, and two more for those that were rewritten meanwhile.
 */
export async function withBeforeItems(
  access: StateAccess,
  table: string,
  decoded: readonly DecodedItem[],
): Promise<DecodedItem[]> {
  const complete = decoded.filter(({ beforeItem }) => beforeItem === undefined);
  let waiting = decoded.filter(({ beforeItem }) => beforeItem !== undefined);
  while (waiting.length > 0) {
    const found = await batchGet(
      access,
      table,
      waiting.map(({ item, beforeItem }) => itemKey(item.key, beforeItem ?? "")),
    );
    const images = new Map(found.map((attributes) => [attributes.key?.S, attributes] as const));
    const rewritten: DecodedItem[] = [];
    for (const { item, beforeItem } of waiting) {
      const before = fromBeforeAttributes(images.get(item.key) ?? {});
      if (before === undefined) rewritten.push({ item, beforeItem });
      else complete.push({ item: { ...item, before }, beforeItem });
    }
    waiting = [];
    for (const again of await reread(access, table, rewritten)) {
      if (again.beforeItem === undefined) complete.push(again);
      else waiting.push(again);
    }
  }
  return complete;
}

async function reread(access: StateAccess, table: string, items: readonly DecodedItem[]): Promise<DecodedItem[]> {
  if (items.length === 0) return [];
  const keys = items.map(({ item }) => itemKey(item.key, generationText(item.generation)));
  const before = new Map(items.map(({ item }) => [item.key, item.v] as const));
  return (await batchGet(access, table, keys)).map((attributes) => {
    const again = fromItem(attributes);
    if (again.beforeItem !== undefined && before.get(again.item.key) === again.item.v) {
      throw new TidemarkError(
        "retry",
        `The before-image of key ${(access.nameKey ?? plainKey)(again.item.key)} in table ${table} is gone (${again.beforeItem}). Its generation ${again.item.generation} is being removed; if that is the live generation, the item was deleted by hand: restore the latest checkpoint.`,
      );
    }
    return again;
  });
}

/** Deletes a before-item that nothing names. Never fails: an orphan does no harm. Costs one request. */
export async function deleteBeforeItem(
  access: DynamoDBAccess,
  table: string,
  key: string,
  name: string,
): Promise<void> {
  const request = new DeleteItemCommand({ TableName: table, Key: itemKey(key, name) });
  try {
    await untilNotThrottled(access, `deleting a before-image from table ${table}`, () => access.client.send(request));
  } catch {
    // The write that dropped it was answered already; its caller must not take this for a failure of the write.
  }
}
