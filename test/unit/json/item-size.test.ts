import { describe, expect, it } from "vitest";
import { attributeBytes, itemBytes } from "../../../shared/json/item-size.ts";

describe("itemBytes", () => {
  it("counts nothing for no attributes", () => {
    expect(itemBytes({})).toBe(0);
  });

  it("counts names and strings by their UTF-8 bytes", () => {
    expect(itemBytes({ key: { S: "abc" } })).toBe(6);
    expect(itemBytes({ "\u00e9": { S: "\u20ac\u{1F9CA}" } })).toBe(2 + 3 + 4);
    expect(itemBytes({ a: { S: "" } })).toBe(1);
  });
});

describe("attributeBytes", () => {
  it("counts 1 for a truth value and for null", () => {
    expect(attributeBytes({ BOOL: false })).toBe(1);
    expect(attributeBytes({ NULL: true })).toBe(1);
  });

  it("counts 3 for a list or map, and 1 more for each element", () => {
    expect(attributeBytes({ L: [] })).toBe(3);
    expect(attributeBytes({ M: {} })).toBe(3);
    expect(attributeBytes({ L: [{ S: "ab" }, { BOOL: true }] })).toBe(3 + (1 + 2) + (1 + 1));
    expect(attributeBytes({ M: { ab: { S: "cd" }, e: { M: {} } } })).toBe(3 + (1 + 2 + 2) + (1 + 1 + 3));
  });

  it.each([
    ["0", 1],
    ["7", 2],
    ["-7", 3],
    ["10", 2],
    ["12", 2],
    ["123", 3],
    ["1234", 3],
    ["0.5", 2],
    ["0.05", 2],
    ["1.5", 3],
    ["1e+21", 2],
    ["1000000000000000000000", 2],
    ["1.7976931348623157", 10],
    ["12345678901234567", 10],
    ["1e-130", 2],
  ])("counts number %s as %i: a byte for two digits, paired from the point, and one more", (N, bytes) => {
    expect(attributeBytes({ N })).toBe(bytes);
  });
});
