import { ScanCommand, type ScanCommandInput } from "@aws-sdk/client-dynamodb";
import { BATCH_DELETE_KEYS_MAX, batchDelete } from "../../dynamodb/batch-delete.ts";
import { type DynamoDBAccess, untilNotThrottled } from "../../dynamodb/dynamodb-access.ts";
import type { AttributeMap } from "../../json/attribute-value.ts";
import { generationText } from "./state-table.ts";

/**
 * Removes what a page of a scan holds of generations below `generation`, before-items and orphans included.
 *
 * Costs half a read unit for every 4 KB of the page, whatever is old in it, and a write unit for every KB removed. The
 * reads are eventual, for nobody is owed them: what is below the live generation is read by nobody, is written by none but
 * zombies, whose writes come after a strong read as well, and falls to the next restore's sweep. What such a read still
 * shows and is gone by then is deleted once more.
 * @returns where the next page begins; undefined after the last one.
 */
export async function removeOlderFromPage(
  access: DynamoDBAccess,
  table: string,
  generation: number,
  page: Pick<ScanCommandInput, "Segment" | "TotalSegments" | "Limit" | "ExclusiveStartKey">,
): Promise<AttributeMap | undefined> {
  const request = new ScanCommand({
    TableName: table,
    ...page,
    // Before-items sort after their own generation and before the next one.
    FilterExpression: "#gen < :gen",
    ProjectionExpression: "#key, #gen",
    ExpressionAttributeNames: { "#key": "key", "#gen": "gen" },
    ExpressionAttributeValues: { ":gen": { S: generationText(generation) } },
  });
  const answer = await untilNotThrottled(access, `scanning table ${table}`, () => access.client.send(request));
  const keys = answer.Items ?? [];
  for (let i = 0; i < keys.length; i += BATCH_DELETE_KEYS_MAX) {
    await batchDelete(access, table, keys.slice(i, i + BATCH_DELETE_KEYS_MAX));
  }
  return answer.LastEvaluatedKey;
}
