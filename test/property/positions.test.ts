/**
 * Invariants, for the positions of every source:
 * - A position reads back as what it was made of.
 * - Positions are ordered as text as their records are in the split, and after the beginning.
 * - What is no position of the source is refused, never taken for one.
 */

import { describe, expect, test } from "vitest";
import { redriveNumber, redrivePosition } from "../../shared/dead-letter/redrive-letter.ts";
import {
  LinePositions,
  parquetPosition,
  parseLinePosition,
  parseParquetPosition,
} from "../../shared/source/file/file-position.ts";
import { positionOf, sequenceNumberOf } from "../../shared/source/kinesis/kinesis-position.ts";
import { BEGINNING, laterOf } from "../../shared/source/position.ts";
import fc from "../support/properties.ts";

const row = fc.oneof(fc.integer({ min: 1, max: 10 ** 12 - 1 }), fc.integer({ min: 1, max: 2_000 }));
const offset = fc.oneof(fc.nat(2_000), fc.integer({ min: 0, max: 10 ** 15 }), fc.constant(10 ** 12));
const sequenceNumber = fc.oneof(
  fc.bigInt({ min: 0n, max: 10n ** 56n - 1n }),
  fc.bigInt({ min: 0n, max: 2_000n }),
  // As they are: 2^185 and some.
  fc.nat(10 ** 6).map((more) => 2n ** 185n + BigInt(more)),
);

const same = (one: number | bigint, other: number | bigint): number => (one < other ? -1 : one > other ? 1 : 0);
const asText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
const asBytes = (one: string, other: string): number => Math.sign(Buffer.compare(Buffer.from(one), Buffer.from(other)));

/** In one order by every measure, and after the beginning. */
function expectOrder(positions: readonly [string, string], order: number): void {
  const [one, other] = positions;
  expect(asText(one, other)).toBe(order);
  // DynamoDB orders text by its bytes.
  expect(asBytes(one, other)).toBe(order);
  expect(one > BEGINNING).toBe(true);
  expect(laterOf(one, other)).toBe(order >= 0 ? one : other);
}

describe("a position in a Kinesis shard", () => {
  test("reads back as its sequence number, and is ordered as it is", () => {
    fc.assert(
      fc.property(sequenceNumber, sequenceNumber, (a, b) => {
        expect(sequenceNumberOf(positionOf(String(a)))).toBe(String(a));
        expectOrder([positionOf(String(a)), positionOf(String(b))], same(a, b));
      }),
    );
  });

  test("is not made of what is no sequence number, nor of one that is too wide", () => {
    const none = fc.string().filter((text) => !/^(0|[1-9]\d{0,55})$/.test(text));
    fc.assert(
      fc.property(none, (text) => {
        expect(() => positionOf(text)).toThrow();
      }),
    );
    const wide = fc.bigInt({ min: 10n ** 56n, max: 10n ** 128n });
    fc.assert(
      fc.property(wide, (n) => {
        expect(() => positionOf(String(n))).toThrow("digits");
      }),
    );
  });

  test("is not read from the text of another source", () => {
    const foreign = fc.string().filter((text) => !/^\d{56}$/.test(text));
    fc.assert(
      fc.property(foreign, (text) => {
        expect(() => sequenceNumberOf(text)).toThrow("no position");
      }),
    );
  });
});

describe("a position in a file of JSON lines", () => {
  test("reads back as its row and offset", () => {
    fc.assert(
      fc.property(row, offset, (r, o) => {
        expect(parseLinePosition(new LinePositions().at(r, o), "f.jsonl")).toEqual({ row: r, offset: o });
      }),
    );
  });

  test("is ordered as its lines are, made one after the other into one buffer", () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 10 ** 6 }), fc.nat(10 ** 9)), { minLength: 2 });
    fc.assert(
      fc.property(steps, (lines) => {
        const positions = new LinePositions();
        let at = { row: 0, offset: 0 };
        let previous = BEGINNING;
        for (const [rows, bytes] of lines) {
          at = { row: at.row + rows, offset: at.offset + bytes };
          const position = positions.at(at.row, at.offset);
          expect(position).toBe(new LinePositions().at(at.row, at.offset));
          expect(asBytes(previous, position)).toBe(-1);
          previous = position;
        }
      }),
    );
  });

  test("is not read from the text of another source", () => {
    const foreign = fc.string({ minLength: 1 }).filter((text) => !/^\d{12}-\d{16}$/.test(text));
    fc.assert(
      fc.property(foreign, (text) => {
        expect(() => parseLinePosition(text, "f")).toThrow("is not a position");
      }),
    );
    expect(parseLinePosition(BEGINNING, "f")).toEqual({ row: 0, offset: 0 });
  });
});

describe.each([
  ["in a Parquet file", parquetPosition, (text: string) => parseParquetPosition(text, "f.parquet")],
  ["of a redriven record", redrivePosition, redriveNumber],
])("a position %s", (_of, make, read) => {
  test("reads back as its number, and is ordered as it is", () => {
    fc.assert(
      fc.property(row, row, (a, b) => {
        expect(read(make(a))).toBe(a);
        expectOrder([make(a), make(b)], same(a, b));
      }),
    );
  });

  test("is not read from the text of another source", () => {
    const foreign = fc.string({ minLength: 1 }).filter((text) => !/^\d{12}$/.test(text));
    fc.assert(
      fc.property(foreign, (text) => {
        expect(() => read(text)).toThrow();
      }),
    );
    expect(read(BEGINNING)).toBe(0);
  });
});
