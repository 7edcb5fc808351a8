/** Owns every key and attribute name of a state table. Nothing else spells one. */
import { createTable, type KeySchema } from "../../dynamodb/create-table.ts";
import type { DynamoDBAccess } from "../../dynamodb/dynamodb-access.ts";
import { TidemarkError } from "../../errors.ts";
import { type KeyNamer, plainKey } from "../../function/name-key.ts";
import type { AttributeMap } from "../../json/attribute-value.ts";

/** How the tables are reached, and how messages name a key. */
export interface StateAccess extends DynamoDBAccess {
  /** @default as it is */
  readonly nameKey?: KeyNamer;
}

/** Partition: the user's key. Sort: the generation, or that of a before-image which outgrew its item. */
export const STATE_KEY_SCHEMA: KeySchema = { partition: "key", sort: "gen" };

/** DynamoDB's limit for a partition key, in bytes of UTF-8. */
export const KEY_BYTES_MAX = 2_048;

/** The partition of the item that says whose the table is. A user's key may be the same: its generations are numbers. */
export const STATE_CLAIM_KEY = "#tidemark";

/** Ten digits, so that generations are ordered as text. */
export const generationText = (generation: number): string => String(generation).padStart(10, "0");

/** The sort key of a before-image that is an item of its own, made by the write named `v`. Ordered after its generation. */
export const beforeItemGeneration = (generation: number, v: string): string =>
  `${generationText(generation)}#before#${v}`;

/** The primary key of a state item (`gen`: see {@link generationText}) or of a before-item. */
export const itemKey = (key: string, gen: string): AttributeMap => ({ key: { S: key }, gen: { S: gen } });

/** @throws TidemarkError `fix-function` for a key that DynamoDB cannot take. */
export function checkKey(functionName: string, key: string, nameKey: KeyNamer = plainKey): void {
  // No UTF-16 unit takes more than 3 bytes: almost every key needs no count.
  if (key.length > 0 && (key.length * 3 <= KEY_BYTES_MAX || Buffer.byteLength(key) <= KEY_BYTES_MAX)) return;
  throw new TidemarkError(
    "fix-function",
    `Function ${functionName} keeps state by a key of ${Buffer.byteLength(key)} bytes (${nameKey(key)}); DynamoDB takes 1 to ${KEY_BYTES_MAX}. Shorten or hash what its key selector returns.`,
  );
}

/** Creates a function's state table where it is missing: on-demand, for the embedded engine and tests. */
export const createStateTable = (access: DynamoDBAccess, table: string): Promise<void> =>
  createTable(access, table, STATE_KEY_SCHEMA);
