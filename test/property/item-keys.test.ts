/**
 * Invariants of the keys that items stand under, in the order of DynamoDB, which is that of the bytes of UTF-8:
 * - Generations and checkpoint numbers, as text, are ordered as numbers.
 * - A before-item stands after the items of its generation and before those of every later one, so that "below
 *   generation n" is one comparison.
 * - Two things that are not the same never share a key.
 */

import { expect, it } from "vitest";
import {
  cutKey,
  cutSortPrefix,
  holesPartition,
  loadPartition,
  sliceKey,
  snapshotPartition,
  splitKey,
} from "../../shared/control/item-keys.ts";
import { beforeItemGeneration, generationText } from "../../shared/state/dynamodb/state-table.ts";
import fc from "../support/properties.ts";

/** Ten digits; a generation or checkpoint a second lasts 300 years. */
const number = fc.oneof(fc.nat(9_999_999_999), fc.nat(20), fc.constantFrom(9, 10, 99, 100, 9_999_999_999));
/** As `checkName` allows them. */
const name = fc.oneof(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,5}$/), fc.constant("CUT"));
/** Whatever a source calls its splits. */
const split = fc.oneof(fc.string({ unit: "grapheme", minLength: 1 }), fc.stringMatching(/^[#0-9a-b]{1,4}$/));
/** A path of files below a folder, as long as a file system takes. */
const longSplit = fc
  .array(
    fc.oneof(
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }),
      fc.constantFrom("x", "日", "😀").map((c) => c.repeat(60)),
    ),
    { minLength: 1, maxLength: 40 },
  )
  .map((names) => names.map((name) => name.replaceAll("/", "-")).join("/"));
const token = fc.stringMatching(/^[A-Za-z0-9_-]{22}$/);

const order = (one: string, other: string): number => Math.sign(Buffer.compare(Buffer.from(one), Buffer.from(other)));

it.each([
  ["generations of state", generationText],
  ["checkpoints of slices", snapshotPartition],
  ["generations of loads", loadPartition],
])("orders %s as numbers", (_, text) => {
  fc.assert(
    fc.property(number, number, (one, other) => {
      expect(order(text(one), text(other))).toBe(Math.sign(one - other));
    }),
    { numRuns: 1_000 },
  );
});

it("puts a before-item after its own generation and before every later one", () => {
  fc.assert(
    fc.property(number, number, token, token, (one, other, v, w) => {
      expect(order(generationText(one), beforeItemGeneration(one, v))).toBe(-1);
      if (one < other) expect(order(beforeItemGeneration(one, v), generationText(other))).toBe(-1);
      if (one < other) expect(order(beforeItemGeneration(one, v), beforeItemGeneration(other, w))).toBe(-1);
      if (one === other) expect(order(beforeItemGeneration(one, v), beforeItemGeneration(one, w))).toBe(order(v, w));
    }),
    { numRuns: 1_000 },
  );
});

type Thing = {
  readonly n: number;
  readonly f: string;
  readonly s: string;
  readonly slice: number;
  readonly cut: string;
};
const thing: fc.Arbitrary<Thing> = fc.record({ n: fc.nat(12), f: name, s: split, slice: fc.nat(12), cut: token });
/** Two that have most parts in common. */
const pair = fc
  .tuple(thing, thing, fc.array(fc.constantFrom("n", "f", "s", "slice", "cut"), { maxLength: 5 }))
  .map(
    ([one, other, same]) =>
      [one, { ...other, ...Object.fromEntries(same.map((part) => [part, one[part as "n"]])) }] as const,
  );

it.each<[string, (of: Thing) => unknown, (of: Thing) => unknown]>([
  ["splits", ({ f, s }) => splitKey(f, s), ({ f, s }) => [f, s]],
  ["holes", ({ f, s, n }) => holesPartition(f, s, n), ({ f, s, n }) => [f, s, n]],
  ["slices", ({ n, f, slice }) => sliceKey(n, f, slice), ({ n, f, slice }) => [n, f, slice]],
  ["cuts", ({ n, cut, f, s }) => cutKey(n, cut, { function: f, split: s }), ({ n, cut, f, s }) => [n, cut, f, s]],
])("gives two %s that differ two keys", (_, keyOf, partsOf) => {
  fc.assert(
    fc.property(pair, ([one, other]) => {
      const same = JSON.stringify(partsOf(one)) === JSON.stringify(partsOf(other));
      expect(JSON.stringify(keyOf(one)) === JSON.stringify(keyOf(other))).toBe(same);
    }),
    { numRuns: 2_000 },
  );
});

it("keeps every key of any split's name within DynamoDB's bytes, and two names apart however long a start they share", () => {
  fc.assert(
    fc.property(longSplit, fc.constantFrom("", "a", "日", "/b"), name, token, (start, end, f, cut) => {
      const named = [start + end, `${start}c`].map((s) => [
        splitKey(f.padEnd(64, "f"), s),
        { partition: holesPartition(f.padEnd(64, "f"), s, 9_999_999_999), sort: "x" },
        cutKey(9_999_999_999, cut, { function: f.padEnd(64, "f"), split: s }),
      ]);
      for (const { partition, sort } of named.flat()) {
        expect(Buffer.byteLength(partition)).toBeLessThanOrEqual(2_048);
        expect(Buffer.byteLength(sort)).toBeLessThanOrEqual(1_024);
        if (!start.includes("\ufffd")) expect(partition + sort).not.toContain("\ufffd");
      }
      for (const [index, key] of (named[0] ?? []).entries()) expect(key).not.toEqual(named[1]?.[index]);
    }),
    { numRuns: 500 },
  );
});

it("leaves a name as it is that DynamoDB takes", () => {
  const longest = "日".repeat(341);
  expect(splitKey("f", `${longest}x`)).toEqual({ partition: "SPLIT#f", sort: `${longest}x` });
  expect(splitKey("f", `${longest}xy`).sort).toMatch(/^日{200,}\/\/[0-9a-f]{64}$/);
});

it("never takes a cut's position for a slice of the same checkpoint", () => {
  fc.assert(
    fc.property(thing, thing, (one, other) => {
      const { sort } = sliceKey(one.n, one.f, one.slice);
      expect(sort.startsWith(cutSortPrefix(other.cut))).toBe(false);
    }),
  );
});
