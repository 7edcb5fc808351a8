import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import { access, newTableName, startDynamoDB } from "../support/dynalite.ts";
import { controlContract } from "./control-contract.ts";

controlContract("DynamoDB", async () => {
  const dynamodb = await startDynamoDB();
  const surroundings = access(dynamodb.client());
  const table = newTableName();
  await createControlTable(surroundings, table);
  return {
    store: new DynamoDBControlStore({ ...surroundings, table, pageItemsMax: 3 }),
    close: () => dynamodb.close(),
  };
});
