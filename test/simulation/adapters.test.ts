/** The simulator under the adapters, in small: `npm run simulate -- --world adapters` plays as many as wanted. */
import { ListTablesCommand } from "@aws-sdk/client-dynamodb";
import { expect, it } from "vitest";
import { AdapterStores } from "./adapter-stores.ts";
import { Coverage } from "./coverage.ts";
import { choicesOf, ListedChoices, play, replay, runHistories, SeededChoices } from "./run-histories.ts";
import { WORLDS } from "./worlds.ts";

const RUNS = 200;
const world = WORLDS.adapters.options;

it(`${RUNS} histories keep every promise`, async () => {
  const { broken, histories } = await runHistories({ firstSeed: 1, runs: RUNS, coverage: new Coverage(), ...world });
  expect(broken).toBeUndefined();
  expect(histories).toBe(RUNS);
}, 300_000);

it("a seed gives one history, to the letter, and so do its choices written down", async () => {
  for (const seed of [7, 71, 743]) {
    const told = await replay(new SeededChoices(seed, { recorded: false }), world);
    expect(told.log.length).toBeGreaterThan(20);
    expect(await replay(new SeededChoices(seed, { recorded: true }), world)).toEqual(told);
    expect(await replay(new ListedChoices(await choicesOf(seed, world)), world)).toEqual(told);
  }
});

it("a command that the services do not know breaks the history, whatever the adapter makes of it", async () => {
  const { violation } = await play(new SeededChoices(7, { recorded: false }), {
    ...world,
    open: (surroundings) => {
      const stores = new AdapterStores(surroundings);
      return {
        truth: stores.truth,
        stepOf: (call) => stores.stepOf(call),
        open: (process, around) => {
          const opened = stores.open(process, around);
          const get = opened.state.load.bind(opened.state);
          opened.state.load = async (scope, keys) => {
            await stores.sendDynamoDB(process, new ListTablesCommand({})).catch(() => undefined);
            return get(scope, keys);
          };
          return opened;
        },
      };
    },
  });
  expect(violation).toContain("does not know the command ListTablesCommand");
});
