/** How a batch writes against others that are faster, and where it ends when a state cannot be stored. */
import { describe, expect, test } from "vitest";
import { processBatch } from "../../../shared/batch/process-batch.ts";
import { StateCache } from "../../../shared/batch/state-cache.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import type { StateItem } from "../../../shared/state/state-item.ts";
import { settled } from "../../support/every-call.ts";
import { liveLogs } from "../../support/oracle.ts";
import {
  at,
  type DeliverOptions,
  type LogState,
  logFunction,
  ManualClock,
  START_MS,
  TestWorld,
} from "../../support/test-world.ts";

const PLACE = { function: "log", generation: 1 };

/** Delivers records 2 to `to` of s, and does `meanwhile` once their first state is about to be written. */
async function raced(world: TestWorld, to: number, meanwhile: () => Promise<unknown>, options: DeliverOptions = {}) {
  const process = world.start();
  const gate = process.pauseAt(({ step }) => step === "state.write a");
  const delivery = world.deliver("s", 2, to, { ...options, process });
  await gate.reached;
  await meanwhile();
  gate.release();
  return delivery;
}

/** Record 1 of s is folded; split t has one for the same key. */
async function begun(letters: string): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", letters);
  world.split("t", "a");
  await world.deliver("s", 1, 1);
  return world;
}

/** The log, but for what `states` gives instead for an event, by what the key holds before it. */
const logOr = (state: (id: string, log: readonly string[]) => unknown) => {
  const usual = logFunction("log");
  return defineFunction({
    ...usual,
    handle: (before: LogState, event, context) =>
      (state(event.id, before.log) ?? usual.handle(before, event, context)) as LogState,
  });
};

const UNFIT = { log: [Number.NaN] };

describe("a key that another writer was faster with", () => {
  test("is folded again over what that one wrote, and counted", async () => {
    const world = await begun("aa");
    await raced(world, 2, () => world.deliver("t", 1, 1));
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "t1", "s2"]);
    expect(world.ofType("batch").map(({ conflicts }) => conflicts)).toEqual([0, 0, 1]);
  });

  test("is folded again over nothing where its item is gone", async () => {
    const world = await begun("aa");
    const { v } = (await world.stores.state.load(PLACE, ["a"])).get("a") as StateItem;
    await raced(world, 2, () => world.stores.state.remove(PLACE, "a", v));
    expect((await liveLogs(world)).get("a")).toEqual(["s2"]);
  });

  test("fails the record whose state cannot be stored over what that one wrote", async () => {
    const world = await begun("aaa");
    const definition = logOr((id, log) => (id === "s3" && log.includes("t1") ? UNFIT : undefined));
    const result = await raced(world, 3, () => world.deliver("t", 1, 1), { definition });
    expect(result).toMatchObject({ failedFrom: { position: at(3) }, error: { kind: "fix-function" } });
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "t1", "s2"]);
  });

  test("is left to the next delivery where the time is up, and named", async () => {
    const world = await begun("aa");
    const late = raced(world, 2, () => world.deliver("t", 1, 1), { deadlineMs: START_MS });
    await expect(late).rejects.toMatchObject({ kind: "retry", message: expect.stringContaining('key "a" of log') });
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "t1"]);
  });

  test("is waited for longer from try to try, a second at the most", async () => {
    const world = await begun("aa");
    class Contended extends HeapStateBackend {
      override write(): boolean {
        return false;
      }
    }
    const clock = new ManualClock();
    const resources = {
      ...world.engine().resources,
      ...{ state: new Contended(), clock },
      randomness: { fraction: () => 1, token: () => "t" },
    };
    const batch = processBatch(
      { ...world.engine(), resources },
      {
        split: "s",
        records: world.source.records("s", 2, 2),
        role: { phase: "RUNNING" },
        deadlineMs: START_MS + 2_500,
      },
    );
    await expect(batch).rejects.toThrow("kept changing");
    expect(clock.slept).toEqual([10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
  });
});

describe("a write that was applied, and whose repeat is answered", () => {
  test("is known for the batch's own: nothing is folded twice, and the copy is kept", async () => {
    const world = new TestWorld({ mode: "at-least-once" });
    world.split("s", "aaa");
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { cache });
    const process = world.start(({ step }) => (step === "state.write a" ? "sent twice" : undefined));
    await world.deliver("s", 2, 2, { cache, process });
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "s2"]);
    const next = world.start();
    await world.deliver("s", 3, 3, { cache, process: next });
    expect(next.log).not.toContain("state.load a");
    const without = await begun("aa");
    await without.deliver("s", 2, 2, { process: without.start(process.plan) });
    expect((await liveLogs(without)).get("a")).toEqual(["s1", "s2"]);
  });
});

describe("a store that fails", () => {
  test("ends the batch before keys that were not begun, and without an End", async () => {
    const world = new TestWorld();
    const letters = "abcdefghijklmnopqrstuvwxyz";
    world.split("s", letters);
    const process = world.start(({ step }) => (step === "state.write a" ? "refused" : undefined));
    await expect(world.deliver("s", 1, letters.length, { process })).rejects.toThrow("throttled: state.write a");
    expect(process.log.filter((step) => step.startsWith("state.write")).length).toBeLessThan(letters.length);
    expect(process.log).not.toContain("end s");
  });

  test("fails the batch also where it throws at once, and its copy is forgotten", async () => {
    const world = await begun("aa");
    const cache = new StateCache();
    const engine = world.engine({ cache });
    class Broken extends HeapStateBackend {
      override write(): boolean {
        throw new Error("no disk");
      }
    }
    const batch = processBatch(
      { ...engine, resources: { ...engine.resources, state: new Broken() } },
      {
        split: "s",
        records: world.source.records("s", 2, 2),
        role: { phase: "RUNNING" },
        deadlineMs: Number.POSITIVE_INFINITY,
      },
    );
    await expect(batch).rejects.toThrow("no disk");
    expect((await world.itemOf("s"))?.position).toBe(at(1));
  });
});

describe("states that cannot be stored", () => {
  // In the order of their keys' first records, the states that fail come early and late.
  test.each([
    ["abaab", ["s3", "s4"], 3],
    ["abaab", ["s3", "s5"], 3],
    ["aabab", ["s2", "s5"], 2],
  ] as const)(
    "of several keys (%s) fail the first of their records, and nothing from there on is written",
    async (letters, unfit, first) => {
      const world = await begun(letters);
      const definition = logOr((id) => (unfit.some((one) => one === id) ? UNFIT : undefined));
      // Whatever comes next, it dies there: the second batch would give the record up.
      let begins = 0;
      const dying = world.start(({ step }) => (step === "begin s" && ++begins === 2 ? "dies before" : undefined));
      await settled(world.deliver("s", 2, 5, { definition, process: dying }));
      expect(await world.itemOf("s")).toMatchObject({
        ...{ position: at(first - 1), failing: { position: at(first), tries: 1, final: true } },
      });
      const logs = Object.values(Object.fromEntries(await liveLogs(world))).flat();
      expect(logs.sort()).toEqual(["s1", "s2"].slice(0, first - 1));
    },
  );
});
