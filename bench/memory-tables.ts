/** State tables of many keys, as the memory benchmark needs them: filled by hand, since folding them would take hours. */
import { BatchWriteItemCommand } from "@aws-sdk/client-dynamodb";
import pMap from "p-map";
import type { onTime } from "../examples/flights/on-time.ts";
import type { DynamoDBAccess } from "../shared/dynamodb/dynamodb-access.ts";
import type { AttributeMap } from "../shared/json/attribute-value.ts";
import type { JsonValue } from "../shared/json/json-value.ts";
import { toItemWithoutBefore } from "../shared/state/dynamodb/state-item-attributes.ts";
import { createStateTable } from "../shared/state/dynamodb/state-table.ts";

/** DynamoDB's limit for one BatchWriteItem. */
const ITEMS_A_REQUEST = 25;
const REQUESTS_IN_FLIGHT = 8;
const DESTINATIONS = 20;

/** Creates the table with `keys` keys in generation 1, some 400 bytes each. */
export async function fillStateTable(access: DynamoDBAccess, table: string, keys: number): Promise<void> {
  await createStateTable(access, table);
  await pMap(
    chunksOf(keys),
    async ({ from, to }) => {
      const puts = Array.from({ length: to - from }, (_, i) => ({ PutRequest: { Item: stateItem(from + i) } }));
      let left: typeof puts | undefined = puts;
      while (left !== undefined && left.length > 0) {
        const answer = await access.client.send(new BatchWriteItemCommand({ RequestItems: { [table]: left } }));
        left = answer.UnprocessedItems?.[table] as typeof puts | undefined;
      }
    },
    { concurrency: REQUESTS_IN_FLIGHT },
  );
}

function* chunksOf(keys: number): Generator<{ readonly from: number; readonly to: number }> {
  for (let from = 0; from < keys; from += ITEMS_A_REQUEST) yield { from, to: Math.min(keys, from + ITEMS_A_REQUEST) };
}

function stateItem(number: number): AttributeMap {
  const state: ReturnType<typeof onTime.state.initial> = {
    flights: number,
    delayed: number % 1_000,
    totalDelay: number * 7,
    worstDelay: number % 600,
    worstDate: "2001-01-10T18:20",
    destinations: Array.from({ length: DESTINATIONS }, (_, i) => ((number * DESTINATIONS + i) % 46_656).toString(36)),
  };
  return toItemWithoutBefore({
    key: `airport-${String(number).padStart(9, "0")}`,
    generation: 1,
    v: `v-${number}`,
    epoch: 0,
    state: { value: state as unknown as JsonValue, version: 2 },
    applied: {},
  });
}
