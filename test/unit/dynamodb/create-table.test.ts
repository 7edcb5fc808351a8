import { afterAll, beforeAll, expect, it } from "vitest";
import { createControlTable } from "../../../shared/control/dynamodb/control-table.ts";
import { DynamoDBStateBackend } from "../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../../shared/state/dynamodb/state-table.ts";
import { access, newTableName, startDynalite, type TestDynamoDB } from "../../support/dynalite.ts";

let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startDynalite({ createTableMs: 100 });
});
afterAll(() => dynamodb.close());

it("returns once the table takes writes, and leaves one that exists as it is", async () => {
  const surroundings = access(dynamodb.client());
  const table = newTableName();
  await Promise.all([createStateTable(surroundings, table), createStateTable(surroundings, table)]);
  const state = new DynamoDBStateBackend({ ...surroundings, tableOf: () => table });
  const item = { key: "k", generation: 1, v: "v", epoch: 0, state: { value: 1, version: 1 }, applied: {} };
  expect(await state.write("f", item, undefined)).toBe(true);
  await createStateTable(surroundings, table);
  expect((await state.load({ function: "f", generation: 1 }, ["k"])).get("k")).toEqual(item);
});

it("refuses a table of that name with another key, and says which it needs", async () => {
  const surroundings = access(dynamodb.client());
  const table = newTableName();
  await createControlTable(surroundings, table);
  await expect(createStateTable(surroundings, table)).rejects.toMatchObject({
    kind: "fix-configuration",
    message: expect.stringMatching(/\(pk, sk\).*\(key, gen\)/),
  });
});

it("gives up with an error of kind retry when the table is not active in time", async () => {
  const surroundings = access(dynamodb.client(), 0);
  await expect(createStateTable(surroundings, newTableName())).rejects.toMatchObject({ kind: "retry" });
});
