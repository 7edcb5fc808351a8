/** The folds of a batch over copies that are out of date, and its dead letters. */
import { describe, expect, test } from "vitest";
import { StateCache } from "../../../shared/batch/state-cache.ts";
import { listDeadLetters } from "../../../shared/dead-letter/dead-letter.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";
import { liveLogs } from "../../support/oracle.ts";
import { at, logFunction, START_MS, TestWorld } from "../../support/test-world.ts";

async function lettersOf(world: TestWorld) {
  const letters = [];
  for await (const letter of listDeadLetters(world.stores.storage, "log")) letters.push(letter);
  return letters;
}

describe("a throw over the worker's copy of a state", () => {
  test("that the stored one does not throw at is none, and the batch goes on", async () => {
    const world = new TestWorld();
    world.split("s", "aaba");
    world.split("t", "a");
    const usual = logFunction("log");
    const definition = defineFunction({
      ...usual,
      handle: (state, event, context) => {
        if (event.id === "s2" && !state.log.includes("t1")) throw new Error("s2 comes after t1");
        return usual.handle(state, event, context);
      },
    });
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { definition, cache });
    await world.deliver("t", 1, 1, { definition });
    expect(await world.deliver("s", 2, 4, { definition, cache })).toMatchObject({ position: at(4), folded: 3 });
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1", "t1", "s2", "s4"], b: ["s3"] });
  });

  test("is a failure once the copy was read afresh in the same batch", async () => {
    const world = new TestWorld();
    world.split("s", "aaa");
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { cache });
    world.behaviour = { poison: ["s3"] };
    const process = world.start();
    // s2 was folded over the copy, which is what is stored: only the first throw over it asks the store.
    expect(await world.deliver("s", 2, 3, { cache, process })).toMatchObject({
      position: at(3),
      failedFrom: undefined,
    });
    expect(world.ofType("dead-letter")).toMatchObject([{ position: at(3) }]);
    expect(process.log.filter((step) => step === "state.load a")).toHaveLength(1);
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "s2"]);
  });
});

describe("a dead letter", () => {
  test("holds what is known of its record", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "a!", { arrivalTimeMs: (number) => START_MS + number });
    world.behaviour = { poison: ["s1"] };
    await world.deliverUntilDone("s", 1, 2);
    const common = { format: "tidemark-dead-letter", formatVersion: 1, app: "test-app", function: "log", split: "s" };
    const times = { at: "2026-01-01T00:00:00.000Z", generation: 1, tries: 1 };
    expect(await lettersOf(world)).toEqual([
      {
        ...{ ...common, ...times, position: at(1), cause: "failed", error: "Error: cannot fold s1" },
        ...{ arrivedAt: "2026-01-01T00:00:00.001Z", record: JSON.stringify({ id: "s1", key: "a", clear: false }) },
      },
      {
        ...{
          ...common,
          ...times,
          position: at(2),
          cause: "refused",
          error: expect.stringContaining("a key is required"),
        },
        ...{ arrivedAt: "2026-01-01T00:00:00.002Z", record: JSON.stringify({ id: "s2" }) },
      },
    ]);
  });

  test("says nothing of an arrival that the source does not know", async () => {
    const world = new TestWorld();
    world.split("s", "!");
    const records = world.source.records("s", 1, 1).map(({ arrivalTimeMs: _, ...record }) => record);
    await world.deliverRecords("s", records);
    expect((await lettersOf(world))[0]).not.toHaveProperty("arrivedAt");
  });
});

describe("a split with too many dead letters in a row", () => {
  test("says which record it stopped at, and what was wrong with that", async () => {
    const world = new TestWorld({ triesMax: 1, maxConsecutiveDeadLetters: 1 });
    world.split("s", "!!");
    await world.deliver("s", 1, 2);
    // Nothing of s was taken yet, so the schema may be broken.
    const stopped = { type: "split-stopped", function: "log", split: "s", generation: 1, epoch: 0, deadLetters: 1 };
    expect(world.ofType("split-stopped")).toEqual([
      { ...stopped, position: at(2), error: expect.stringContaining("a key is required") },
    ]);
    world.split("t", "aa");
    world.behaviour = { poison: ["t1", "t2"] };
    await world.deliver("t", 1, 2);
    await world.deliver("t", 2, 2);
    expect(world.ofType("split-stopped").at(-1)).toEqual({
      ...{ ...stopped, split: "t", position: at(2), error: "Error: cannot fold t2" },
    });
  });
});
