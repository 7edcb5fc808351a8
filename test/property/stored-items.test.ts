/**
 * Invariants:
 * - Every state item comes back from its DynamoDB attributes as itself, with and without a before-image, a state, marks,
 *   BigInts.
 * - "The key did not exist" and "no before-image" stay two things.
 * - Every part item and every dead letter comes back from its text as itself, one part item a line.
 * - A dead letter that was put back keeps saying so, whoever writes the letter again.
 */

import { expect, test } from "vitest";
import { encodePartItem, readPart, writePart } from "../../shared/checkpoint/part-file.ts";
import {
  claimRedrive,
  type DeadLetter,
  readDeadLetter,
  writeDeadLetter,
} from "../../shared/dead-letter/dead-letter.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import {
  fromBeforeAttributes,
  fromItem,
  toBeforeAttributes,
  toItemWithoutBefore,
} from "../../shared/state/dynamodb/state-item-attributes.ts";
import { ABSENT, type Image, type StateItem } from "../../shared/state/state-item.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import fc from "../support/properties.ts";

const text = fc.string({ unit: "grapheme" });
const name = text.filter((one) => one !== "");
const jsonWith = (bigInt: fc.Arbitrary<bigint>): fc.Arbitrary<JsonValue> =>
  fc.letrec<{ any: JsonValue }>((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.constantFrom(1e20, 2 ** 53 + 2, -1e25),
      bigInt,
      text,
      fc.array(tie("any")),
      fc.dictionary(name, tie("any"), { noNullPrototype: true }),
    ),
  })).any;
const json = jsonWith(fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }));
/** A source's records: an integer that a number can hold is a number there. */
const recordJson = jsonWith(fc.bigInt({ min: 2n ** 53n + 1n, max: 10n ** 60n }));
const version = fc.integer({ min: 1, max: 1_000 });
const image: fc.Arbitrary<Image> = fc.oneof(
  fc.constant(ABSENT),
  fc.record({ value: json, version }, { noNullPrototype: true }),
);
const marks = fc.dictionary(
  name.filter((split) => split !== "__proto__"),
  text,
  { noNullPrototype: true },
);
const item: fc.Arbitrary<StateItem> = fc.record(
  {
    ...{ key: name, generation: fc.integer({ min: 1, max: 10 ** 10 - 1 }), v: name, epoch: fc.nat() },
    ...{ state: image, applied: marks, before: image },
  },
  { requiredKeys: ["key", "generation", "v", "epoch", "state", "applied"], noNullPrototype: true },
);

test("a state item comes back from its attributes as itself", () => {
  fc.assert(
    fc.property(item, (one) => {
      const attributes = { ...toItemWithoutBefore(one), ...toBeforeAttributes(one.before) };
      const read = fromItem(attributes);
      expect(read).toStrictEqual({ item: one, beforeItem: undefined });
      expect("before" in read.item).toBe("before" in one);
    }),
    { numRuns: 500 },
  );
});

test("a before-image comes back from an item of its own as itself", () => {
  fc.assert(
    fc.property(image, (before) => {
      expect(fromBeforeAttributes(toBeforeAttributes(before))).toStrictEqual(before);
      expect(fromBeforeAttributes({})).toBeUndefined();
    }),
  );
});

test("part items come back from a part as they were, in order, a line each", async () => {
  const partItem = fc.record({ key: name, state: json, stateVersion: version }, { noNullPrototype: true });
  await fc.assert(
    fc.asyncProperty(fc.array(partItem, { maxLength: 20 }), async (items) => {
      for (const one of items) expect(encodePartItem(one).indexOf("\n")).toBe(encodePartItem(one).length - 1);
      const storage = new MemoryCheckpointStorage();
      const lines = async function* () {
        for (const one of items) yield encodePartItem(one);
      };
      const stored = await writePart(storage, 1, "p", lines());
      const read: unknown[] = [];
      const file = { name: "p", function: "f", items: items.length, ...stored };
      for await (const one of readPart(storage, 1, file)) read.push(one);
      expect(read).toStrictEqual(items);
    }),
    { numRuns: 50 },
  );
});

const letters: fc.Arbitrary<DeadLetter> = fc.record(
  {
    ...{ format: fc.constant("tidemark-dead-letter" as const), formatVersion: fc.constant(1), app: name },
    ...{
      function: fc.constant("f"),
      split: fc.constantFrom("s/1", "..", "*"),
      position: fc.constantFrom("0001", "0002"),
    },
    ...{ generation: fc.nat(), cause: fc.constantFrom("refused" as const, "failed" as const), tries: fc.nat() },
    ...{ error: text, at: fc.constant("2026-01-01T00:00:00.000Z"), arrivedAt: fc.constant("2026-01-01T00:00:00.000Z") },
    record: recordJson,
  },
  {
    requiredKeys: [
      ...(["format", "formatVersion", "app", "function", "split", "position", "generation"] as const),
      ...(["cause", "tries", "error", "at", "record"] as const),
    ],
  },
);

test("dead letters come back as they were written last, each at its own place", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(letters, { minLength: 1, maxLength: 6 }), async (written) => {
      const storage = new MemoryCheckpointStorage();
      const last = new Map<string, DeadLetter>();
      for (const letter of written) {
        await writeDeadLetter(storage, letter);
        last.set(`${letter.split} ${letter.position}`, letter);
      }
      for (const letter of last.values()) expect((await readDeadLetter(storage, letter))?.letter).toEqual(letter);
    }),
    { numRuns: 100 },
  );
});

test("a dead letter that was put back keeps the entry that counts, however often it is written or put back again", async () => {
  const entries = fc.uniqueArray(
    fc.integer({ min: 1, max: 9 }).map((n) => `00000000000${n}`),
    { minLength: 1 },
  );
  await fc.assert(
    fc.asyncProperty(letters, letters, entries, async (first, again, claims) => {
      const storage = new MemoryCheckpointStorage();
      await writeDeadLetter(storage, first);
      for (const entry of claims) {
        expect(await claimRedrive(storage, first, entry, async () => false)).toBe(claims[0]);
        await writeDeadLetter(storage, { ...again, split: first.split, position: first.position });
      }
      expect((await readDeadLetter(storage, first))?.letter.redrivenAs).toBe(claims[0]);
    }),
    { numRuns: 100 },
  );
});
