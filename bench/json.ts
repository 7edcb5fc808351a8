/** What it costs that integers beyond 2^53 are exact: `parseJson` beside `JSON.parse`, line by line, in turns. */
import { parseJson } from "../shared/json/parse-json.ts";
import { fiveThousandFlights } from "./flights.ts";
import { median, note, type Report, toPrecision } from "./report.ts";
import { startWatch } from "./stopwatch.ts";

const ROUNDS = 15;
/** Each round goes through the lines so often: long enough for the processor's clock, which counts in some ms. */
const TURNS = 10;

/** What of the time of `JSON.parse` may come on top where no integer is so large. */
const OVERHEAD_MAX = 1.25;

export async function benchJson(): Promise<Report> {
  const flights = (await fiveThousandFlights()).map((flight) => JSON.stringify(flight));
  const inputs: readonly (readonly [string, readonly string[]])[] = [
    ["flights: five members", flights],
    ["nested: 15 members in five objects and arrays, a UUID", flights.map((_, index) => nested(index))],
    ["flights, with an id of 64 bits", flights.map((line, index) => withId(line, index))],
  ];
  const contenders = { "JSON.parse": (text: string) => JSON.parse(text), parseJson: (text: string) => parseJson(text) };
  const figures: Record<string, Record<string, number>> = {};
  for (const [name, lines] of inputs) {
    const rounds: Record<string, number[]> = { "JSON.parse": [], parseJson: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [contender, parse] of Object.entries(contenders)) rounds[contender]?.push(nanosecondsOf(lines, parse));
    }
    figures[name] = Object.fromEntries(Object.entries(rounds).map(([one, all]) => [one, median(all)]));
    note(`json: ${name} is measured`);
  }
  const ratioOf = (name: string): number =>
    (figures[name]?.parseJson ?? Number.NaN) / (figures[name]?.["JSON.parse"] ?? Number.NaN);
  return {
    benchmark: "JSON",
    about: [`${flights.length} lines, ${TURNS} times a round, ${ROUNDS} rounds, processor time of a line, medians.`],
    columns: ["lines", "JSON.parse, ns", "parseJson, ns", "ratio"],
    rows: inputs.map(([name]) => [
      name,
      String(toPrecision(figures[name]?.["JSON.parse"] ?? Number.NaN)),
      String(toPrecision(figures[name]?.parseJson ?? Number.NaN)),
      String(toPrecision(ratioOf(name))),
    ]),
    expectations: inputs
      .slice(0, 2)
      .map(([name]) => ({ what: `${name}: as fast as JSON.parse`, actual: ratioOf(name), atMost: OVERHEAD_MAX })),
    figures,
  };
}

function nanosecondsOf(lines: readonly string[], parse: (text: string) => unknown): number {
  let parsed = 0;
  const watch = startWatch();
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const line of lines) if (typeof parse(line) === "object") parsed += 1;
  }
  return (watch().cpuMilliseconds * 1e6) / parsed;
}

const withId = (line: string, index: number): string => line.replace("{", `{"id":${2n ** 63n - BigInt(index) - 1n},`);

function nested(index: number): string {
  return JSON.stringify({
    id: `7d2e${index}-1e23-4c56-89ab-cdef01234567`,
    at: 1_700_000_000_000 + index,
    user: { name: `user ${index}`, address: { city: "Las Vegas", zip: "89101" } },
    amount: 12.34 + index,
    tags: ["first", "second", "third"],
    lines: [
      { sku: "a-1", count: 1 },
      { sku: "b-2", count: 2 },
    ],
  });
}
