import { describe, expect, test } from "vitest";
import { formatDuration, parseCount, parseDuration, parseTime } from "../../../cli/duration.ts";

describe("a duration", () => {
  test.each([
    ["500ms", 500],
    ["5s", 5_000],
    ["1.5m", 90_000],
    ["2h", 7_200_000],
  ])("of %s is %d ms", (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each(["5", "5 s", "-5s", "5d", "", "s"])("refuses %j and names the units", (text) => {
    expect(() => parseDuration(text)).toThrow("500ms, 5s, 1m, 1h");
  });

  test("is told to people in their units", () => {
    expect([950, 12_345, 245_000].map(formatDuration)).toEqual(["950 ms", "12.3 s", "4 min 5 s"]);
  });
});

test.each(["0", "1.5", "-1", "x", ""])("a count refuses %j", (text) => {
  expect(() => parseCount(text)).toThrow("whole number of at least 1");
});

test("a time is ISO 8601", () => {
  expect(parseTime("2026-01-31T12:00:00Z").getTime()).toBe(Date.UTC(2026, 0, 31, 12));
  expect(() => parseTime("yesterday")).toThrow("ISO 8601");
  expect(() => parseTime("2026-13-45")).toThrow("ISO 8601");
});
