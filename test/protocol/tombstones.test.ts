/** Cleared keys: how long their marks are kept, and that nothing brings them back. */
import { describe, expect, it } from "vitest";
import { ABSENT } from "../../shared/state/state-item.ts";
import { settled } from "../support/every-call.ts";
import { checkpointLogs, expectPromise, liveLogs } from "../support/oracle.ts";
import { at, HOUR_MS, TestWorld } from "../support/test-world.ts";

const itemOf = async (world: TestWorld, key: string, generation = 1) =>
  (await world.stores.state.load({ function: "log", generation }, [key])).get(key);

describe("a tombstone", () => {
  /** s2 cleared a; what stands in the tombstone is covered by checkpoint 1. */
  async function cleared(): Promise<TestWorld> {
    const world = new TestWorld();
    world.split("s", "aAb".padEnd(20, "b"));
    await world.deliver("s", 1, 2);
    await world.checkpoint();
    return world;
  }

  it("keeps its applied marks, so that a late duplicate does not bring the key back", async () => {
    const world = await cleared();
    expect(await itemOf(world, "a")).toMatchObject({ state: ABSENT, applied: { s: at(2) } });
    await world.deliver("s", 1, 2);
    expect((await liveLogs(world)).size).toBe(0);
    await expectPromise(world);
  });

  it("goes only once a checkpoint that covers it is older than any invocation", async () => {
    const world = await cleared();
    for (let i = 0; i < 4; i += 1) {
      await world.deliver("s", 3 + i, 3 + i);
      await world.checkpoint();
      expect(await itemOf(world, "a")).toBeDefined();
    }
    world.clock.ms += 2 * HOUR_MS;
    await world.checkpoint();
    await world.checkpoint();
    expect(await itemOf(world, "a")).toBeUndefined();
    expect(world.ofType("tombstones-removed")).toMatchObject([{ function: "log", keys: 1 }]);
    await expectPromise(world);
    await world.deliver("s", 1, 8);
    expect((await liveLogs(world)).has("a")).toBe(false);
    await expectPromise(world);
  });

  it("that is covered late stays until the covering checkpoint is old: a handler stalled before it applies nothing twice", async () => {
    const world = new TestWorld();
    world.split("s", "accc");
    world.split("t", "xA");
    world.split("z", "zzzz");
    // A checkpoint is old enough to let tombstones go, but it does not reach to this one.
    for (const n of [1, 2]) {
      await world.deliver("z", n, n);
      await world.checkpoint();
      world.clock.ms += 2 * HOUR_MS;
    }
    // s1 is folded and its End lost; t2 clears the key. The tombstone is hours old before s comes to be resolved.
    const dying = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
    await settled(world.deliver("s", 1, 4, { process: dying }));
    await world.deliver("t", 1, 2);
    expect(await itemOf(world, "a")).toMatchObject({ state: ABSENT, applied: { s: at(1), t: at(2) } });
    world.clock.ms += 2 * HOUR_MS;
    const zombie = world.start();
    const gate = zombie.pauseAt((call) => call.step.startsWith("state.load a"));
    const running = world.deliver("s", 1, 4, { process: zombie });
    await gate.reached;
    await world.deliverUntilDone("s", 1, 4);
    for (const n of [3, 4]) {
      await world.deliver("z", n, n);
      await world.checkpoint();
    }
    gate.release();
    await settled(running);
    expect((await liveLogs(world)).has("a")).toBe(false);
    expect((await checkpointLogs(world, (await world.control()).epoch)).has("a")).toBe(false);
  });

  it("that was written over meanwhile is not removed", async () => {
    const world = await cleared();
    world.split("t", "a");
    await world.checkpoint();
    world.clock.ms += 2 * HOUR_MS;
    await world.checkpoint();
    const sweeper = world.start();
    const gate = sweeper.pauseAt((call) => call.step === "state.remove a");
    const running = world.coordinate({ request: {}, process: sweeper });
    await gate.reached;
    await world.deliver("t", 1, 1);
    gate.release();
    await running;
    expect((await liveLogs(world)).get("a")).toEqual(["t1"]);
    await expectPromise(world);
  });

  it("written, removed and written again: no write ever bears a token that another bore", async () => {
    const world = await cleared();
    world.split("t", "aAaA");
    const seen = new Set<string>();
    let writes = 0;
    const watched = world.start((call) => {
      if (!call.step.startsWith("state.write")) return undefined;
      writes += 1;
      seen.add((call.given[1] as { readonly v: string }).v);
      return undefined;
    });
    await world.deliver("t", 1, 1, { process: watched });
    await world.deliver("t", 2, 2, { process: watched });
    for (let i = 0; i < 4; i += 1) {
      await world.checkpoint();
      world.clock.ms += 2 * HOUR_MS;
    }
    expect(await itemOf(world, "a")).toBeUndefined();
    await world.deliver("t", 3, 3, { process: watched });
    await world.deliver("t", 4, 4, { process: watched });
    expect(writes).toBe(4);
    expect(seen.size).toBe(4);
  });
});
