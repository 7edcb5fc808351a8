import { describe, expect, test } from "vitest";
import { parseJson, settleIntegers } from "../../../shared/json/parse-json.ts";

const refusalOf = (json: string, integers: "exact" | "refuse" = "exact"): unknown => {
  try {
    return parseJson(json, integers);
  } catch (thrown) {
    return thrown;
  }
};

describe("an integer", () => {
  test.each([
    ["of 64 bits", "18446744073709551615", 18446744073709551615n],
    ["one past 2^53", "9007199254740993", 9007199254740993n],
    ["one before -2^53", "-9007199254740993", -9007199254740993n],
    ["that a double happens to hold", "9007199254740994", 9007199254740994n],
    ["of 400 digits, more than any double", "9".repeat(400), BigInt("9".repeat(400))],
    ["with a fraction of zeros", "12345678901234567890.0", 12345678901234567890n],
    ["with more digits than a double, and an exponent", "1.2345678901234567891e19", 12345678901234567891n],
  ])("%s is a BigInt", (_case, json, integer) => {
    expect(parseJson(json)).toBe(integer);
    expect(parseJson(`{"a":[${json}]}`)).toEqual({ a: [integer] });
    expect(parseJson(json, "text")).toBe(String(integer));
  });

  test.each([
    ["of 2^53", "9007199254740992", 2 ** 53],
    ["of 16 digits below it", "1700000000000000", 1_700_000_000_000_000],
    ["with an exponent, and no more digits than a double", "1.2e19", 1.2e19],
    ["with an exponent, that a double rounds to the same digits", "6.02214076e23", 6.02214076e23],
    ["of -0", "-0", -0],
  ])("%s is a number, whatever is asked of integers", (_case, json, number) => {
    expect([parseJson(json), parseJson(json, "text"), parseJson(json, "refuse")]).toEqual([number, number, number]);
  });

  test("in text and in names is left alone", () => {
    const json = '{"9007199254740993":"9007199254740993","a":"\\"9007199254740993","b":9007199254740993}';
    expect(parseJson(json)).toEqual({ ...JSON.parse(json), b: 9007199254740993n });
  });

  test("of a member named __proto__ is a member, and no prototype", () => {
    const value = parseJson('{"__proto__":9007199254740993,"a":{"__proto__":[9007199254740995]}}') as object;
    expect(Object.entries(value)[0]).toEqual(["__proto__", 9007199254740993n]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test("of a member that comes twice counts as the last one", () => {
    expect(parseJson('{"a":9007199254740993,"a":1}')).toEqual({ a: 1 });
    expect(parseJson('{"a":1e400,"a":9007199254740993}')).toEqual({ a: 9007199254740993n });
  });

  test("is refused where the source says so, by the name of its place", () => {
    expect(refusalOf('{"a":[{"first id":9007199254740993}]}', "refuse")).toMatchObject({
      kind: "fix-event",
      message: expect.stringMatching(/^event\.a\[0\]\["first id"\] is an integer beyond 2\^53\. .*integers: "text"/),
    });
  });
});

describe("a number", () => {
  test("beyond all doubles is refused, by the name of its place", () => {
    expect(refusalOf('{"a":[1,{"total":-1e400}]}')).toMatchObject({
      kind: "fix-event",
      message: expect.stringMatching(/^event\.a\[1\]\.total is a number beyond 1\.8e308\. /),
    });
    expect(refusalOf("1E+0400")).toMatchObject({ kind: "fix-event" });
  });

  test("of more digits than anybody needs is refused in no time, by the name of its place", () => {
    expect(refusalOf(`{"a":${"7".repeat(10_000_000)}}`)).toMatchObject({
      kind: "fix-event",
      message: expect.stringMatching(/^event\.a is a number of 10000000 digits\. /),
    });
  });

  test("is found however deep it stands", () => {
    const depth = 100_000;
    let value = parseJson(`${"[".repeat(depth)}9007199254740993${"]".repeat(depth)}`);
    while (Array.isArray(value)) value = value[0];
    expect(value).toBe(9007199254740993n);
  });
});

describe("what was no JSON", () => {
  test("has its BigInts settled by the same rule, in a copy", () => {
    const row = { id: 9007199254740993n, more: [1, null, { x: 9007199254740995n }] };
    expect(settleIntegers(row, "exact")).toBe(row);
    expect(settleIntegers(row, "text")).toEqual({ id: "9007199254740993", more: [1, null, { x: "9007199254740995" }] });
    expect(() => settleIntegers(row, "refuse")).toThrow("event.id is an integer beyond 2^53.");
    expect(row.id).toBe(9007199254740993n);
  });
});
