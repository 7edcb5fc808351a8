/**
 * Runs histories of the simulator until one breaks a promise; bundled by `kill.ts` with the mutated code in place of
 * the real. Its last line is JSON, a {@link Verdict}; the lines before it say which seed it has come to, for who has to
 * end it.
 *
 * Arguments: the world, the first seed, how many histories at the most.
 */
import { SeededChoices } from "../simulation/choices.ts";
import { Coverage } from "../simulation/coverage.ts";
import { play } from "../simulation/run-histories.ts";
import { WORLDS, type WorldName } from "../simulation/worlds.ts";
import type { Verdict } from "./verdict.ts";

const [, , world = "ports", firstSeed = "1", histories = "1"] = process.argv;

async function run(first: number, runs: number): Promise<Verdict> {
  const coverage = new Coverage();
  const { options } = WORLDS[world as WorldName];
  for (let done = 0; done < runs; done += 1) {
    const seed = first + done;
    console.log(seed);
    const { violation } = await play(new SeededChoices(seed, { recorded: false }), { ...options, coverage });
    if (violation !== undefined) return { killed: true, seed, histories: done + 1, promise: violation };
  }
  return { killed: false, histories: runs };
}

console.log(JSON.stringify(await run(Number(firstSeed), Number(histories))));
