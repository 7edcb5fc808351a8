/** The control table's key. Which items it holds: `item-keys.ts`. */
import { createTable, type KeySchema } from "../../dynamodb/create-table.ts";
import type { DynamoDBAccess } from "../../dynamodb/dynamodb-access.ts";
import type { AttributeMap } from "../../json/attribute-value.ts";
import type { ItemKey } from "../control-store.ts";

export const CONTROL_KEY_SCHEMA: KeySchema = { partition: "pk", sort: "sk" };

export const controlItemKey = (key: ItemKey): AttributeMap => ({ pk: { S: key.partition }, sk: { S: key.sort } });

/** Creates the control table where it is missing: on-demand, for the embedded engine and tests. */
export const createControlTable = (access: DynamoDBAccess, table: string): Promise<void> =>
  createTable(access, table, CONTROL_KEY_SCHEMA);
