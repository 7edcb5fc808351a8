/** The demo's judges on real flights: the dealing keeps what it must, and no wrong state gets past them. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chainTruth } from "../../../../../examples/flights/demo/chain-truth.ts";
import { type DealtSplit, dealFlights } from "../../../../../examples/flights/demo/data.ts";
import { type States, truthAtCut } from "../../../../../examples/flights/demo/truth.ts";
import { type Computed, judge } from "../../../../../examples/flights/demo/verdict.ts";
import type { OnTime } from "../../../../../examples/flights/on-time.ts";

interface Row {
  readonly date: string;
  readonly origin: string;
  readonly delay: number;
  readonly destination: string;
}

let folder: string;
let splits: readonly DealtSplit[];
let original: readonly Row[];
let right: Computed;

const rowsOf = async (file: string): Promise<Row[]> =>
  (await readFile(file, "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Row);

/** The fold that the README describes, the slow way. */
function foldPlainly(rows: readonly Row[]): States {
  const states = new Map<string, OnTime>();
  for (const { date, origin, delay, destination } of rows) {
    const minute = date.replaceAll("/", "-").replace(" ", "T");
    const old = states.get(origin);
    const worse = old === undefined || delay > old.worstDelay;
    const earlier = delay === old?.worstDelay && minute < (old.worstDate ?? "");
    states.set(origin, {
      flights: (old?.flights ?? 0) + 1,
      delayed: (old?.delayed ?? 0) + (delay > 15 ? 1 : 0),
      totalDelay: (old?.totalDelay ?? 0) + delay,
      worstDelay: worse ? delay : old.worstDelay,
      worstDate: worse || earlier ? minute : old.worstDate,
      destinations: [...new Set([...(old?.destinations ?? []), destination])].sort(),
    });
  }
  return states as unknown as States;
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-deal-"));
  splits = await dealFlights("2k", folder);
  const datasets = path.resolve(path.dirname(createRequire(import.meta.url).resolve("vega-datasets")), "../data");
  original = JSON.parse(await readFile(path.join(datasets, "flights-2k.json"), "utf8")) as Row[];

  const cuts = new Map(splits.map(({ split, flights }, index) => [split, Math.floor((flights * index) / 3)]));
  const atCut = await Promise.all(
    splits.map(async ({ split, file }) => (await rowsOf(file)).slice(0, cuts.get(split))),
  );
  const chains = await chainTruth(splits, cuts);
  right = {
    onTime: foldPlainly(original),
    hashChain: chains.atEnd,
    checkpoint: {
      cuts: { onTime: cuts, hashChain: cuts },
      states: { onTime: foldPlainly(atCut.flat()), hashChain: chains.atCut },
    },
  };
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const judged = (computed: Computed) => judge(computed, { flights: "2k", splits, temporaryFolder: folder });

const without = (states: States, airport: string): States => {
  const fewer = new Map(states);
  if (!fewer.delete(airport)) throw new Error(`there is no ${airport}`);
  return fewer;
};

describe("dealFlights", () => {
  it("gives each flight to one split, the k-th of an airport to split k mod 4, in the original order", async () => {
    const seen = new Map<string, number>();
    const expected: Row[][] = [[], [], [], []];
    for (const row of original) {
      const k = (seen.get(row.origin) ?? 0) + 1;
      seen.set(row.origin, k);
      expected[k % 4]?.push(row);
    }
    const dealt = await Promise.all(splits.map(({ file }) => rowsOf(file)));
    expect(dealt).toEqual(expected);
    expect(splits.map(({ flights }) => flights)).toEqual(expected.map(({ length }) => length));
  });
});

describe("truthAtCut", () => {
  it("takes the flights at or before each position and no other", async () => {
    for (const rows of [0, 1, 17]) {
      const cut = splits.map((split) => ({ ...split, rows }));
      const first = await Promise.all(splits.map(async ({ file }) => (await rowsOf(file)).slice(0, rows)));
      expect(await truthAtCut(cut, folder)).toEqual(foldPlainly(first.flat()));
    }
  });
});

describe("judge", () => {
  it("finds every airport identical when all is right", async () => {
    const verdict = await judged(right);
    expect(verdict.airports).toBe(new Set(original.map(({ origin }) => origin)).size);
    expect(verdict).toMatchObject({
      identical: verdict.airports,
      onTimeIdentical: verdict.airports,
      checkpointIdentical: verdict.airports,
      hashChainsIdentical: verdict.airports,
    });
  });

  it("finds a flight that was folded twice", async () => {
    const verdict = await judged({ ...right, onTime: foldPlainly([...original, original[0] as Row]) });
    expect(verdict).toMatchObject({ identical: verdict.airports - 1, onTimeIdentical: verdict.airports - 1 });
  });

  it("finds an airport that was lost, and one that was made up", async () => {
    const lost = await judged({ ...right, onTime: without(right.onTime, "LAX") });
    expect(lost.identical).toBe(lost.airports - 1);
    const more = new Map([...right.onTime, ["XXX", right.onTime.get("LAX") as never]]);
    const madeUp = await judged({ ...right, onTime: more });
    expect(madeUp).toMatchObject({ airports: lost.airports + 1, identical: lost.airports });
  });

  it("finds a checkpoint that is one flight off its positions", async () => {
    const { cuts, states } = right.checkpoint;
    const [split, rows] = [...cuts.onTime].at(-1) as [string, number];
    const off = { ...cuts, onTime: new Map([...cuts.onTime, [split, rows - 1]]) };
    const verdict = await judged({ ...right, checkpoint: { cuts: off, states } });
    expect(verdict).toMatchObject({
      identical: verdict.airports - 1,
      checkpointIdentical: verdict.airports - 1,
      onTimeIdentical: verdict.airports,
    });
  });

  it("finds a hash chain that ends otherwise", async () => {
    const other = new Map(right.hashChain);
    const { chains } = other.get("LAX") as unknown as { chains: Record<string, { hash: string; count: number }> };
    const [split, chain] = Object.entries(chains)[0] as [string, { hash: string; count: number }];
    other.set("LAX", { chains: { ...chains, [split]: { ...chain, hash: "0000000000000000" } } });
    const verdict = await judged({ ...right, hashChain: other });
    expect(verdict).toMatchObject({ identical: verdict.airports - 1, hashChainsIdentical: verdict.airports - 1 });
  });
});
