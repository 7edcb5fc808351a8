import {
  CreateTableCommand,
  DescribeTableCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  type TableDescription,
} from "@aws-sdk/client-dynamodb";
import { TidemarkError } from "../errors.ts";
import { type DynamoDBAccess, patience, untilNotThrottled } from "./dynamodb-access.ts";

/** A table's primary key: two strings. */
export interface KeySchema {
  readonly partition: string;
  readonly sort: string;
}

/**
 * Creates an on-demand table and waits until it is active; one that exists already is left as it is. For the embedded
 * engine and tests: deployments create theirs by CDK, which adds recovery and retention settings.
 * @throws TidemarkError `fix-configuration` when a table of this name has another key; `retry` when it is not active in time.
 */
export async function createTable(access: DynamoDBAccess, table: string, key: KeySchema): Promise<void> {
  const action = `creating table ${table}`;
  const wait = patience(access, action);
  try {
    await untilNotThrottled(access, action, () =>
      access.client.send(
        new CreateTableCommand({
          TableName: table,
          BillingMode: "PAY_PER_REQUEST",
          AttributeDefinitions: [
            { AttributeName: key.partition, AttributeType: "S" },
            { AttributeName: key.sort, AttributeType: "S" },
          ],
          KeySchema: [
            { AttributeName: key.partition, KeyType: "HASH" },
            { AttributeName: key.sort, KeyType: "RANGE" },
          ],
        }),
      ),
    );
  } catch (error) {
    // Mapped errors keep what the SDK threw as their cause.
    if (!(error instanceof TidemarkError && error.cause instanceof ResourceInUseException)) throw error;
  }
  for (;;) {
    const description = await describe(access, table, action);
    if (description?.TableStatus === "ACTIVE") return checkKey(description, table, key);
    await wait.pause();
  }
}

async function describe(access: DynamoDBAccess, table: string, action: string): Promise<TableDescription | undefined> {
  try {
    const answer = await untilNotThrottled(access, action, () =>
      access.client.send(new DescribeTableCommand({ TableName: table })),
    );
    return answer.Table;
  } catch (error) {
    // Just after its creation a table can still be unknown to the host that is asked.
    if (error instanceof TidemarkError && error.cause instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

function checkKey(description: TableDescription, table: string, key: KeySchema): void {
  const found = (description.KeySchema ?? []).map((part) => part.AttributeName).join(", ");
  const wanted = `${key.partition}, ${key.sort}`;
  if (found === wanted) return;
  throw new TidemarkError(
    "fix-configuration",
    `Table ${table} exists with the key (${found}); Tidemark needs (${wanted}). Choose another name, or delete that table.`,
  );
}
