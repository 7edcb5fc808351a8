/**
 * Invariants:
 * - An item's size is what DynamoDB in memory counts too, which was written apart from it, for any text and any number.
 * - It is exact at DynamoDB's limit: an item of exactly 409,600 bytes by our count is taken and one of a byte more is
 *   refused, by the DynamoDB in memory, by dynalite, and by the one at `AWS_ENDPOINT_URL` where that is set.
 */
import { type DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, it } from "vitest";
import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { type AttributeMap, toAttributeMap } from "../../shared/json/attribute-value.ts";
import { itemBytes } from "../../shared/json/item-size.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import { ITEM_BYTES_MAX } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { itemBytes as countedApart, takeItem } from "../simulation/wires/dynamodb/attribute-rules.ts";
import { memoryClient } from "../simulation/wires/dynamodb/memory-client.ts";
import { MemoryDynamoDB } from "../simulation/wires/dynamodb/memory-dynamodb.ts";
import { access, newTableName, startDynalite, startDynamoDB } from "../support/dynalite.ts";
import fc from "../support/properties.ts";

const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.integer({ min: -99, max: 99 }),
  fc
    .tuple(fc.integer({ min: -9_999, max: 9_999 }), fc.integer({ min: -60, max: 60 }))
    .map(([n, e]) => Number(`${n}e${e}`)),
  fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }),
  fc.double({ min: -1e100, max: 1e100, noNaN: true }).map((n) => (Math.abs(n) < 1e-100 ? 0 : n)),
);

/** `text` is what strings and names are made of. */
function objects(text: fc.Arbitrary<string>): fc.Arbitrary<{ [name: string]: JsonValue }> {
  // A state has no such names: `checkState` refuses them.
  const name = text.filter((one) => one !== "" && one !== "__proto__");
  const { object } = fc.letrec<{ any: JsonValue; object: { [name: string]: JsonValue } }>((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom(null, true, false, ""),
      number,
      text,
      fc.array(tie("any")),
      tie("object"),
    ),
    object: fc.dictionary(name, tie("any")),
  }));
  return object;
}

it("is what another count says, of any text and any number", () => {
  fc.assert(
    fc.property(objects(fc.string({ unit: "grapheme" })), (object) => {
      const item = toAttributeMap(object);
      expect(itemBytes(item)).toBe(countedApart(takeItem(item)));
    }),
    { numRuns: 2_000 },
  );
});

/** An item around `object` of exactly so many bytes by our count. */
function padded(object: { [name: string]: JsonValue }, bytes: number): AttributeMap {
  const item = { pk: { S: "p" }, sk: { S: "s" }, ...toAttributeMap({ object }), padding: { S: "" } };
  return { ...item, padding: { S: "x".repeat(bytes - itemBytes(item)) } };
}

interface Limited {
  readonly client: Pick<DynamoDBClient, "send">;
  close(): Promise<void>;
}

function exactAtTheLimit(name: string, start: () => Promise<Limited>, text: fc.Arbitrary<string>, runs: number): void {
  describe(`on ${name}`, () => {
    it("takes an item of exactly the most bytes, and none of a byte more", { timeout: 300_000 }, async () => {
      const { client, close } = await start();
      const TableName = newTableName();
      await createControlTable(access(client as DynamoDBClient), TableName);
      await fc.assert(
        fc.asyncProperty(objects(text), async (object) => {
          await client.send(new PutItemCommand({ TableName, Item: padded(object, ITEM_BYTES_MAX) }));
          const over = new PutItemCommand({ TableName, Item: padded(object, ITEM_BYTES_MAX + 1) });
          await expect(client.send(over)).rejects.toThrow(/Item size has exceeded the maximum allowed size/);
        }),
        { numRuns: runs },
      );
      await close();
    });
  });
}

const memory = async (): Promise<Limited> => ({ client: memoryClient(new MemoryDynamoDB()), close: async () => {} });
exactAtTheLimit("DynamoDB in memory", memory, fc.string({ unit: "grapheme" }), 50);

const over = (start: typeof startDynamoDB) => async (): Promise<Limited> => {
  const dynamodb = await start();
  return { client: dynamodb.client(), close: () => dynamodb.close() };
};
// It counts text by its characters.
exactAtTheLimit(
  "dynalite",
  over(() => startDynalite()),
  fc.string({ unit: "binary-ascii" }),
  15,
);
if (process.env.AWS_ENDPOINT_URL !== undefined) {
  exactAtTheLimit("AWS_ENDPOINT_URL", over(startDynamoDB), fc.string({ unit: "grapheme" }), 15);
}
