import { describe, expect, it } from "vitest";
import { fromAttribute, toAttribute } from "../../../shared/json/attribute-value.ts";
import { marksOf } from "../../../shared/json/big-int-marks.ts";
import type { JsonValue } from "../../../shared/json/json-value.ts";

describe("toAttribute", () => {
  it("uses DynamoDB's native types", () => {
    expect(toAttribute({ s: "x", n: 1.5, yes: true, none: null, list: [1, "a"], map: { e: "" } })).toEqual({
      M: {
        s: { S: "x" },
        n: { N: "1.5" },
        yes: { BOOL: true },
        none: { NULL: true },
        list: { L: [{ N: "1" }, { S: "a" }] },
        map: { M: { e: { S: "" } } },
      },
    });
  });

  it("writes -0 as 0", () => {
    expect(toAttribute(-0)).toEqual({ N: "0" });
  });

  it.each([1e-130, -1e-130, 9.99999999999999e125, -9.99999999999999e125, Number.MAX_SAFE_INTEGER, 2 ** 64])(
    "takes %d",
    (number) => {
      expect(fromAttribute(toAttribute(number))).toBe(number);
    },
  );

  it.each([9.9e-131, 5e-324, -1e-200, 1e126, -1e126, Number.MAX_VALUE, Number.POSITIVE_INFINITY, Number.NaN])(
    "refuses %d, which DynamoDB cannot hold",
    (number) => {
      expect(() => toAttribute([number])).toThrow(expect.objectContaining({ kind: "fix-function" }));
    },
  );

  it.each([[undefined], [() => 1], [Symbol("s")]])("refuses %s, which is not JSON", (value) => {
    expect(() => toAttribute({ value: value as unknown as JsonValue })).toThrow(
      expect.objectContaining({ kind: "fix-function" }),
    );
  });

  it("refuses a member with an empty name, as DynamoDB does", () => {
    expect(() => toAttribute({ in: [{ "": 1 }] })).toThrow(expect.objectContaining({ kind: "fix-function" }));
  });

  it("keeps a member named __proto__ a member, both ways", () => {
    const value = JSON.parse('{"__proto__":{"polluted":true}}') as JsonValue;
    const back = fromAttribute(toAttribute(value));
    expect(JSON.stringify(back)).toBe('{"__proto__":{"polluted":true}}');
    expect((back as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("BigInts", () => {
  const UPTO = 10n ** 38n - 1n;

  it("are N's of all their digits, told from doubles by their marks alone", () => {
    const state = { total: UPTO, double: 1e20, ids: [10n ** 20n, -1n], text: "1" };
    expect(toAttribute(state)).toEqual({
      M: {
        total: { N: "9".repeat(38) },
        double: { N: "100000000000000000000" },
        ids: { L: [{ N: "100000000000000000000" }, { N: "-1" }] },
        text: { S: "1" },
      },
    });
    expect(marksOf(state)).toEqual({ total: true, ids: true });
    expect(fromAttribute(toAttribute(state), marksOf(state))).toStrictEqual(state);
  });

  it("are named in short where there is nothing else", () => {
    expect([marksOf(0n), marksOf([1n, [2n, "a"], null]), marksOf({ a: { b: 1n }, c: 2n })]).toEqual([true, true, true]);
    expect(marksOf([1, 2n, { a: 3n, b: 4 }])).toEqual({ 1: true, 2: { a: true } });
    expect([marksOf(0), marksOf({}), marksOf(["1", { a: 1 }])]).toEqual([undefined, undefined, undefined]);
  });

  it("have 38 digits at most", () => {
    for (const integer of [UPTO + 1n, -UPTO - 1n]) {
      expect(() => toAttribute([integer])).toThrow(expect.objectContaining({ kind: "fix-function" }));
    }
    expect(toAttribute(-UPTO)).toEqual({ N: `-${"9".repeat(38)}` });
  });

  it("that somebody made no integers of by hand are refused by what they are", () => {
    expect(() => fromAttribute({ N: "1.5" }, true)).toThrow(/The number 1\.5 is marked as a BigInt/);
  });
});

describe("fromAttribute", () => {
  it("reads numbers however DynamoDB writes them", () => {
    expect(["1E+2", "100", "1.00", "-0.5", "1E-130"].map((N) => fromAttribute({ N }))).toEqual([
      100, 100, 1, -0.5, 1e-130,
    ]);
  });

  it("refuses a type that Tidemark never writes, and says whose table it must be", () => {
    expect(() => fromAttribute({ SS: ["a"] })).toThrow(/type SS .*table of its own/);
  });
});
