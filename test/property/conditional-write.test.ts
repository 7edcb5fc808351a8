/**
 * Invariant: for any item and any conditional write, the heap and DynamoDB agree whether it is applied, refused as
 * not fitting, or fails its condition, and on the item before and after.
 */

import { afterAll, beforeAll, expect, it } from "vitest";
import type {
  AttributePath,
  Comparison,
  Condition,
  ConditionalWrite,
  Operand,
} from "../../shared/control/conditional-write.ts";
import { path, value } from "../../shared/control/conditional-write.ts";
import type { ControlAttributes, ControlStore, ItemKey } from "../../shared/control/control-store.ts";
import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import { HeapControlStore } from "../../shared/control/heap/heap-control-store.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { access, newTableName, startDynamoDB, type TestDynamoDB } from "../support/dynalite.ts";
import fc from "../support/properties.ts";

// Few names and values, so that they meet. None of two UTF-16 units: dynalite orders those wrongly before U+FF5E.
const scalar = fc.constantFrom(0, 1, 2, -1, 10, "", "1", "2", "b", "\u00e9", "\uff5e", true, false, null);
const map = fc.dictionary(fc.constantFrom("a", "b", "7"), scalar, { maxKeys: 3 });
const attributes: fc.Arbitrary<ControlAttributes> = fc.record(
  { n: scalar, s: scalar, t: scalar, barriers: map },
  { requiredKeys: [] },
);
const scalarPath: fc.Arbitrary<AttributePath> = fc.oneof(
  fc.constantFrom("n", "s", "t", "x").map((name) => path(name)),
  fc.constantFrom("a", "b", "7").map((member) => path("barriers", member)),
);
const anyPath = fc.oneof({ weight: 5, arbitrary: scalarPath }, { weight: 1, arbitrary: fc.constant(path("barriers")) });
const operand: fc.Arbitrary<Operand> = fc.oneof(
  scalar.map((literal) => value(literal)),
  scalarPath.map((attribute) => ({ attribute })),
);
const comparison = fc.constantFrom<Comparison>("=", "<>", "<", "<=", ">", ">=");
const simple: fc.Arbitrary<Condition> = fc.oneof(
  anyPath.map((exists) => ({ exists })),
  anyPath.map((missing) => ({ missing })),
  fc.record({ attribute: anyPath, is: comparison, to: operand }),
);
const condition: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 4, arbitrary: simple },
  { weight: 1, arbitrary: fc.array(simple, { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })) },
);
const write: fc.Arbitrary<ConditionalWrite> = fc.record({
  conditions: fc.array(condition, { maxLength: 2 }),
  set: fc.array(
    fc.tuple(
      anyPath,
      fc.oneof(
        operand,
        map.map((literal) => value(literal)),
      ),
    ),
    { maxLength: 2 },
  ),
  add: fc.array(fc.tuple(scalarPath, fc.integer({ min: -5, max: 5 })), { maxLength: 1 }),
  remove: fc.array(anyPath, { maxLength: 1 }),
});

let dynamodb: TestDynamoDB;
let table: ControlStore;
beforeAll(async () => {
  dynamodb = await startDynamoDB();
  const surroundings = access(dynamodb.client());
  const name = newTableName();
  await createControlTable(surroundings, name);
  table = new DynamoDBControlStore({ ...surroundings, table: name });
});
afterAll(() => dynamodb.close());

async function outcome(store: ControlStore, key: ItemKey, item: ControlAttributes | undefined, step: ConditionalWrite) {
  if (item !== undefined) {
    await store.update(key, {
      conditions: [],
      set: Object.entries(item).map(([name, literal]) => [path(name), value(literal)] as const),
    });
  }
  const answer = await store.update(key, step).catch((error: unknown) => {
    if (error instanceof TidemarkError) return error.kind;
    throw error;
  });
  return { answer, stored: await store.get(key) };
}

it("is carried out alike by the heap and by DynamoDB", async () => {
  const heap = new HeapControlStore();
  let keys = 0;
  const outcomes = { applied: 0, refused: 0, failed: 0 };
  await fc.assert(
    fc.asyncProperty(fc.option(attributes, { nil: undefined }), write, async (item, step) => {
      const key = { partition: "property", sort: `item-${keys++}` };
      const expected = await outcome(heap, key, item, step);
      expect(await outcome(table, key, item, step)).toEqual(expected);
      if (typeof expected.answer === "string") outcomes.refused++;
      else if (expected.answer.applied) outcomes.applied++;
      else outcomes.failed++;
    }),
    { numRuns: 400 },
  );
  // Writes of every outcome were among them, or agreeing would say little.
  for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(20);
});
