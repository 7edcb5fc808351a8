import { describe, expect, it } from "vitest";
import { airportsOf, compare, identicalIn } from "../../../../../examples/flights/demo/compare.ts";
import { isIdentical } from "../../../../../examples/flights/demo/report.ts";
import type { States } from "../../../../../examples/flights/demo/truth.ts";

const truth: States = new Map([
  ["LAX", { flights: 2, worstDate: "2001-01-01T07:00", destinations: ["ATL", "SEA"] }],
  ["SEA", { flights: 1, worstDate: null, destinations: ["LAX"] }],
]);

const altered = (airport: string, state: object): States => new Map([...truth, [airport, state as never]]);

describe("compare", () => {
  it("finds no difference where members are in another order", () => {
    const actual: States = new Map([
      ["SEA", { destinations: ["LAX"], worstDate: null, flights: 1 }],
      ["LAX", { worstDate: "2001-01-01T07:00", destinations: ["ATL", "SEA"], flights: 2 }],
    ]);
    expect(compare("x", actual, truth).different).toEqual(new Map());
  });

  it.each([
    ["a number", { flights: 3, worstDate: "2001-01-01T07:00", destinations: ["ATL", "SEA"] }],
    ["a date", { flights: 2, worstDate: "2001-01-01T07:01", destinations: ["ATL", "SEA"] }],
    ["a list's order", { flights: 2, worstDate: "2001-01-01T07:00", destinations: ["SEA", "ATL"] }],
    ["a member that is missing", { flights: 2, destinations: ["ATL", "SEA"] }],
    ["a member too many", { flights: 2, worstDate: "2001-01-01T07:00", destinations: ["ATL", "SEA"], more: 1 }],
    ["a number that is text", { flights: "2", worstDate: "2001-01-01T07:00", destinations: ["ATL", "SEA"] }],
  ])("finds %s that differs, and names the airport", (_case, state) => {
    expect([...compare("x", altered("LAX", state), truth).different.keys()]).toEqual(["LAX"]);
  });

  it("finds an airport that is missing", () => {
    const actual = new Map([...truth].slice(0, 1));
    expect(compare("x", actual, truth).different.get("SEA")).toMatch(/no state/);
  });

  it("finds an airport that should not be there", () => {
    expect(compare("x", altered("XXX", {}), truth).different.get("XXX")).toMatch(/should be none/);
  });
});

describe("identicalIn", () => {
  it("counts an airport only when every comparison holds", () => {
    const airports = airportsOf(truth, new Map([["XXX", {}]]));
    expect(airports).toEqual(new Set(["LAX", "SEA", "XXX"]));
    const right = compare("right", truth, truth);
    expect(identicalIn(airports, [right])).toBe(3);
    expect(identicalIn(airports, [right, compare("extra", altered("XXX", {}), truth)])).toBe(2);
    expect(identicalIn(airports, [compare("wrong", altered("SEA", {}), truth), right])).toBe(2);
  });
});

describe("isIdentical", () => {
  it("holds only when every airport is, and there are some", () => {
    expect(isIdentical({ identical: 2, airports: 2 })).toBe(true);
    expect(isIdentical({ identical: 1, airports: 2 })).toBe(false);
    expect(isIdentical({ identical: 0, airports: 0 })).toBe(false);
  });
});
