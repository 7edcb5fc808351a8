/** Histories of the simulator, few at a time: the first that breaks a promise ends the run of a mutant. */
import { expect, it } from "vitest";
import { Coverage } from "../simulation/coverage.ts";
import { runHistories } from "../simulation/run-histories.ts";

const TESTS = 10;
const HISTORIES = 20;

it.each(Array.from({ length: TESTS }, (_, test) => test * HISTORIES + 1))(
  "histories from seed %i",
  async (firstSeed) => {
    const { broken } = await runHistories({ firstSeed, runs: HISTORIES, coverage: new Coverage() });
    expect(broken).toBeUndefined();
  },
);
