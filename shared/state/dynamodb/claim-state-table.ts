/**
 * Whose a state table is: an item beside the states, in a generation that no scan for states and no sweep of older ones
 * takes, since it is no number. One request a call.
 */
import { ConditionalCheckFailedException, GetItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { type DynamoDBAccess, untilNotThrottled } from "../../dynamodb/dynamodb-access.ts";
import type { AttributeMap } from "../../json/attribute-value.ts";
import { itemKey, STATE_CLAIM_KEY } from "./state-table.ts";

export interface StateTableClaim {
  readonly app: string;
  readonly function: string;
  readonly id: string;
}

const NAMES = ["app", "function", "id"] as const;

/** Ordered after every generation. */
const claimKey: AttributeMap = itemKey(STATE_CLAIM_KEY, "claim");

export async function readStateTableClaim(access: DynamoDBAccess, table: string): Promise<StateTableClaim | undefined> {
  const request = new GetItemCommand({ TableName: table, Key: claimKey, ConsistentRead: true });
  const { Item } = await untilNotThrottled(access, `reading whose table ${table} is`, () =>
    access.client.send(request),
  );
  if (Item === undefined) return undefined;
  const [app = "", name = "", id = ""] = NAMES.map((attribute) => Item[attribute]?.S);
  return { app, function: name, id };
}

/** @param read the id of the claim that is replaced; undefined: there is none. Changes nothing where it is not so. */
export async function writeStateTableClaim(
  access: DynamoDBAccess,
  table: string,
  claim: StateTableClaim,
  read?: string,
): Promise<void> {
  const request = new UpdateItemCommand({
    TableName: table,
    Key: claimKey,
    UpdateExpression: "SET #app = :app, #function = :function, #id = :id",
    ConditionExpression: read === undefined ? "attribute_not_exists(#id)" : "#id = :read",
    ExpressionAttributeNames: Object.fromEntries(NAMES.map((name) => [`#${name}`, name])),
    ExpressionAttributeValues: {
      ...Object.fromEntries(NAMES.map((name) => [`:${name}`, { S: claim[name] }])),
      ...(read === undefined ? {} : { ":read": { S: read } }),
    },
  });
  try {
    await untilNotThrottled(access, `claiming table ${table}`, () => access.client.send(request));
  } catch (thrown) {
    if (!(thrown instanceof ConditionalCheckFailedException)) throw thrown;
  }
}
