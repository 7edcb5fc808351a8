import { ScanCommand } from "@aws-sdk/client-dynamodb";
import pMap from "p-map";
import { BATCH_DELETE_KEYS_MAX, batchDelete } from "../../dynamodb/batch-delete.ts";
import { type DynamoDBAccess, untilNotThrottled } from "../../dynamodb/dynamodb-access.ts";
import type { AttributeMap } from "../../json/attribute-value.ts";
import { generationText } from "./state-table.ts";

const SEGMENTS = 16;
const CONCURRENCY = 4;

/**
 * Removes everything of generations below `generation`, before-items and orphans included.
 *
 * Reads the whole table, whatever is old in it: about one read unit for every 4 KB, and one write unit for every KB
 * removed. Starts at a random segment, so that calls which run out of time get through the table all the same.
 * @returns whether none is left; false at the deadline.
 */
export async function removeGenerationsBelow(
  access: DynamoDBAccess,
  table: string,
  generation: number,
  deadlineMs: number,
): Promise<boolean> {
  const first = Math.floor(access.randomness.fraction() * SEGMENTS);
  const segments = Array.from({ length: SEGMENTS }, (_, i) => (first + i) % SEGMENTS);
  const done = await pMap(segments, (segment) => removeFromSegment(segment), { concurrency: CONCURRENCY });
  return done.every(Boolean);

  async function removeFromSegment(segment: number): Promise<boolean> {
    let after: AttributeMap | undefined;
    do {
      if (access.clock.now() >= deadlineMs) return false;
      const request = new ScanCommand({
        TableName: table,
        Segment: segment,
        TotalSegments: SEGMENTS,
        ConsistentRead: true,
        // Before-items sort after their own generation and before the next one.
        FilterExpression: "#gen < :gen",
        ProjectionExpression: "#key, #gen",
        ExpressionAttributeNames: { "#key": "key", "#gen": "gen" },
        ExpressionAttributeValues: { ":gen": { S: generationText(generation) } },
        ...(after !== undefined && { ExclusiveStartKey: after }),
      });
      const page = await untilNotThrottled(access, `scanning table ${table}`, () => access.client.send(request));
      const keys = page.Items ?? [];
      for (let i = 0; i < keys.length; i += BATCH_DELETE_KEYS_MAX) {
        if (access.clock.now() >= deadlineMs) return false;
        await batchDelete(access, table, keys.slice(i, i + BATCH_DELETE_KEYS_MAX));
      }
      after = page.LastEvaluatedKey;
    } while (after !== undefined);
    return true;
  }
}
