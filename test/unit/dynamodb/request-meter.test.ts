import { afterAll, beforeAll, expect, it } from "vitest";
import { meterDynamoDB } from "../../../shared/dynamodb/request-meter.ts";
import { DynamoDBStateBackend } from "../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../../shared/state/dynamodb/state-table.ts";
import type { StateItem } from "../../../shared/state/state-item.ts";
import { access, newTableName, startDynamoDB, type TestDynamoDB } from "../../support/dynalite.ts";
import { startFaultyProxy } from "../../support/faulty-proxy.ts";

let dynamodb: TestDynamoDB;
let table: string;
beforeAll(async () => {
  dynamodb = await startDynamoDB();
  table = newTableName();
  await createStateTable(access(dynamodb.client()), table);
});
afterAll(() => dynamodb.close());

const scope = { function: "f", generation: 1 };
const itemOf = (key: string, bytes: number): StateItem => ({
  key,
  generation: 1,
  v: key,
  epoch: 0,
  state: { value: "x".repeat(bytes), version: 1 },
  applied: {},
});

it("counts commands, units and bytes since it was made or reset", async () => {
  const client = dynamodb.client();
  const meter = meterDynamoDB(client);
  const state = new DynamoDBStateBackend({ ...access(client), tableOf: () => table });
  await state.write("f", itemOf("a", 5_000), undefined);
  await state.load(scope, ["a"]);
  const counts = meter.snapshot();
  expect(counts).toMatchObject({
    commands: { PutItem: 1, BatchGetItem: 1 },
    requests: 2,
    writeUnits: 5,
    readUnits: 2,
    failedConditions: 0,
  });
  expect(counts.bytesSent).toBeGreaterThan(5_000);
  expect(counts.bytesReceived).toBeGreaterThan(5_000);
  meter.reset();
  expect(meter.snapshot()).toEqual({
    commands: {},
    requests: 0,
    readUnits: 0,
    writeUnits: 0,
    failedConditions: 0,
    bytesSent: 0,
    bytesReceived: 0,
  });
  expect(counts.requests).toBe(2);
});

it("counts a failed condition", async () => {
  const client = dynamodb.client();
  const meter = meterDynamoDB(client);
  const state = new DynamoDBStateBackend({ ...access(client), tableOf: () => table });
  expect(await state.write("f", itemOf("b", 1), "another")).toBe(false);
  expect(meter.snapshot()).toMatchObject({ commands: { PutItem: 1 }, failedConditions: 1, writeUnits: 0 });
});

it("counts a command once and every request that the SDK made for it", async () => {
  let requests = 0;
  const proxy = await startFaultyProxy(dynamodb.endpoint, () => (requests++ < 2 ? "throttle" : undefined));
  const client = dynamodb.client({ endpoint: proxy.endpoint, maxAttempts: 3 });
  const meter = meterDynamoDB(client);
  const state = new DynamoDBStateBackend({ ...access(client), tableOf: () => table });
  expect(await state.write("f", itemOf("c", 1), undefined)).toBe(true);
  expect(meter.snapshot()).toMatchObject({ commands: { PutItem: 1 }, requests: 3, writeUnits: 1 });
  await proxy.close();
});
