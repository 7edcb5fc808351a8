/**
 * Invariants:
 * - JSON that DynamoDB can hold comes back from its attribute value as itself; -0 alone becomes 0.
 * - BigInts and doubles of the same digits come back as what they were, by their marks; without a BigInt there are none.
 * - Every double in DynamoDB's range keeps all its digits, in at most the 38 that DynamoDB keeps.
 * - An item's size counts every part of it once: it is the sum over its attributes, grows with each, and agrees with
 *   dynalite's count, which was made independently, from the behaviour of the service.
 */
import { createRequire } from "node:module";
import { expect, it } from "vitest";
import { type AttributeMap, fromAttribute, toAttribute, toAttributeMap } from "../../shared/json/attribute-value.ts";
import { type BigIntMarks, marksOf } from "../../shared/json/big-int-marks.ts";
import { attributeBytes, itemBytes } from "../../shared/json/item-size.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import fc from "../support/properties.ts";

const dynalite: { itemSize(item: AttributeMap): number } = createRequire(import.meta.url)("dynalite/db");

const inRange = (n: number) => n === 0 || (Math.abs(n) >= 1e-130 && Math.abs(n) < 1e126);
const number = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }).filter(inRange),
  fc.integer(),
  fc.maxSafeInteger(),
  fc
    .tuple(fc.maxSafeInteger(), fc.integer({ min: -120, max: 110 }))
    .map(([digits, e]) => digits * 10 ** e)
    .filter(inRange),
);
const json = (text: fc.Arbitrary<string>, name = text.filter((one) => one !== "")): fc.Arbitrary<JsonValue> =>
  fc.letrec<{ any: JsonValue }>((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.constant(null),
      fc.boolean(),
      number,
      text,
      fc.array(tie("any")),
      fc.dictionary(name, tie("any")),
    ),
  })).any;

const withoutNegativeZero = (value: JsonValue): JsonValue => JSON.parse(JSON.stringify(value)) as JsonValue;

/** Numbers of which DynamoDB's text does not say what they are. */
const ambiguous = fc.oneof(
  fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }),
  fc.constantFrom<JsonValue>(0n, 0, 1n, 1, 1e20, 10n ** 20n, 2 ** 53, 2n ** 53n, 1e37, 10n ** 37n, "1", null, true),
);
const states = fc.letrec<{ any: JsonValue }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small" },
    ambiguous,
    fc.array(tie("any")),
    fc.dictionary(fc.constantFrom("a", "b", "0", "toString"), tie("any"), { noNullPrototype: true }),
  ),
})).any;

const holdsBigInt = (value: JsonValue): boolean =>
  typeof value === "bigint" || (typeof value === "object" && value !== null && Object.values(value).some(holdsBigInt));

it("gives back BigInts as BigInts and numbers as numbers, with marks only where there are BigInts", () => {
  fc.assert(
    fc.property(states, (value) => {
      const marks = marksOf(value);
      const stored = marks && toAttribute(marks);
      expect(fromAttribute(toAttribute(value), stored && (fromAttribute(stored) as BigIntMarks))).toStrictEqual(value);
      expect(marks !== undefined).toBe(holdsBigInt(value));
    }),
    { numRuns: 2_000 },
  );
});

it("gives back any JSON as itself", () => {
  fc.assert(
    fc.property(json(fc.string({ unit: "grapheme" })), (value) => {
      expect(fromAttribute(toAttribute(value))).toStrictEqual(withoutNegativeZero(value));
    }),
    { numRuns: 500 },
  );
});

it("keeps every digit of a double, in at most 17", () => {
  fc.assert(
    fc.property(number, (n) => {
      const text = toAttribute(n).N ?? "";
      expect(Number(text)).toBe(n === 0 ? 0 : n);
      expect(
        text.replace(/e.*/, "").replace(/\D/g, "").replace(/^0+/, "").replace(/0+$/, "").length,
      ).toBeLessThanOrEqual(17);
    }),
    { numRuns: 2_000 },
  );
});

it("counts an item as the sum of its attributes, each of them something", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ minLength: 1 }), json(fc.string())), (object) => {
      const item = toAttributeMap(object);
      const parts = Object.entries(item).map(([name, one]) => Buffer.byteLength(name) + attributeBytes(one));
      expect(itemBytes(item)).toBe(parts.reduce((sum, bytes) => sum + bytes, 0));
      for (const bytes of parts) expect(bytes).toBeGreaterThan(0);
      expect(attributeBytes({ M: item })).toBe(itemBytes(item) + 3 + parts.length);
    }),
  );
});

it("agrees with dynalite about text in ASCII, which it counts by characters, and about everything else", () => {
  const ascii = fc.string({ unit: "binary-ascii" });
  fc.assert(
    fc.property(
      fc.dictionary(
        ascii.filter((one) => one !== ""),
        fc.oneof(json(ascii), states),
      ),
      (object) => {
        const item = toAttributeMap(object);
        expect(itemBytes(item)).toBe(dynalite.itemSize(item));
      },
    ),
    { numRuns: 1_000 },
  );
});
