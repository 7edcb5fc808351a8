/**
 * Everything that an app has in its stores, as the bytes that stand there: control items, state items in DynamoDB's form,
 * objects. What one version of Tidemark left is put back for another to go on from.
 */

import { gunzipSync, gzipSync } from "node:zlib";
import { path, value } from "../../shared/control/conditional-write.ts";
import type { ControlAttributes, ControlStore } from "../../shared/control/control-store.ts";
import { CONTROL_KEY, STORAGE_KEY } from "../../shared/control/item-keys.ts";
import type { AttributeMap } from "../../shared/json/attribute-value.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import {
  fromItem,
  toBeforeAttributes,
  toItemWithoutBefore,
} from "../../shared/state/dynamodb/state-item-attributes.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import type { TestWorld } from "../support/test-world.ts";

export interface StoredWorld {
  /** The clock's, in ms since 1970. */
  readonly nowMs: number;
  /** Letters of each split, as `TestWorld` writes records. */
  readonly splits: { readonly [split: string]: string };
  /** Partition -> sort key -> attributes. */
  readonly control: { readonly [partition: string]: { readonly [sort: string]: ControlAttributes } };
  readonly state: readonly AttributeMap[];
  /** Path -> JSON, or the lines of a part. */
  readonly objects: { readonly [path: string]: JsonValue };
}

const FUNCTION = "log";
const GENERATIONS = [1, 2, 3];

/** @param partitions the control table's partitions besides those of the control item and the splits */
export async function dump(
  world: TestWorld,
  splits: StoredWorld["splits"],
  partitions: readonly string[],
): Promise<StoredWorld> {
  const { control: store, state: backend, storage } = world.stores;
  const control: Record<string, Record<string, ControlAttributes>> = {};
  for (const partition of [CONTROL_KEY.partition, STORAGE_KEY.partition, `SPLIT#${FUNCTION}`, ...partitions]) {
    for await (const { sort, attributes } of store.list(partition)) {
      control[partition] = { ...control[partition], [sort]: attributes };
    }
  }
  const state: AttributeMap[] = [];
  for (const generation of GENERATIONS) {
    for await (const { items } of backend.scan({ function: FUNCTION, generation }, { index: 0, count: 1 })) {
      for (const item of items) state.push({ ...toItemWithoutBefore(item), ...toBeforeAttributes(item.before) });
    }
  }
  const objects: Record<string, JsonValue> = {};
  for await (const { path: at } of storage.list("")) objects[at] = await contentOf(world, at);
  return { nowMs: world.clock.ms, splits, control, state, objects };
}

async function contentOf({ stores }: TestWorld, at: string): Promise<JsonValue> {
  if (!at.endsWith(".gz")) return JSON.parse((await readWhole(stores.storage, at))?.text ?? "null") as JsonValue;
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await stores.storage.read(at))?.body ?? []) chunks.push(chunk);
  const lines = gunzipSync(Buffer.concat(chunks)).toString("utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as JsonValue);
}

/** Fills the stores of a world that has nothing yet. */
export async function fill(world: TestWorld, stored: StoredWorld): Promise<void> {
  world.clock.ms = stored.nowMs;
  for (const [split, letters] of Object.entries(stored.splits)) world.split(split, letters);
  for (const [partition, items] of Object.entries(stored.control)) {
    for (const [sort, attributes] of Object.entries(items))
      await put(world.stores.control, { partition, sort }, attributes);
  }
  for (const attributes of stored.state) {
    const { item } = fromItem(attributes);
    await world.stores.state.write(FUNCTION, item, undefined);
  }
  for (const [at, content] of Object.entries(stored.objects)) {
    await world.stores.storage.createExclusively(at, bytesOf(at, content));
  }
}

function put(store: ControlStore, key: { partition: string; sort: string }, attributes: ControlAttributes) {
  return store.update(key, {
    conditions: [],
    set: Object.entries(attributes).map(([name, content]) => [path(name), value(content)] as const),
  });
}

function bytesOf(at: string, content: JsonValue): Uint8Array {
  if (!at.endsWith(".gz")) return Buffer.from(JSON.stringify(content));
  return gzipSync((content as JsonValue[]).map((line) => `${JSON.stringify(line)}\n`).join(""));
}
