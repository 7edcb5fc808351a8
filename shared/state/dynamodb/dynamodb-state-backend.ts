/**
 * Working state in DynamoDB, one table per function: what a deployment runs on.
 *
 * Every write is one conditional PutItem. What it costs: a write unit for every KB of the item (state, `applied`
 * and before-image together); a load a read unit for every 4 KB of each item. A before-image that does not fit beside
 * its state costs one more put, one more read at every load, and a delete once it is dropped.
 */
import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from "@aws-sdk/client-dynamodb";
import { BATCH_GET_KEYS_MAX, batchGet } from "../../dynamodb/batch-get.ts";
import { untilNotThrottled } from "../../dynamodb/dynamodb-access.ts";
import { TidemarkError } from "../../errors.ts";
import { forEach } from "../../for-each.ts";
import { plainKey } from "../../function/name-key.ts";
import type { AttributeMap } from "../../json/attribute-value.ts";
import { itemBytes } from "../../json/item-size.ts";
import type { ScanPage, StateBackend, StateScope } from "../state-backend.ts";
import { ABSENT, type StateItem } from "../state-item.ts";
import { BeforeItemNames, deleteBeforeItem, withBeforeItems } from "./before-items.ts";
import { removeOlderFromPage } from "./older-generations.ts";
import { fromItem, toBeforeAttributes, toItemWithoutBefore } from "./state-item-attributes.ts";
import { beforeItemGeneration, checkKey, generationText, itemKey, type StateAccess } from "./state-table.ts";

export interface DynamoDBStateOptions extends StateAccess {
  /** The table that holds a function's state. */
  readonly tableOf: (functionName: string) => string;
  /**
   * Items that one request of a scan looks at; DynamoDB ends it at 1 MB besides. Fewer are less memory (some 5 KB an item of
   * 400 bytes, for each slice that is scanned) and more requests; the units are the same.
   * @default 1_000
   */
  readonly pageItemsMax?: number;
}

/** DynamoDB's limit for one item. */
export const ITEM_BYTES_MAX = 400 * 1024;

/** Left free: AWS calls its rule for numbers an approximation, and a before-item needs to be named. */
const ITEM_BYTES_MARGIN = 2 * 1024;

const LOAD_CONCURRENCY = 4;

const PAGE_ITEMS_MAX_DEFAULT = 1_000;

export class DynamoDBStateBackend implements StateBackend {
  readonly itemBytesMax = ITEM_BYTES_MAX;
  readonly #options: DynamoDBStateOptions;
  readonly #names = new BeforeItemNames();

  constructor(options: DynamoDBStateOptions) {
    this.#options = options;
  }

  refuseOversized(functionName: string, item: StateItem): void {
    checkKey(functionName, item.key, this.#options.nameKey);
    this.#encode(functionName, item);
  }

  /** One BatchGetItem for every 100 keys, four at a time. */
  async load(scope: StateScope, keys: readonly string[]): Promise<Map<string, StateItem>> {
    const table = this.#options.tableOf(scope.function);
    const gen = generationText(scope.generation);
    const chunks: AttributeMap[][] = [];
    for (const [i, key] of keys.entries()) {
      checkKey(scope.function, key, this.#options.nameKey);
      if (i % BATCH_GET_KEYS_MAX === 0) chunks.push([]);
      chunks.at(-1)?.push(itemKey(key, gen));
    }
    const loaded = new Map<string, StateItem>();
    await forEach(chunks, LOAD_CONCURRENCY, async (chunk) => {
      const decoded = (await batchGet(this.#options, table, chunk)).map(fromItem);
      for (const { item, beforeItem } of await withBeforeItems(this.#options, table, decoded)) {
        loaded.set(item.key, item);
        if (beforeItem !== undefined) this.#names.remember(item, beforeItem);
      }
    });
    return loaded;
  }

  async write(functionName: string, item: StateItem, expected: string | undefined): Promise<boolean> {
    checkKey(functionName, item.key, this.#options.nameKey);
    const table = this.#options.tableOf(functionName);
    const { attributes, bytes } = this.#encode(functionName, item);
    const before = toBeforeAttributes(item.before);
    const dropped = this.#names.named(expected);
    let beforeItem: string | undefined;
    let put = false;
    if (bytes + itemBytes(before) <= ITEM_BYTES_MAX - ITEM_BYTES_MARGIN) {
      Object.assign(attributes, before);
    } else {
      beforeItem = this.#names.reusable(item.before, expected);
      put = beforeItem === undefined;
      beforeItem ??= beforeItemGeneration(item.generation, item.v);
      if (put) await this.#put(functionName, item, { ...itemKey(item.key, beforeItem), ...before });
      attributes.beforeItem = { S: beforeItem };
    }

    if (!(await this.#put(functionName, item, attributes, { expected }))) {
      if (put && beforeItem !== undefined && expected !== undefined) await this.#dropUnused(table, item, beforeItem);
      return false;
    }
    if (beforeItem !== undefined) this.#names.remember(item, beforeItem);
    this.#names.forget(expected);
    if (dropped !== undefined && dropped !== beforeItem) {
      await deleteBeforeItem(this.#options, table, item.key, dropped);
    }
    return true;
  }

  async remove(scope: StateScope, key: string, v: string): Promise<boolean> {
    checkKey(scope.function, key, this.#options.nameKey);
    const table = this.#options.tableOf(scope.function);
    const request = new DeleteItemCommand({
      TableName: table,
      Key: itemKey(key, generationText(scope.generation)),
      ConditionExpression: "#v = :v",
      ExpressionAttributeNames: { "#v": "v" },
      ExpressionAttributeValues: { ":v": { S: v } },
      ReturnValues: "ALL_OLD",
    });
    try {
      const answer = await untilNotThrottled(this.#options, `removing a key from table ${table}`, () =>
        this.#options.client.send(request),
      );
      const beforeItem = answer.Attributes?.beforeItem?.S;
      if (beforeItem !== undefined) await deleteBeforeItem(this.#options, table, key, beforeItem);
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }

  /** One Scan request for every 1,000 items (or MB, if that is less) of the table that the slice holds, whatever their generation. */
  async *scan(
    scope: StateScope,
    slice: { readonly index: number; readonly count: number },
    cursor?: string,
  ): AsyncGenerator<ScanPage, void> {
    const table = this.#options.tableOf(scope.function);
    const gen = generationText(scope.generation);
    let after = cursor === undefined ? undefined : decodeCursor(cursor);
    do {
      const request = new ScanCommand({
        TableName: table,
        Segment: slice.index,
        TotalSegments: slice.count,
        ConsistentRead: true,
        FilterExpression: "#gen = :gen",
        ExpressionAttributeNames: { "#gen": "gen" },
        ExpressionAttributeValues: { ":gen": { S: gen } },
        Limit: this.#options.pageItemsMax ?? PAGE_ITEMS_MAX_DEFAULT,
        ...(after !== undefined && { ExclusiveStartKey: after }),
      });
      const page = await untilNotThrottled(this.#options, `scanning table ${table}`, () =>
        this.#options.client.send(request),
      );
      after = page.LastEvaluatedKey;
      // Before-items are scanned too, each beside its main item: no page of 1 MB holds more than three.
      const complete = await withBeforeItems(this.#options, table, (page.Items ?? []).map(fromItem));
      yield { items: complete.map(({ item }) => item), cursor: after && encodeCursor(after) };
    } while (after !== undefined);
  }

  async removeOlderGenerations(
    scope: StateScope,
    slice: { readonly index: number; readonly count: number },
    cursor?: string,
  ): Promise<string | undefined> {
    const table = this.#options.tableOf(scope.function);
    const after = await removeOlderFromPage(this.#options, table, scope.generation, {
      Segment: slice.index,
      TotalSegments: slice.count,
      Limit: this.#options.pageItemsMax ?? PAGE_ITEMS_MAX_DEFAULT,
      ...(cursor !== undefined && { ExclusiveStartKey: decodeCursor(cursor) }),
    });
    return after && encodeCursor(after);
  }

  /** @returns false when the condition failed. */
  async #put(
    functionName: string,
    item: StateItem,
    attributes: AttributeMap,
    condition?: { readonly expected: string | undefined },
  ): Promise<boolean> {
    const table = this.#options.tableOf(functionName);
    const request = new PutItemCommand({
      TableName: table,
      Item: attributes,
      ...(condition && writeCondition(condition.expected)),
    });
    try {
      await untilNotThrottled(this.#options, `writing a key to table ${table}`, () =>
        this.#options.client.send(request),
      );
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      if (error instanceof TidemarkError && /item size|nesting/i.test(error.message)) {
        throw this.#tooLarge(functionName, item, itemBytes(attributes), error);
      }
      throw error;
    }
  }

  /**
   * After a failed condition: the before-item just put is an orphan, unless the put of the main item was applied at
   * an attempt of the SDK whose answer was lost. It cannot arrive later: `expected` never comes back.
   */
  async #dropUnused(table: string, item: StateItem, beforeItem: string): Promise<void> {
    const request = new GetItemCommand({
      TableName: table,
      Key: itemKey(item.key, generationText(item.generation)),
      ConsistentRead: true,
      ProjectionExpression: "beforeItem",
    });
    try {
      const main = await this.#options.client.send(request);
      if (main.Item?.beforeItem?.S !== beforeItem) await deleteBeforeItem(this.#options, table, item.key, beforeItem);
    } catch {
      // An orphan does no harm; the caller is owed the answer that its condition failed.
    }
  }

  #encode(functionName: string, item: StateItem): { readonly attributes: AttributeMap; readonly bytes: number } {
    const attributes = toItemWithoutBefore(item);
    const bytes = itemBytes(attributes);
    if (bytes > ITEM_BYTES_MAX - ITEM_BYTES_MARGIN) throw this.#tooLarge(functionName, item, bytes);
    return { attributes, bytes };
  }

  #tooLarge(functionName: string, item: StateItem, bytes: number, cause?: unknown): TidemarkError {
    const { nameKey = plainKey } = this.#options;
    const what = item.state === ABSENT ? "the marks of its splits" : "its state";
    return new TidemarkError(
      "fix-function",
      `Function ${functionName}, key ${nameKey(item.key)}: ${what} would make an item of ${bytes} bytes (or nests too deeply); DynamoDB takes ${ITEM_BYTES_MAX}, of which ${ITEM_BYTES_MARGIN} are kept free, and 32 levels. Nothing was written. Keep less in the state, or split it over several keys.`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** All but the before-image, which can be put elsewhere. */
function writeCondition(expected: string | undefined) {
  return expected === undefined
    ? { ConditionExpression: "attribute_not_exists(#key)", ExpressionAttributeNames: { "#key": "key" } }
    : {
        ConditionExpression: "#v = :expected",
        ExpressionAttributeNames: { "#v": "v" },
        ExpressionAttributeValues: { ":expected": { S: expected } },
      };
}

/** A cursor is the primary key of the last item seen. */
const encodeCursor = (key: AttributeMap): string => JSON.stringify([key.key?.S, key.gen?.S]);

function decodeCursor(cursor: string): AttributeMap {
  const [key, gen] = JSON.parse(cursor) as [string, string];
  return itemKey(key, gen);
}
