import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { onTime } from "../../../../examples/flights/on-time.ts";
import { validateEvent } from "../../../../shared/function/validate-event.ts";

const flight = { date: "2001/01/10 18:20", delay: -3, distance: 102, origin: "HNL", destination: "LIH" };

/** Where the package keeps its files: it exports none of them. */
function flightsOf(file: string): Record<string, unknown>[] {
  const entry = createRequire(import.meta.url).resolve("vega-datasets");
  const folder = entry.slice(0, entry.lastIndexOf("/vega-datasets/"));
  return JSON.parse(readFileSync(`${folder}/vega-datasets/data/${file}`, "utf8"));
}

function refusalOf(raw: unknown): string {
  const answer = validateEvent(onTime, raw);
  return "ok" in answer && !answer.ok ? answer.error.message : "accepted";
}

describe("FlightSchema", () => {
  it.each([
    ["the JSON files' dates", "2001/01/10 18:20"],
    ["dates as readers of the Parquet file write them", "2001-01-10T18:20:00.000Z"],
  ])("makes one form of %s", (_, date) => {
    expect(validateEvent(onTime, { ...flight, date })).toEqual({
      ok: true,
      event: { ...flight, date: "2001-01-10T18:20" },
    });
  });

  it("accepts every real flight, and keeps the order of their dates", () => {
    const dates: string[] = [];
    for (const raw of flightsOf("flights-20k.json")) {
      const answer = validateEvent(onTime, raw);
      if (!("ok" in answer) || !answer.ok) throw new Error(JSON.stringify(raw));
      dates.push(answer.event.date);
    }
    expect(dates).toHaveLength(20_000);
    expect(dates).toEqual(dates.toSorted());
  });

  it("refuses the rows of flights-200k.json, which name no airport", () => {
    const message = refusalOf(flightsOf("flights-200k.json")[0]);
    expect(message).toMatch(/event\.date: .+; event\.origin: .+; event\.destination: /);
  });

  it.each([
    ["a date of another form", { date: "10.01.2001" }, "event.date: must be a date such as"],
    ["a date with mixed marks", { date: "2001/01-10 18:20" }, "event.date"],
    ["a delay that is null", { delay: null }, "event.delay: Invalid input: expected number, received null"],
    ["half a minute", { delay: 0.5 }, "event.delay: Invalid input: expected int, received number"],
    ["a negative distance", { distance: -1 }, "event.distance: Too small"],
    ["an empty origin", { origin: "" }, "event.origin: Too small"],
  ])("refuses %s", (_, change, message) => {
    expect(refusalOf({ ...flight, ...change })).toContain(message);
  });
});
