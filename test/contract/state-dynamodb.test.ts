import { DynamoDBStateBackend } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import { access, newTableName, startDynamoDB } from "../support/dynalite.ts";
import { stateContract } from "./state-contract.ts";

stateContract(
  "DynamoDB",
  async () => {
    const dynamodb = await startDynamoDB();
    const surroundings = access(dynamodb.client());
    return {
      backend: new DynamoDBStateBackend({ ...surroundings, tableOf: (name) => name, pageItemsMax: 7 }),
      async newFunction() {
        const table = newTableName();
        await createStateTable(surroundings, table);
        return table;
      },
      close: () => dynamodb.close(),
    };
  },
  7,
);
