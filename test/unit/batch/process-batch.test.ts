/** What a batch tells, what it reads and writes, and what it ends with; the protocol's rules are held by `test/protocol`. */
import { describe, expect, test } from "vitest";
import { processBatch } from "../../../shared/batch/process-batch.ts";
import { StateCache } from "../../../shared/batch/state-cache.ts";
import { begin } from "../../../shared/control/begin.ts";
import { askForBarrier, passBarrier } from "../../../shared/control/split-steps.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";
import type { EventContext } from "../../../shared/function/function-definition.ts";
import { settled } from "../../support/every-call.ts";
import type { Call, FaultyProcess } from "../../support/faulty-stores.ts";
import { at, type DeliverOptions, HOUR_MS, logFunction, START_MS, TestWorld } from "../../support/test-world.ts";

const PLACE = { function: "log", split: "s" };

/** Its handler may do anything besides. */
function logBut(act: (id: string, context: EventContext) => void) {
  const usual = logFunction("log");
  return defineFunction({
    ...usual,
    handle: (state: { readonly log: readonly string[] }, event, context) => {
      act(event.id, context);
      return usual.handle(state, event, context);
    },
  });
}

function worldOf(letters: string, options: ConstructorParameters<typeof TestWorld>[0] = {}): TestWorld {
  const world = new TestWorld(options);
  world.split("s", letters);
  return world;
}

/** The calls of one delivery, by the protocol's names. */
async function stepsOf(world: TestWorld, from: number, to: number, options: DeliverOptions = {}): Promise<string[]> {
  const process = world.start();
  await world.deliver("s", from, to, { ...options, process });
  return process.log;
}

describe("a batch tells", () => {
  test("what it did, and how long it took from Begin to End", async () => {
    const world = worldOf("aab!");
    await world.deliver("s", 1, 1);
    world.events.length = 0;
    const definition = logBut(() => {
      world.clock.ms += 5;
    });
    await world.deliver("s", 1, 3, { definition, cache: new StateCache() });
    expect(world.events).toEqual([
      {
        ...{ type: "batch", ...PLACE, epoch: 0, generation: 1, replay: false },
        ...{ records: 3, folded: 2, keys: 2, cacheHits: 0, conflicts: 0, milliseconds: 10 },
      },
    ]);
  });

  test("the record that failed, and returns what it failed with", async () => {
    const world = worldOf("aba");
    await world.deliver("s", 1, 1);
    world.behaviour = { poison: ["s2", "s3"] };
    const result = await world.deliver("s", 2, 3);
    expect(result).toMatchObject({ failedFrom: { position: at(2) }, position: at(1), folded: 0 });
    expect(result.error).toMatchObject({ kind: "fix-function", message: "Error: cannot fold s2" });
    expect(world.ofType("record-failed")).toEqual([
      {
        ...{ type: "record-failed", ...PLACE, generation: 1, epoch: 0 },
        ...{ position: at(2), tries: 1, error: "Error: cannot fold s2" },
      },
    ]);
  });

  test("an error of the library's own kinds as it was thrown", async () => {
    const world = worldOf("a");
    const thrown = new TidemarkError("fix-event", "no such airport");
    const definition = logBut(() => {
      throw thrown;
    });
    expect((await world.deliver("s", 1, 1, { definition })).error).toBe(thrown);
  });

  test("nothing of a failure where it stopped at its deadline", async () => {
    const world = worldOf("abababab".repeat(10));
    const definition = logBut(() => {
      world.clock.ms += 1;
    });
    const result = await world.deliver("s", 1, 80, { definition, deadlineMs: START_MS });
    expect(result).toMatchObject({ failedFrom: { position: at(65) }, position: at(64), folded: 64 });
    expect(result).not.toHaveProperty("error");
    expect(world.ofType("record-failed")).toEqual([]);
  });

  test("that it has no records at all", async () => {
    const world = worldOf("a");
    const empty = { split: "s", records: [], role: { phase: "RUNNING" }, deadlineMs: HOUR_MS } as const;
    await expect(processBatch(world.engine(), empty)).rejects.toThrow("a batch has at least one record");
  });
});

describe("the handler is told", () => {
  test("where the event is from, when it arrived, and whether it is replayed", async () => {
    const world = worldOf("ab");
    const told: EventContext[] = [];
    const definition = logBut((_, context) => void told.push(context));
    await world.deliver("s", 1, 1, { definition });
    await world.checkpoint();
    await world.deliver("s", 2, 2, { definition });
    await world.request();
    const { gen } = await world.control();
    const engine = world.engine({ definition });
    await world.carryOn({
      replay: async ({ split, generation }) => {
        const records = world.source.records("s", 2, 2).map(({ arrivalTimeMs: _, ...record }) => record);
        const role = { phase: "REPLAYING", generation } as const;
        const { position } = await processBatch(engine, { split, records, role, deadlineMs: Number.POSITIVE_INFINITY });
        return { position, done: true };
      },
    });
    expect(gen).toBe(1);
    expect(told).toStrictEqual([
      { key: "a", split: "s", position: at(1), arrivalTimeMs: 1, replay: false },
      { key: "b", split: "s", position: at(2), arrivalTimeMs: 2, replay: false },
      { key: "b", split: "s", position: at(2), replay: true },
    ]);
    expect(world.ofType("batch").map(({ replay }) => replay)).toEqual([false, false, true]);
  });

  test("the first place of an event that is redriven, which no retention of the source makes expire", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.source.retention = HOUR_MS;
    const told: EventContext[] = [];
    for (const split of ["s", "t"]) {
      world.split(split, "a", { arrivalTimeMs: () => world.clock.ms });
      world.behaviour = { poison: [`${split}1`] };
      await world.deliverUntilDone(split, 1, 1);
      await world.redriveLetters("log", (of) => of === split);
      await world.deliverRedriven({ definition: logBut((_, context) => void told.push(context)) });
      world.clock.ms += 10 * HOUR_MS;
    }
    expect(told).toMatchObject([
      { key: "a", split: "s", position: at(1), replay: false },
      { key: "a", split: "t", position: at(1), replay: false },
    ]);
    expect((await world.itemOf("redrive"))?.holes).toEqual([]);
  });

  test("nothing of what arrived before its own function's start", async () => {
    const world = new TestWorld({ functions: ["other", "log"] });
    world.split("s", "aa");
    world.describe("other", { startTimeMs: 100 });
    world.describe("log", { startTimeMs: 2 });
    await world.deliver("s", 1, 2, { function: "log" });
    expect(world.ofType("batch")).toMatchObject([{ records: 2, folded: 1 }]);
  });
});

describe("a worker that keeps copies", () => {
  test("reads only the keys that it has none of", async () => {
    const world = worldOf("abcab");
    const cache = new StateCache();
    expect(await stepsOf(world, 1, 2, { cache })).toContain("state.load a,b");
    world.events.length = 0;
    expect(await stepsOf(world, 3, 4, { cache })).toContain("state.load c");
    expect(await stepsOf(world, 5, 5, { cache })).not.toContainEqual(expect.stringContaining("state.load"));
    expect(world.ofType("batch")).toMatchObject([{ cacheHits: 1 }, { cacheHits: 1 }]);
    expect((await world.stores.state.load({ function: "log", generation: 1 }, ["a"])).get("a")).toMatchObject({
      state: { value: { log: ["s1", "s4"] } },
    });
  });

  test("keeps them for its next batch of the generation, and not for another's", async () => {
    const world = worldOf("aaa");
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { cache });
    await world.checkpoint();
    await world.restore();
    expect(await stepsOf(world, 2, 2, { cache })).toContain("state.load a");
  });

  test("reads a key afresh whose copy the handler throws at, and fails where it throws again", async () => {
    const world = worldOf("aab");
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { cache });
    world.behaviour = { poison: ["s2", "s3"] };
    const process = world.start();
    const result = await world.deliver("s", 2, 3, { cache, process });
    expect(process.log.filter((step) => step === "state.load a")).toHaveLength(1);
    expect(result).toMatchObject({ failedFrom: { position: at(2) }, folded: 0, error: { kind: "fix-function" } });
  });

  test("reads no key afresh that it has no copy of", async () => {
    const world = worldOf("aa");
    world.behaviour = { poison: ["s2"] };
    const process = world.start();
    await world.deliver("s", 1, 2, { cache: new StateCache(), process });
    expect(process.log.filter((step) => step.startsWith("state.load"))).toEqual(["state.load a"]);
  });
});

/** A batch of the one record 2, held at its barrier while `meanwhile` is done. */
async function atItsBarrier(meanwhile: (world: TestWorld) => Promise<unknown>): Promise<FaultyProcess> {
  const world = worldOf("aaa");
  await world.deliver("s", 1, 1);
  await askForBarrier(world.stores.control, PLACE, { generation: 1, n: 1 });
  const process = world.start();
  const gate = process.pauseAt(({ step }) => step === "barrier s");
  const delivered = settled(world.deliver("s", 2, 2, { process }));
  await gate.reached;
  await meanwhile(world);
  gate.release();
  await delivered;
  return process;
}

const writesOf = ({ log }: FaultyProcess): string[] => log.filter((step) => /^(state\.write|end)/.test(step));

describe("a barrier", () => {
  test("is passed once, by the first clean batch after it was asked for", async () => {
    const world = worldOf("aaa");
    await world.deliver("s", 1, 1);
    await askForBarrier(world.stores.control, PLACE, { generation: 1, n: 1 });
    expect(await stepsOf(world, 2, 2)).toContain("barrier s");
    expect(await stepsOf(world, 3, 3)).not.toContain("barrier s");
    expect(world.ofType("barrier")).toEqual([{ type: "barrier", ...PLACE, checkpoint: 1, position: at(1) }]);
  });

  test("whose answer was lost and that was sent again is the batch's own, and told by nobody", async () => {
    const world = worldOf("aa");
    await world.deliver("s", 1, 1);
    await askForBarrier(world.stores.control, PLACE, { generation: 1, n: 1 });
    const process = world.start(({ step }) => (step === "barrier s" ? "sent twice" : undefined));
    expect(await world.deliver("s", 2, 2, { process })).toMatchObject({ position: at(2), folded: 1 });
    expect(await world.itemOf("s")).toMatchObject({ epoch: 1, barriers: { 1: at(1) } });
    expect(world.ofType("batch").at(-1)).toMatchObject({ epoch: 1 });
    expect(world.ofType("barrier")).toEqual([]);
  });

  test("at which a later batch has taken the split ends the batch, and nothing is written", async () => {
    for (const alsoPasses of [false, true]) {
      const process = await atItsBarrier(async ({ stores, clock }) => {
        const begun = await begin(stores.control, {
          ...{ place: PLACE, first: at(2), last: at(2), role: { phase: "RUNNING" }, nowMs: clock.ms },
          birth: { mode: "exactly-once" },
        });
        if (!alsoPasses || begun.outcome !== "begun") return;
        await passBarrier(stores.control, PLACE, { attempt: begun.attempt, generation: 1, n: 1 });
      });
      expect(process.log.at(-1)).toMatch(/^control\.get/);
      expect(writesOf(process)).toEqual([]);
    }
  });
});

describe("the mark of a record by itself", () => {
  const marks = (steps: readonly string[]) => steps.filter((step) => /^(enter|leave) s$/.test(step));
  const dies = ({ step }: Call) => (step === "end s" ? ("dies before" as const) : undefined);

  test("is written only after an invocation died, and of one record", async () => {
    const world = worldOf("aaaa");
    expect(marks(await stepsOf(world, 1, 1))).toEqual([]);
    await settled(world.deliver("s", 2, 4, { process: world.start(dies) }));
    // Of three records, the half: one.
    expect(marks(await stepsOf(world, 2, 4))).toEqual(["enter s", "leave s", "enter s", "leave s"]);
    await settled(world.deliver("s", 3, 4, { process: world.start(dies) }));
    world.split("s", "aaaa");
    expect(marks(await stepsOf(world, 3, 8))).toEqual([]);
  });

  test("is not written around the handler where the record is no event, nor at all once it is given up", async () => {
    const world = worldOf("a!", { triesMax: 1 });
    await world.deliver("s", 1, 1);
    await settled(world.deliver("s", 2, 2, { process: world.start(dies) }));
    expect(marks(await stepsOf(world, 2, 2))).toEqual(["enter s", "leave s"]);

    const killed = worldOf("a", { triesMax: 1 });
    killed.behaviour = { killers: ["s1"] };
    for (let i = 0; i < 2; i += 1) await settled(killed.deliver("s", 1, 1, { process: killed.start() }));
    expect(marks(await stepsOf(killed, 1, 1))).toEqual([]);
    expect(await killed.itemOf("s")).toMatchObject({ position: at(1), holes: [{ cause: "dead-letter" }] });
  });

  /** Record 1 killed the process twice, the second time by itself: one try is counted. */
  async function killedTwice(): Promise<TestWorld> {
    const world = worldOf("a", { triesMax: 9 });
    world.behaviour = { killers: ["s1"] };
    for (let i = 0; i < 2; i += 1) await settled(world.deliver("s", 1, 1, { process: world.start() }));
    world.behaviour = {};
    return world;
  }
  const failing = async (world: TestWorld) => (await world.itemOf("s"))?.failing;
  const ONE_TRY = { position: at(1), tries: 0, error: "", sinceMs: START_MS, in2: true };

  test("takes the tries with it where the handler took the record, and leaves them where it threw", async () => {
    const world = await killedTwice();
    expect(await failing(world)).toEqual(ONE_TRY);
    world.behaviour = { poison: ["s1"] };
    await settled(world.deliver("s", 1, 1, { process: world.start(dies) }));
    expect(await failing(world)).toEqual(ONE_TRY);
    world.behaviour = {};
    await settled(world.deliver("s", 1, 1, { process: world.start(dies) }));
    expect(await failing(world)).toEqual({ position: at(1), tries: 0, error: "" });
  });

  test("leaves the tries where what failed was no fault of the record", async () => {
    const world = await killedTwice();
    // The state that it stands on was written by a newer version: the code has to be replaced.
    const newer = { key: "a", generation: 1, v: "v", epoch: 0, applied: {}, state: { value: null, version: 9 } };
    await world.stores.state.write("log", newer, undefined);
    await expect(world.deliver("s", 1, 1)).rejects.toThrow("version 9");
    expect(await failing(world)).toEqual(ONE_TRY);
  });
});

describe("a key", () => {
  const HIDDEN = { nameKey: () => "#hidden" };

  async function refusalOf(change: Partial<ReturnType<typeof logFunction>>, resources: object): Promise<string> {
    const world = worldOf("a");
    const engine = world.engine({ definition: defineFunction({ ...logFunction("log"), ...change }) });
    await processBatch(
      { ...engine, resources: { ...engine.resources, ...resources } },
      { split: "s", records: world.source.records("s", 1, 1), role: { phase: "RUNNING" }, deadlineMs: START_MS * 2 },
    );
    return world.ofType("dead-letter")[0]?.error ?? "";
  }

  test("is named in an error as the app names keys", async () => {
    const handle = (): never => undefined as never;
    expect(await refusalOf({ handle }, HIDDEN)).toContain("#hidden");
    expect(await refusalOf({ handle }, {})).toContain('"a"');
  });

  test("that cannot be one is named so too", async () => {
    const key = () => "k".repeat(2_049);
    expect(await refusalOf({ key }, {})).toContain("kkk");
    expect(await refusalOf({ key }, HIDDEN)).toContain("#hidden");
  });
});
