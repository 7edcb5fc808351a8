/** What the differential test does not come to: limits, leeway, and what is refused as unknown. */
import {
  type AttributeValue,
  BatchGetItemCommand,
  BatchWriteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandOutput,
  ScanCommand,
  type ScanCommandOutput,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { describe, expect, it } from "vitest";
import { createControlTable } from "../../../../shared/control/dynamodb/control-table.ts";
import { access, newTableName, startDynamoDB, type TestDynamoDB } from "../../../support/dynalite.ts";
import { memoryClient } from "./memory-client.ts";
import { MemoryDynamoDB } from "./memory-dynamodb.ts";

const KEY = { partition: "pk", sort: "sk" };
const at = (sort: string) => ({ pk: { S: "p" }, sk: { S: sort } });

function withItems(count: number, more: Record<string, AttributeValue> = {}): MemoryDynamoDB {
  const dynamodb = new MemoryDynamoDB();
  dynamodb.createTable("t", KEY);
  for (let i = 0; i < count; i++) {
    dynamodb.answer(new PutItemCommand({ TableName: "t", Item: { ...at(String(i).padStart(3, "0")), ...more } }));
  }
  return dynamodb;
}

const keys = (count: number) => Array.from({ length: count }, (_, i) => at(String(i).padStart(3, "0")));

describe("limits", () => {
  it("ends a page before the item that would make it larger than 1 MB", () => {
    const dynamodb = withItems(5, { text: { S: "x".repeat(300 * 1024) } });
    const ask = (start?: Record<string, AttributeValue>) =>
      dynamodb.answer(
        new QueryCommand({
          ...{ TableName: "t", KeyConditionExpression: "pk = :pk", ExclusiveStartKey: start },
          ExpressionAttributeValues: { ":pk": { S: "p" } },
        }),
      ) as QueryCommandOutput;
    const first = ask();
    expect(first.Items).toHaveLength(3);
    const second = ask(first.LastEvaluatedKey);
    expect(second.Items).toHaveLength(2);
    expect(second.LastEvaluatedKey).toBeUndefined();
  });

  it("leaves the keys of a batch over that would make it larger than 16 MB", () => {
    const dynamodb = withItems(60, { text: { S: "x".repeat(390 * 1024) } });
    const Keys = keys(60);
    const answer = dynamodb.answer(new BatchGetItemCommand({ RequestItems: { t: { Keys, ConsistentRead: true } } }));
    expect(answer).toMatchObject({ UnprocessedKeys: { t: { Keys: Keys.slice(42), ConsistentRead: true } } });
  });

  it.each([
    ["101 keys", new BatchGetItemCommand({ RequestItems: { t: { Keys: keys(101) } } })],
    ["one key twice", new BatchGetItemCommand({ RequestItems: { t: { Keys: [at("1"), at("1")] } } })],
    [
      "26 deletes",
      new BatchWriteItemCommand({ RequestItems: { t: keys(26).map((Key) => ({ DeleteRequest: { Key } })) } }),
    ],
  ])("refuses a batch of %s", (_, command) => {
    expect(() => withItems(0).answer(command)).toThrow(expect.objectContaining({ name: "ValidationException" }));
  });
});

/** Requests that DynamoDB refuses whatever it holds; some emulators take them. */
const refusedEverywhere: [string, (TableName: string) => object][] = [
  [
    "an order asked of a truth value",
    (TableName) =>
      new UpdateItemCommand({
        ...{ TableName, Key: at("1"), ConditionExpression: "#a < :a" },
        ...{ ExpressionAttributeNames: { "#a": "a" }, ExpressionAttributeValues: { ":a": { BOOL: true } } },
      }),
  ],
  [
    "two pairs of parentheses around one condition",
    (TableName) =>
      new UpdateItemCommand({
        ...{ TableName, Key: at("1"), ConditionExpression: "((attribute_exists(#a)))" },
        ExpressionAttributeNames: { "#a": "a" },
      }),
  ],
  [
    "an attribute compared with itself",
    (TableName) =>
      new UpdateItemCommand({
        ...{ TableName, Key: at("1"), ConditionExpression: "#a = #a" },
        ExpressionAttributeNames: { "#a": "a" },
      }),
  ],
  ["34 levels", (TableName) => new PutItemCommand({ TableName, Item: { ...at("1"), deep: nested(34) } })],
  ["39 digits", (TableName) => new PutItemCommand({ TableName, Item: { ...at("1"), n: { N: "1".repeat(39) } } })],
];

function nested(levels: number): AttributeValue {
  let value: AttributeValue = { S: "bottom" };
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? { L: [value] } : { M: { in: value } };
  return value;
}

function refusesThem(name: string, start?: () => Promise<TestDynamoDB>): void {
  it(`is refused by ${name}, which takes what is just within the limits`, async () => {
    const dynamodb = await start?.();
    const client = dynamodb?.client() ?? (memoryClient(new MemoryDynamoDB()) as DynamoDBClient);
    const table = newTableName();
    await createControlTable(access(client), table);
    for (const [what, make] of refusedEverywhere) {
      await expect(client.send(make(table) as never), what).rejects.toMatchObject({ name: "ValidationException" });
    }
    await client.send(new PutItemCommand({ TableName: table, Item: { ...at("1"), deep: nested(31) } }));
    await client.send(new PutItemCommand({ TableName: table, Item: { ...at("1"), n: { N: "1".repeat(38) } } }));
    await dynamodb?.close();
  });
}

describe("what DynamoDB refuses whatever it holds", () => {
  refusesThem("DynamoDB in memory");
  if (process.env.AWS_ENDPOINT_URL !== undefined) refusesThem("AWS_ENDPOINT_URL", startDynamoDB);
});

describe("segments", () => {
  it.each([1, 2, 3, 16, 1_000])("have every item once, over %i of them, by pages of one", (TotalSegments) => {
    const dynamodb = new MemoryDynamoDB();
    dynamodb.createTable("t", KEY);
    const all = Array.from({ length: 50 }, (_, i) => `key-${i}`);
    for (const key of all) {
      dynamodb.answer(new PutItemCommand({ TableName: "t", Item: { pk: { S: key }, sk: { S: "s" } } }));
    }
    const seen: string[] = [];
    for (let Segment = 0; Segment < TotalSegments; Segment++) {
      let ExclusiveStartKey: Record<string, AttributeValue> | undefined;
      do {
        const page = dynamodb.answer(
          new ScanCommand({ TableName: "t", Segment, TotalSegments, Limit: 1, ExclusiveStartKey }),
        ) as ScanCommandOutput;
        seen.push(...(page.Items ?? []).map((item) => item.pk?.S ?? ""));
        ExclusiveStartKey = page.LastEvaluatedKey;
      } while (ExclusiveStartKey !== undefined);
    }
    expect(seen.sort()).toEqual(all.sort());
  });
});

describe("leeway", () => {
  it("leaves keys and items of a batch over", () => {
    const dynamodb = withItems(3);
    const got = dynamodb.answer(new BatchGetItemCommand({ RequestItems: { t: { Keys: keys(3) } } }), { batchMax: 1 });
    expect(got).toMatchObject({ Responses: { t: [at("000")] }, UnprocessedKeys: { t: { Keys: keys(3).slice(1) } } });
    const requests = keys(3).map((Key) => ({ DeleteRequest: { Key } }));
    const deleted = dynamodb.answer(new BatchWriteItemCommand({ RequestItems: { t: requests } }), { batchMax: 2 });
    expect(deleted).toMatchObject({ UnprocessedItems: { t: requests.slice(2) } });
    expect(dynamodb.table("t").size).toBe(1);
  });

  it("answers a read that asks for no consistency with what was there some writes ago, and no other", () => {
    const dynamodb = withItems(1);
    for (const n of ["1", "2"]) {
      dynamodb.answer(new PutItemCommand({ TableName: "t", Item: { ...at("000"), n: { N: n } } }));
    }
    const read = (lagWrites: number, ConsistentRead?: boolean) =>
      dynamodb.answer(new GetItemCommand({ TableName: "t", Key: at("000"), ConsistentRead }), { lagWrites });
    expect(read(0)).toMatchObject({ Item: { n: { N: "2" } } });
    expect(read(1)).toMatchObject({ Item: { n: { N: "1" } } });
    expect(read(2)).toMatchObject({ Item: at("000") });
    expect(read(3)).not.toHaveProperty("Item");
    expect(read(3, true)).toMatchObject({ Item: { n: { N: "2" } } });
    const scan = dynamodb.answer(new ScanCommand({ TableName: "t" }), { lagWrites: 1 });
    expect(scan).toMatchObject({ Items: [{ n: { N: "1" } }] });
  });
});

describe("what is unknown", () => {
  it.each([
    ["a command", new ListTablesCommand({})],
    ["a parameter", new ScanCommand({ TableName: "t", Select: "COUNT" })],
    ["a function", update({ ConditionExpression: "size(#a) = :a", ExpressionAttributeValues: { ":a": { N: "1" } } })],
    ["an index of a list", update({ UpdateExpression: "REMOVE #a[0]" })],
    ["a name without a placeholder", update({ UpdateExpression: "REMOVE status" })],
    ["a set", new PutItemCommand({ TableName: "t", Item: { ...at("1"), set: { SS: ["a"] } } })],
    ["text that no wire carries", new PutItemCommand({ TableName: "t", Item: { ...at("1"), s: { S: "\ud800" } } })],
  ])("is refused by name: %s", (_, command) => {
    expect(() => withItems(1).answer(command)).toThrow(expect.objectContaining({ name: "UnknownToTheWire" }));
  });
});

function update(input: object): UpdateItemCommand {
  return new UpdateItemCommand({ TableName: "t", Key: at("1"), ExpressionAttributeNames: { "#a": "a" }, ...input });
}
