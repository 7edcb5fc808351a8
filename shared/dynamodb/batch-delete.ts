import { BatchWriteItemCommand } from "@aws-sdk/client-dynamodb";
import type { AttributeMap } from "../json/attribute-value.ts";
import { type DynamoDBAccess, patience, untilNotThrottled } from "./dynamodb-access.ts";

/** The most items that DynamoDB takes in one BatchWriteItem. */
export const BATCH_DELETE_KEYS_MAX = 25;

/**
 * Deletes the items of at most {@link BATCH_DELETE_KEYS_MAX} distinct keys, whether they exist or not. Not atomic: a
 * failure leaves some deleted.
 * @throws TidemarkError `retry` when some are still unprocessed after the patience.
 */
export async function batchDelete(access: DynamoDBAccess, table: string, keys: readonly AttributeMap[]): Promise<void> {
  const action = `deleting ${keys.length} items from table ${table}`;
  const wait = patience(access, action);
  let left = keys.map((Key) => ({ DeleteRequest: { Key } }));
  while (left.length > 0) {
    const request = new BatchWriteItemCommand({ RequestItems: { [table]: left } });
    const answer = await untilNotThrottled(access, action, () => access.client.send(request));
    const unprocessed = (answer.UnprocessedItems?.[table] ?? []) as typeof left;
    if (unprocessed.length > 0) {
      if (unprocessed.length < left.length) wait.reset();
      await wait.pause();
    }
    left = unprocessed;
  }
}
