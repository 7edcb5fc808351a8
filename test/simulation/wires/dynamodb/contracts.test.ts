/** The DynamoDB adapters keep their ports' contracts on the DynamoDB in memory, as on a real one. */
import { createControlTable } from "../../../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../../../shared/control/dynamodb/dynamodb-control-store.ts";
import { systemClock, systemRandomness } from "../../../../shared/environment.ts";
import { DynamoDBStateBackend } from "../../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../../../shared/state/dynamodb/state-table.ts";
import { controlContract } from "../../../contract/control-contract.ts";
import { stateContract } from "../../../contract/state-contract.ts";
import { memoryClient } from "./memory-client.ts";
import { MemoryDynamoDB } from "./memory-dynamodb.ts";

const access = () => ({ client: memoryClient(new MemoryDynamoDB()), clock: systemClock, randomness: systemRandomness });

controlContract("DynamoDB in memory", async () => {
  const surroundings = access();
  await createControlTable(surroundings, "control");
  return {
    store: new DynamoDBControlStore({ ...surroundings, table: "control", pageItemsMax: 3 }),
    close: async () => {},
  };
});

stateContract(
  "DynamoDB in memory",
  async () => {
    const surroundings = access();
    let functions = 0;
    return {
      backend: new DynamoDBStateBackend({ ...surroundings, tableOf: (name) => name, pageItemsMax: 7 }),
      async newFunction() {
        const table = `function-${functions++}`;
        await createStateTable(surroundings, table);
        return table;
      },
      close: async () => {},
    };
  },
  7,
);
