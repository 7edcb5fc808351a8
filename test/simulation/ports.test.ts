/** The simulator at the ports, in small: `npm run simulate` plays as many histories as wanted. */
import { expect, it } from "vitest";
import { Coverage } from "./coverage.ts";
import { minimise } from "./minimise.ts";
import { choicesOf, ListedChoices, replay, runHistories, SeededChoices } from "./run-histories.ts";

const RUNS = 2_000;

it(`${RUNS} histories keep every promise`, async () => {
  const { broken, histories } = await runHistories({ firstSeed: 1, runs: RUNS, coverage: new Coverage() });
  expect(broken).toBeUndefined();
  expect(histories).toBe(RUNS);
}, 900_000);

it("a seed gives one history, to the letter", async () => {
  for (const seed of [7, 71, 743]) {
    const [one, two] = [
      await replay(new SeededChoices(seed, { recorded: false })),
      await replay(new SeededChoices(seed, { recorded: true })),
    ];
    expect(one.log.length).toBeGreaterThan(20);
    expect(one).toEqual(two);
  }
});

it("its choices, written down, are the same history", async () => {
  for (const seed of [7, 71, 743]) {
    const told = await replay(new SeededChoices(seed, { recorded: false }));
    expect(await replay(new ListedChoices(await choicesOf(seed)))).toEqual(told);
  }
});

it("minimising is refused where nothing is broken", async () => {
  await expect(minimise(await choicesOf(7))).rejects.toThrow("breaks no promise");
});
