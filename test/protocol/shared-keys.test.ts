/**
 * Two splits that share a key: order is kept within a split, and a replay may fold the events of different splits in
 * another order than the first run did. What does not mind: a key whose events are all in one split, a `handle` that
 * commutes.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, expect, it } from "vitest";
import { defineFunction } from "../../shared/function/define-function.ts";
import type { FunctionDefinition } from "../../shared/function/function-definition.ts";
import { ABSENT } from "../../shared/state/state-item.ts";
import { expectOneLiveGeneration, expectPromise, liveLogs } from "../support/oracle.ts";
import { type LogState, type TestEvent, TestWorld } from "../support/test-world.ts";

/** Live, `s1 t1 t2 s2`; then everything again from the checkpoint before them. */
async function foldedTwice(world: TestWorld, splits: { readonly s: string; readonly t: string }) {
  world.split("s", splits.s);
  world.split("t", splits.t);
  await world.checkpoint();
  await world.deliver("s", 1, 1);
  await world.deliver("t", 1, 2);
  await world.deliver("s", 2, 2);
  const first = await statesOf(world);
  await world.restore();
  return { first, again: await statesOf(world) };
}

async function statesOf(world: TestWorld): Promise<ReadonlyMap<string, unknown>> {
  const scope = { function: "log", generation: (await world.control()).gen };
  const states = new Map<string, unknown>();
  for await (const { items } of world.stores.state.scan(scope, { index: 0, count: 1 })) {
    for (const { key, state } of items) if (state !== ABSENT) states.set(key, state.value);
  }
  return states;
}

describe("two splits that share a key", () => {
  it("are folded in another order by a replay: each split's own is kept, and every event is in it once", async () => {
    const world = new TestWorld();
    const { first, again } = await foldedTwice(world, { s: "aa", t: "aa" });
    expect(first).toEqual(new Map([["a", { log: ["s1", "t1", "t2", "s2"] }]]));
    expect(again).toEqual(new Map([["a", { log: ["s1", "s2", "t1", "t2"] }]]));
    await expectPromise(world);
  });

  it("are cut as they were folded: the checkpoint of a replayed state has the replay's order", async () => {
    const world = new TestWorld();
    await foldedTwice(world, { s: "aa", t: "aa" });
    expect(await world.checkpoint()).toBe(2);
    await world.restore({ checkpoint: 2 });
    expect(await liveLogs(world)).toEqual(new Map([["a", ["s1", "s2", "t1", "t2"]]]));
    await expectPromise(world);
  });

  it("lose what a clear takes, which another order makes more or less: also that is some order of them", async () => {
    const world = new TestWorld();
    const { first, again } = await foldedTwice(world, { s: "aa", t: "aA" });
    expect(first).toEqual(new Map([["a", { log: ["s2"] }]]));
    expect(again).toEqual(new Map());
    await expectOneLiveGeneration(world);
  });
});

describe("a replay comes to the same state", () => {
  it("where the splits are cut by key: a key's events are all in one", async () => {
    const { first, again } = await foldedTwice(new TestWorld(), { s: "aa", t: "bb" });
    expect(first.size).toBe(2);
    expect(again).toEqual(first);
  });

  it("where handle commutes, whichever splits share the key", async () => {
    const event: StandardSchemaV1<unknown, TestEvent> = {
      "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as TestEvent }) },
    };
    const counting = defineFunction({
      name: "log",
      event,
      key: (event) => event.key,
      state: { initial: () => ({ events: 0, last: "" }) },
      handle: ({ events, last }, { id }) => ({ events: events + 1, last: id > last ? id : last }),
    });
    class CountingWorld extends TestWorld {
      override definition(): FunctionDefinition<TestEvent, LogState> {
        return counting as never;
      }
    }
    const { first, again } = await foldedTwice(new CountingWorld(), { s: "aa", t: "aa" });
    expect(first).toEqual(new Map([["a", { events: 4, last: "t2" }]]));
    expect(again).toEqual(first);
  });
});
