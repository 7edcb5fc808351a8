import { type DynamoDBClient, ScanCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { meterDynamoDB } from "../../../../shared/dynamodb/request-meter.ts";
import { DynamoDBStateBackend } from "../../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../../../shared/state/dynamodb/state-table.ts";
import type { StateScope } from "../../../../shared/state/state-backend.ts";
import { ABSENT, type Image, type StateItem } from "../../../../shared/state/state-item.ts";
import { access, newTableName, startDynamoDB, type TestDynamoDB } from "../../../support/dynalite.ts";
import { type Fault, startFaultyProxy } from "../../../support/faulty-proxy.ts";

const KB = 1024;
const imageOf = (letter: string, bytes: number): Image => ({ value: { [letter]: letter.repeat(bytes) }, version: 1 });
const WHOLE = { index: 0, count: 1 };

let dynamodb: TestDynamoDB;
let client: DynamoDBClient;
let backend: DynamoDBStateBackend;
let scope: StateScope;
let versions = 0;

const backendOn = (on: DynamoDBClient, patienceMs?: number) =>
  new DynamoDBStateBackend({ ...access(on, patienceMs), tableOf: (name) => name });
const itemOf = (state: Image, more: Partial<StateItem> = {}): StateItem => ({
  key: "k",
  generation: 3,
  v: `v${versions++}`,
  epoch: 5,
  state,
  applied: { "shard-0": "0007" },
  ...more,
});
const write = (item: StateItem, expected?: StateItem) => backend.write(scope.function, item, expected?.v);
const load = async (key = "k", from = backend) => (await from.load(scope, [key])).get(key);
const scan = async (from = backend) => {
  const items: StateItem[] = [];
  for await (const page of from.scan(scope, WHOLE)) items.push(...page.items);
  return items;
};
/** What the table really holds: sort keys, in order. */
const rawGenerations = async () => {
  const generations: string[] = [];
  let from: Record<string, { S: string }> | undefined;
  do {
    const page = await client.send(
      new ScanCommand({ TableName: scope.function, ConsistentRead: true, ...(from && { ExclusiveStartKey: from }) }),
    );
    for (const item of page.Items ?? []) generations.push(item.gen?.S ?? "");
    from = page.LastEvaluatedKey as typeof from;
  } while (from !== undefined);
  return generations.sort();
};
const through = async <Result>(
  fault: (operation: string, body: Record<string, unknown>) => Fault | undefined | Promise<Fault | undefined>,
  use: (faulty: DynamoDBStateBackend) => Promise<Result>,
  options: { readonly patienceMs?: number; readonly maxAttempts?: number } = {},
): Promise<Result> => {
  const proxy = await startFaultyProxy(dynamodb.endpoint, fault);
  try {
    const { patienceMs, maxAttempts = 1 } = options;
    return await use(backendOn(dynamodb.client({ endpoint: proxy.endpoint, maxAttempts }), patienceMs));
  } finally {
    await proxy.close();
  }
};
const isMainPut = (operation: string, body: Record<string, unknown>) =>
  operation === "PutItem" && !(body.Item as { gen: { S: string } }).gen.S.includes("#");

const first = () => itemOf(imageOf("a", 250 * KB), { epoch: 4 });
/** The first write of epoch 5: state and before-image outgrow one item. */
const second = (one: StateItem) => itemOf(imageOf("b", 250 * KB), { before: one.state });

beforeAll(async () => {
  dynamodb = await startDynamoDB();
  client = dynamodb.client();
});
afterAll(() => dynamodb.close());
beforeEach(async () => {
  backend = backendOn(client);
  scope = { function: newTableName(), generation: 3 };
  await createStateTable(access(client), scope.function);
});

describe("a before-image that does not fit beside its state", () => {
  it("is an item of its own, which loads and scans put back in its place", async () => {
    const one = first();
    expect(await write(one)).toBe(true);
    const two = second(one);
    expect(await write(two, one)).toBe(true);
    expect(await rawGenerations()).toEqual(["0000000003", `0000000003#before#${two.v}`]);
    expect(await load()).toEqual(two);
    expect(await scan()).toEqual([two]);
    expect(await load("k", backendOn(client))).toEqual(two);
  });

  it("is not put again by writes of its epoch, in the process that wrote it and in one that loaded it", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    await write(two, one);
    const name = `0000000003#before#${two.v}`;

    const metered = dynamodb.client();
    const meter = meterDynamoDB(metered);
    const other = backendOn(metered);
    const loaded = await load("k", other);
    meter.reset();
    const three = itemOf(imageOf("c", 250 * KB), { before: loaded?.before ?? ABSENT });
    expect(await other.write(scope.function, three, two.v)).toBe(true);
    const four = itemOf(imageOf("d", 250 * KB), { before: loaded?.before ?? ABSENT });
    expect(await other.write(scope.function, four, three.v)).toBe(true);
    expect(meter.snapshot().commands).toEqual({ PutItem: 2 });
    expect(await rawGenerations()).toEqual(["0000000003", name]);
    expect(await load()).toEqual({ ...four, before: one.state });
  });

  it("goes once a write drops it", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    await write(two, one);
    const three = itemOf(imageOf("c", 250 * KB));
    expect(await write(three, two)).toBe(true);
    expect(await rawGenerations()).toEqual(["0000000003"]);
    expect(await load()).toEqual(three);
  });

  it("goes once a write replaces it by the image of a later epoch", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    await write(two, one);
    const three = itemOf(imageOf("c", 250 * KB), { epoch: 6, before: two.state });
    expect(await write(three, two)).toBe(true);
    expect(await rawGenerations()).toEqual(["0000000003", `0000000003#before#${three.v}`]);
    expect(await load()).toEqual(three);
  });

  it("goes once it fits beside a smaller state", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    await write(two, one);
    const three = itemOf(ABSENT, { before: one.state });
    expect(await write(three, two)).toBe(true);
    expect(await rawGenerations()).toEqual(["0000000003"]);
    expect(await load()).toEqual(three);
  });

  it("goes with its key", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    await write(two, one);
    expect(await backend.remove(scope, "k", one.v)).toBe(false);
    expect(await rawGenerations()).toHaveLength(2);
    expect(await backendOn(client).remove(scope, "k", two.v)).toBe(true);
    expect(await rawGenerations()).toEqual([]);
  });

  it("leaves nothing behind when the write it was for meets another version", async () => {
    const one = first();
    await write(one);
    const winner = itemOf(imageOf("w", 1));
    await write(winner, one);
    expect(await write(second(one), one)).toBe(false);
    expect(await rawGenerations()).toEqual(["0000000003"]);
    expect(await load()).toEqual(winner);
  });
});

describe("a crash around a before-image of its own", () => {
  it("between the two puts leaves the item as it was, and an orphan that no load or scan sees", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    await through(
      (operation, body) => (isMainPut(operation, body) ? "throttle" : undefined),
      async (faulty) => {
        await expect(faulty.write(scope.function, two, one.v)).rejects.toMatchObject({ kind: "retry" });
      },
      { patienceMs: 0 },
    );
    const orphan = `0000000003#before#${two.v}`;
    expect(await rawGenerations()).toEqual(["0000000003", orphan]);
    expect(await load()).toEqual(one);
    expect(await scan()).toEqual([one]);

    const three = second(one);
    expect(await write(three, one)).toBe(true);
    expect(await load()).toEqual(three);
    expect(await backend.removeOlderGenerations({ ...scope, generation: 3 }, { index: 0, count: 1 })).toBeUndefined();
    expect(await rawGenerations()).toHaveLength(3);
    expect(await backend.removeOlderGenerations({ ...scope, generation: 4 }, { index: 0, count: 1 })).toBeUndefined();
    expect(await rawGenerations()).toEqual([]);
  });

  it("after a put whose answer was lost shows the whole new item, by its v", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    await through(
      (operation, body) => (isMainPut(operation, body) ? "lose-answer" : undefined),
      async (faulty) => {
        await expect(faulty.write(scope.function, two, one.v)).rejects.toMatchObject({ kind: "retry" });
      },
    );
    expect(await load()).toEqual(two);
  });

  it("keeps the before-image of a put that was applied unseen, when the SDK's next attempt meets its own write", async () => {
    const one = first();
    await write(one);
    const two = second(one);
    let puts = 0;
    const written = await through(
      (operation, body) => (isMainPut(operation, body) && puts++ === 0 ? "lose-answer" : undefined),
      (faulty) => faulty.write(scope.function, two, one.v),
      { maxAttempts: 3 },
    );
    expect(puts).toBe(2);
    expect(written).toBe(false);
    expect(await load()).toEqual(two);
  });
});

describe("a reader whose before-item goes away between its two reads", () => {
  /** Writes `after` behind the reader's back when it asks for the before-item. */
  const racing = async (
    before: StateItem,
    after: StateItem,
    read: (faulty: DynamoDBStateBackend) => Promise<unknown>,
  ) => {
    let raced = 0;
    const result = await through(async (operation, body) => {
      if (operation === "BatchGetItem" && JSON.stringify(body).includes("#before#") && raced++ === 0) {
        expect(await write(after, before)).toBe(true);
      }
      return undefined;
    }, read);
    expect(raced).toBeGreaterThan(0);
    return result;
  };

  it.each(["load", "scan"])("%ss the item as it was written since", async (how) => {
    const one = first();
    await write(one);
    const two = second(one);
    await write(two, one);
    const three = itemOf(imageOf("c", 250 * KB), { epoch: 6, before: two.state });
    const seen = await racing(two, three, (faulty) => (how === "load" ? load("k", faulty) : scan(faulty)));
    expect(seen).toEqual(how === "load" ? three : [three]);
  });

  it.each(["load", "scan"])("%ss the item without a before-image when that was dropped", async (how) => {
    const one = first();
    await write(one);
    const two = second(one);
    await write(two, one);
    const three = itemOf(imageOf("c", 10));
    const seen = await racing(two, three, (faulty) => (how === "load" ? load("k", faulty) : scan(faulty)));
    expect(seen).toEqual(how === "load" ? three : [three]);
  });
});

it("scans small states with large before-images a few at a time, and goes on after any cursor", async () => {
  const before = imageOf("x", 397 * KB);
  const items = Array.from({ length: 12 }, (_, i) => itemOf(imageOf("s", 300), { key: `k${i}`, before }));
  for (const item of items) await backend.write(scope.function, item, undefined);
  const seen: string[] = [];
  const places: { cursor: string; seen: number }[] = [];
  for await (const page of backend.scan(scope, WHOLE)) {
    for (const item of page.items) expect(item.before).toEqual(before);
    expect(page.items.length).toBeLessThanOrEqual(3);
    seen.push(...page.items.map((item) => item.key));
    if (page.cursor !== undefined) places.push({ cursor: page.cursor, seen: seen.length });
  }
  expect([...seen].sort()).toEqual(items.map((item) => item.key).sort());
  expect(places.length).toBeGreaterThan(1);
  for (const place of places) {
    const rest: string[] = [];
    for await (const page of backend.scan(scope, WHOLE, place.cursor)) rest.push(...page.items.map((item) => item.key));
    expect(rest).toEqual(seen.slice(place.seen));
  }
});

describe("a state that alone outgrows an item", () => {
  it("is refused with function, key, bytes and limit, and nothing is written", async () => {
    const one = first();
    await write(one);
    const large = itemOf(imageOf("b", 401 * KB), { before: one.state });
    const refusal = expect.objectContaining({
      kind: "fix-function",
      message: expect.stringMatching(new RegExp(`${scope.function}.*"k".*41\\d{4} bytes.*409600`)),
    });
    await expect(write(large, one)).rejects.toThrow(refusal);
    expect(() => backend.refuseOversized(scope.function, large)).toThrow(refusal);
    expect(await rawGenerations()).toEqual(["0000000003"]);
    expect(await load()).toEqual(one);
  });

  it("is taken up to the margin, with a before-image of the same size", async () => {
    const one = itemOf(imageOf("a", 396 * KB), { epoch: 4 });
    expect(await write(one)).toBe(true);
    const two = itemOf(imageOf("b", 396 * KB), { before: one.state });
    expect(() => backend.refuseOversized(scope.function, two)).not.toThrow();
    expect(await write(two, one)).toBe(true);
    expect(await load()).toEqual(two);
  });

  it.each([
    ["", 0],
    ["\u20ac".repeat(683), 2049],
  ])("refuses a key that DynamoDB cannot take", async (key, bytes) => {
    const refusal = { kind: "fix-function", message: expect.stringContaining(`${bytes} bytes`) };
    await expect(write(itemOf(imageOf("a", 1), { key }))).rejects.toMatchObject(refusal);
    await expect(backend.load(scope, [key])).rejects.toMatchObject(refusal);
  });
});
