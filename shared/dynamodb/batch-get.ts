import { BatchGetItemCommand } from "@aws-sdk/client-dynamodb";
import type { AttributeMap } from "../json/attribute-value.ts";
import { type DynamoDBAccess, patience, untilNotThrottled } from "./dynamodb-access.ts";

/** The most keys that DynamoDB takes in one BatchGetItem. */
export const BATCH_GET_KEYS_MAX = 100;

/**
 * The items of at most {@link BATCH_GET_KEYS_MAX} distinct keys, strongly consistent, in no order; missing ones are
 * left out. One request, and one more for what is left over (answers end at 16 MB, or at the table's throughput).
 * @throws TidemarkError `retry` when keys are still unprocessed after the patience.
 */
export async function batchGet(
  access: DynamoDBAccess,
  table: string,
  keys: readonly AttributeMap[],
): Promise<AttributeMap[]> {
  const action = `loading ${keys.length} items from table ${table}`;
  const items: AttributeMap[] = [];
  const wait = patience(access, action);
  let left: AttributeMap[] = [...keys];
  while (left.length > 0) {
    const request = new BatchGetItemCommand({ RequestItems: { [table]: { Keys: left, ConsistentRead: true } } });
    const answer = await untilNotThrottled(access, action, () => access.client.send(request));
    for (const item of answer.Responses?.[table] ?? []) items.push(item);
    const unprocessed = answer.UnprocessedKeys?.[table]?.Keys ?? [];
    if (unprocessed.length > 0) {
      // The 16 MB limit leaves keys over while others come through; only a standstill means that it should slow down.
      if (unprocessed.length < left.length) wait.reset();
      await wait.pause();
    }
    left = unprocessed;
  }
  return items;
}
