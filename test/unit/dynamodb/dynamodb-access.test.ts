import { type DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { value } from "../../../shared/control/conditional-write.ts";
import { createControlTable } from "../../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../../shared/control/dynamodb/dynamodb-control-store.ts";
import { meterDynamoDB } from "../../../shared/dynamodb/request-meter.ts";
import { DynamoDBStateBackend } from "../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../../shared/state/dynamodb/state-table.ts";
import type { StateItem } from "../../../shared/state/state-item.ts";
import { access, newTableName, startDynalite, startDynamoDB, type TestDynamoDB } from "../../support/dynalite.ts";
import { type Fault, startFaultyProxy } from "../../support/faulty-proxy.ts";
import { recordingClock } from "../../support/recording-clock.ts";

let dynamodb: TestDynamoDB;
let client: DynamoDBClient;
let table: string;
let controlTable: string;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  dynamodb = await startDynamoDB();
  client = dynamodb.client();
  table = newTableName();
  controlTable = newTableName();
  await createStateTable(access(client), table);
  await createControlTable(access(client), controlTable);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(() => dynamodb.close());

let keys = 0;
const scope = { function: "f", generation: 1 };
const itemOf = (key: string, text = ""): StateItem => ({
  key,
  generation: 1,
  v: key,
  epoch: 0,
  state: { value: text, version: 1 },
  applied: {},
});
const stateOn = (on: DynamoDBClient, more: object = {}) =>
  new DynamoDBStateBackend({ ...access(on), ...more, tableOf: () => table });
async function faultyClient(
  fault: (operation: string, body: Record<string, unknown>) => Fault | undefined,
  maxAttempts = 1,
): Promise<DynamoDBClient> {
  const proxy = await startFaultyProxy(dynamodb.endpoint, fault);
  closing.push(() => proxy.close());
  return dynamodb.client({ endpoint: proxy.endpoint, maxAttempts });
}

describe("throttling", () => {
  it("is waited out, with longer and longer waits", async () => {
    const clock = recordingClock();
    let requests = 0;
    const faulty = stateOn(await faultyClient(() => (requests++ < 6 ? "throttle" : undefined)), {
      clock,
      randomness: { fraction: () => 0.5, token: () => "" },
    });
    expect(await faulty.write("f", itemOf(`k${keys++}`), undefined)).toBe(true);
    expect(requests).toBe(7);
    expect(clock.sleeps).toEqual([13, 26, 51, 101, 201, 401]);
  });

  it("ends with an error of kind retry when the patience does, and writes nothing", async () => {
    const clock = recordingClock();
    const faulty = stateOn(await faultyClient(() => "throttle"), { clock, patienceMs: 2_000 });
    const key = `k${keys++}`;
    const before = clock.now();
    await expect(faulty.write("f", itemOf(key), undefined)).rejects.toMatchObject({
      kind: "retry",
      message: expect.stringContaining("2000 ms"),
    });
    expect(clock.now() - before).toBeLessThanOrEqual(2_000);
    expect(clock.sleeps.length).toBeGreaterThan(3);
    expect(await stateOn(client).load(scope, [key])).toEqual(new Map());
  });

  it("of a control store is waited out as well", async () => {
    let requests = 0;
    const store = new DynamoDBControlStore({
      ...access(await faultyClient(() => (requests++ < 2 ? "throttle" : undefined))),
      clock: recordingClock(),
      table: controlTable,
    });
    const key = { partition: "throttled", sort: "s" };
    expect(await store.update(key, { conditions: [], set: [[["a"], value(1)]] })).toMatchObject({ applied: true });
    expect(await store.get(key)).toEqual({ a: 1 });
  });
});

describe("unprocessed keys", () => {
  it("of an answer that ends at 16 MB are asked for until all are there", async () => {
    const metered = dynamodb.client();
    const meter = meterDynamoDB(metered);
    const state = stateOn(metered);
    const large = Array.from({ length: 100 }, (_, i) => itemOf(`large-${i}`, "x".repeat(300 * 1024)));
    for (const item of large) expect(await state.write("f", item, undefined)).toBe(true);
    const loaded = await state.load(
      scope,
      large.map((item) => item.key),
    );
    expect(loaded.size).toBe(100);
    for (const item of large) expect(loaded.get(item.key)).toEqual(item);
    expect(meter.snapshot().commands.BatchGetItem).toBeGreaterThan(1);
  });

  it("that stay unprocessed end with an error of kind retry, after growing waits", async () => {
    const clock = recordingClock();
    const faulty = stateOn(
      await faultyClient((_, body) => ({ answer: { Responses: {}, UnprocessedKeys: body.RequestItems } })),
      { clock, patienceMs: 3_000 },
    );
    await expect(faulty.load(scope, ["a", "b"])).rejects.toMatchObject({ kind: "retry" });
    expect(clock.sleeps.length).toBeGreaterThan(3);
  });

  it("of a batch of deletes are deleted in the end", async () => {
    const old = Array.from({ length: 30 }, (_, i) => ({ ...itemOf(`old-${i}`), generation: 0 }));
    const state = stateOn(client);
    for (const item of old) await state.write("f", item, undefined);
    let batches = 0;
    const faulty = stateOn(
      await faultyClient((operation, body) =>
        operation === "BatchWriteItem" && batches++ % 2 === 0
          ? { answer: { UnprocessedItems: body.RequestItems } }
          : undefined,
      ),
      { clock: recordingClock() },
    );
    let cursor: string | undefined;
    do cursor = await faulty.removeOlderGenerations(scope, { index: 0, count: 1 }, cursor);
    while (cursor !== undefined);
    expect(batches).toBeGreaterThan(1);
    const left = await state.load(
      { function: "f", generation: 0 },
      old.map((item) => item.key),
    );
    expect(left).toEqual(new Map());
  });
});

describe("an answer that was lost", () => {
  it("of a state write is of kind retry, and the item tells by its v that it was applied", async () => {
    const faulty = stateOn(await faultyClient(() => "lose-answer"));
    const item = itemOf(`k${keys++}`);
    await expect(faulty.write("f", item, undefined)).rejects.toMatchObject({ kind: "retry" });
    expect((await stateOn(client).load(scope, [item.key])).get(item.key)?.v).toBe(item.v);
  });

  it("of a control update is of kind retry, and the update was applied once", async () => {
    const key = { partition: "lost", sort: "s" };
    const store = new DynamoDBControlStore({ ...access(await faultyClient(() => "lose-answer")), table: controlTable });
    await expect(store.update(key, { conditions: [], add: [[["attempt"], 1]] })).rejects.toMatchObject({
      kind: "retry",
    });
    const healthy = new DynamoDBControlStore({ ...access(client), table: controlTable });
    expect(await healthy.get(key)).toEqual({ attempt: 1 });
  });
});

describe("an error that no waiting cures", () => {
  it("names the table that does not exist, for every operation", async () => {
    const missing = "no-such-table";
    const state = new DynamoDBStateBackend({ ...access(client), tableOf: () => missing });
    const control = new DynamoDBControlStore({ ...access(client), table: missing });
    const refusal = { kind: "fix-configuration", message: expect.stringContaining(missing) };
    await expect(state.load(scope, ["k"])).rejects.toMatchObject(refusal);
    await expect(state.write("f", itemOf("k"), undefined)).rejects.toMatchObject(refusal);
    await expect(state.remove(scope, "k", "v")).rejects.toMatchObject(refusal);
    await expect(state.scan(scope, { index: 0, count: 1 }).next()).rejects.toMatchObject(refusal);
    await expect(state.removeOlderGenerations(scope, { index: 0, count: 1 })).rejects.toMatchObject(refusal);
    await expect(control.get({ partition: "p", sort: "s" })).rejects.toMatchObject(refusal);
    await expect(control.update({ partition: "p", sort: "s" }, { conditions: [] })).rejects.toMatchObject(refusal);
    await expect(control.delete({ partition: "p", sort: "s" })).rejects.toMatchObject(refusal);
    await expect(control.list("p")[Symbol.asyncIterator]().next()).rejects.toMatchObject(refusal);
  });

  const user = "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform:";
  it.each([
    [
      "an action on the key of the table",
      "AccessDeniedException",
      `${user} kms:Decrypt on resource: arn:aws:kms:eu-central-1:123456789012:key/k`,
      /^The KMS key of the table cannot be used .*allow this role kms:Decrypt/,
    ],
    [
      "a key that is disabled",
      "ValidationException",
      "Access to KMS key denied: arn:aws:kms:eu-central-1:123456789012:key/k is disabled.",
      /^The KMS key of the table cannot be used .*Enable the key/,
    ],
    [
      "an action on the table",
      "AccessDeniedException",
      `${user} dynamodb:BatchGetItem on resource: arn:aws:dynamodb:eu-central-1:123456789012:table/state-of-kms`,
      /^DynamoDB refused access .*Grant this role the action on the table/,
    ],
  ])("tells what to do about access that is refused: %s", async (_, type, said, message) => {
    const answer = { __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: said };
    const state = stateOn(await faultyClient(() => ({ status: 400, answer })));
    const refused = state.load(scope, ["k"]);
    await expect(refused).rejects.toMatchObject({ kind: "fix-configuration" });
    await expect(refused).rejects.toThrow(message);
  });

  it("says that the table has another key", async () => {
    const state = new DynamoDBStateBackend({ ...access(client), tableOf: () => controlTable });
    await expect(state.write("f", itemOf("k"), undefined)).rejects.toMatchObject({ kind: "fix-configuration" });
  });

  it("is of kind retry when nothing listens at the endpoint", async () => {
    const gone = await startDynalite();
    const state = stateOn(gone.client());
    await gone.close();
    const elsewhere = stateOn(dynamodb.client({ endpoint: gone.endpoint }));
    await expect(elsewhere.load(scope, ["k"])).rejects.toMatchObject({ kind: "retry" });
    expect(state).toBeDefined();
  });

  it("refuses an item that something else wrote to the table", async () => {
    const Item = { key: { S: "foreign" }, gen: { S: "0000000001" }, state: { SS: ["a"] }, v: { S: "v" } };
    await client.send(new PutItemCommand({ TableName: table, Item }));
    await expect(stateOn(client).load(scope, ["foreign"])).rejects.toMatchObject({ kind: "fix-configuration" });
  });
});
