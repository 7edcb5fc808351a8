/** Records that the user's code cannot fold: it throws at them, or dies of them; and what is none of their fault. */
import { describe, expect, it, test } from "vitest";
import { StateCache } from "../../shared/batch/state-cache.ts";
import { path, value } from "../../shared/control/conditional-write.ts";
import { splitKey } from "../../shared/control/item-keys.ts";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { defineFunction } from "../../shared/function/define-function.ts";
import { settled } from "../support/every-call.ts";
import type { Call } from "../support/faulty-stores.ts";
import {
  checkpointLogs,
  expectAllResolved,
  expectExactlyOnce,
  expectPromise,
  liveLogs,
  readManifestOf,
} from "../support/oracle.ts";
import { HOUR_MS, logFunction, MINUTE_MS, TestWorld } from "../support/test-world.ts";

const deadLetterAt = (position: string) => ({ cause: "dead-letter", from: position, to: position, records: 1 });

async function letters(world: TestWorld): Promise<{ position: string; cause: string; tries: number; error: string }[]> {
  const found = [];
  for await (const letter of listDeadLetters(world.stores.storage)) found.push(letter);
  return found;
}

describe("a poison record while a checkpoint waits", () => {
  it("is reported by its position, with all before it committed", async () => {
    const world = new TestWorld();
    world.split("s", "abac");
    world.behaviour = { poison: ["s3", "s4"] };
    await world.deliver("s", 1, 2);
    const result = await world.deliver("s", 3, 4);
    expect(result.failedFrom?.position).toBe("000003");
    expect(result.error).toMatchObject({ kind: "fix-function", message: "Error: cannot fold s3" });
    expect(await world.itemOf("s")).toMatchObject({ position: "000002", failing: { position: "000003", tries: 1 } });
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1"], b: ["s2"] });
  });

  it("never blocks the barrier: attemptedTo comes down to what was tried", async () => {
    const world = new TestWorld();
    world.split("s", "abac");
    world.behaviour = { poison: ["s3", "s4"] };
    await world.deliver("s", 1, 2);
    await world.deliver("s", 3, 4);
    expect((await world.itemOf("s"))?.attemptedTo).toBe("000002");
    const n = await world.checkpoint();
    const { functions } = await readManifestOf(world, n);
    expect(functions[0]?.splits).toMatchObject([{ split: "s", position: "000002", holes: [] }]);
    await expectPromise(world);
  });

  it("keeps what a failed batch may have written above the position, even when a second fold found it", async () => {
    const world = new TestWorld();
    world.split("s", "abc");
    world.split("t", "a");
    await world.deliver("s", 1, 1);
    // b (s2) is written with c (s3); then a rival's write of a makes s1's key fold again, and that fold throws.
    world.split("s", "ab");
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.write a");
    let folds = 0;
    const definition = logFunction("log", (id) => {
      if (id === "s4" && ++folds === 2) throw new Error("cannot fold s4 on that state");
    });
    const running = world.deliver("s", 2, 5, { process: slow, definition });
    await gate.reached;
    await world.deliver("t", 1, 1);
    gate.release();
    const result = await running;
    expect(result.failedFrom?.position).toBe("000004");
    // s5 was written with b: the split is not clean until the batch is through.
    expect(await world.itemOf("s")).toMatchObject({ position: "000003", attemptedTo: "000005" });
    await world.deliverUntilDone("s", 4, 5);
    await expectPromise(world);
  });

  it("becomes a dead letter after its tries, and a hole in the same End that passes it", async () => {
    const world = new TestWorld({ triesMax: 3 });
    world.split("s", "abacb");
    world.behaviour = { poison: ["s3"] };
    await world.deliver("s", 1, 2);
    for (let tries = 1; tries < 3; tries += 1) {
      expect((await world.deliver("s", 3, 3)).failedFrom?.position).toBe("000003");
      expect((await world.itemOf("s"))?.failing).toMatchObject({ position: "000003", tries });
    }
    expect((await world.deliver("s", 3, 5)).failedFrom).toBeUndefined();
    expect(await world.itemOf("s")).toMatchObject({ position: "000005", holes: [deadLetterAt("000003")] });
    expect((await world.itemOf("s"))?.failing).toBeUndefined();
    expect(await letters(world)).toMatchObject([
      { position: "000003", cause: "failed", tries: 3, error: "Error: cannot fold s3" },
    ]);
    expect(world.ofType("dead-letter")).toHaveLength(1);
    const n = await world.checkpoint();
    expect((await readManifestOf(world, n)).functions[0]?.splits[0]?.holes).toEqual([deadLetterAt("000003")]);
    await expectPromise(world);
  });

  it("is a hole of the cut that comes after it, and of no cut before", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "ab!!ac");
    world.behaviour = { poison: ["s5"] };
    await world.deliverUntilDone("s", 1, 3);
    const first = await world.checkpoint();
    await world.deliverUntilDone("s", 4, 6);
    const second = await world.checkpoint();
    const holesOf = async (n: number) => (await readManifestOf(world, n)).functions[0]?.splits[0]?.holes;
    expect(await holesOf(first)).toEqual([deadLetterAt("000003")]);
    expect(await holesOf(second)).toEqual([{ cause: "dead-letter", from: "000003", to: "000005", records: 3 }]);
    await world.restore({ checkpoint: first });
    world.behaviour = {};
    await world.drain();
    await expectPromise(world);
  });

  it("is cut exactly where a later dead letter has widened its hole before the coordinator came to read it", async () => {
    const world = new TestWorld();
    world.split("s", "ab!!c");
    await world.deliver("s", 1, 3);
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.scan ");
    const late = world.start();
    const lateGate = late.pauseAt((call) => call.step === "control.list SPLIT#log");
    const running = world.coordinate({ request: {}, process: slow });
    await gate.reached;
    // Another coordinator reads the cut only after the hole of s3 has become that of s3 and s4.
    const carriedOn = world.coordinate({ process: late });
    await lateGate.reached;
    await world.deliver("s", 4, 5);
    lateGate.release();
    await carriedOn;
    gate.release();
    await running;
    const holes = (await readManifestOf(world, 1)).functions[0]?.splits[0]?.holes;
    expect(holes).toEqual([{ cause: "dead-letter", from: "000003", to: "000003" }]);
    await expectPromise(world);
  });

  it("that was skipped before a later record of its key was written: after a crash its hole is noted all the same", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "aaa");
    world.behaviour = { poison: ["s2"] };
    await world.deliver("s", 1, 3);
    const dying = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
    await settled(world.deliver("s", 2, 3, { process: dying }));
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "s3"]);
    await world.deliverUntilDone("s", 2, 3);
    expect(await world.itemOf("s")).toMatchObject({ position: "000003", holes: [deadLetterAt("000002")] });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("of two that fail in one batch, the first one is reported and nothing between them is lost", async () => {
    const world = new TestWorld();
    world.split("s", "abaaaaaaaaaaaacc");
    // Both keys come out as what is no JSON: b at s2; a at s14, found later, since more folds are looked through.
    const definition = defineFunction({
      name: "log",
      event: logFunction("log").event,
      key: (event) => event.key,
      state: { initial: () => ({ log: [] as (string | number)[] }) },
      handle: (state, { id }) => ({ log: [...state.log, id === "s2" || id === "s14" ? Number.NaN : id] }),
    });
    const dying = world.start(nthEnd(2, "dies before"));
    await settled(world.deliver("s", 1, 16, { definition, process: dying }));
    expect(await world.itemOf("s")).toMatchObject({
      ...{ position: "000001", failing: { position: "000002", tries: 1, final: true } },
    });
    expect((await world.itemOf("s"))?.failing?.error).toContain("state.log[0] is NaN");
    await world.deliverUntilDone("s", 2, 16, { definition });
    const holes = [deadLetterAt("000002"), deadLetterAt("000014")];
    expect(await world.itemOf("s")).toMatchObject({ position: "000016", holes });
    await expectAllResolved(world);
    await expectPromise(world);
  });

  it("costs no try where only a worker's own copy of the state was out of date", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "aa");
    world.split("t", "a");
    const definition = defineFunction({
      name: "log",
      event: logFunction("log").event,
      key: (event) => event.key,
      state: { initial: () => ({ log: [] as string[] }) },
      handle: (state, { id }) => {
        if (id === "s2" && !state.log.includes("t1")) throw new Error("s2 comes after t1");
        return { log: [...state.log, id] };
      },
    });
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { definition, cache });
    await world.deliver("t", 1, 1, { definition });
    await world.deliver("s", 2, 2, { definition, cache });
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "t1", "s2"]);
    expect(world.ofType("record-failed")).toEqual([]);
  });
});

describe("a state that cannot be kept", () => {
  /** s2 makes one of a state that has, or has not, what t1 folded. */
  const spoiling = (where: "with t1" | "without t1") =>
    defineFunction({
      name: "log",
      event: logFunction("log").event,
      key: (event) => event.key,
      state: { initial: () => ({ log: [] as (string | number)[] }) },
      handle: (state, { id }) => {
        const spoils = id === "s2" && state.log.includes("t1") === (where === "with t1");
        return { log: [...state.log, spoils ? Number.NaN : id] };
      },
    });

  it("over a worker's own copy that is out of date is none, and costs no try", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "aa");
    world.split("t", "a");
    const definition = spoiling("without t1");
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { definition, cache });
    await world.deliver("t", 1, 1, { definition });
    expect((await world.deliver("s", 2, 2, { definition, cache })).failedFrom).toBeUndefined();
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "t1", "s2"]);
    expect(await letters(world)).toEqual([]);
  });

  it("after a conflict is a try like any other: the other writer may not be done", async () => {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "aa");
    world.split("t", "a");
    const definition = spoiling("with t1");
    await world.deliver("s", 1, 1, { definition });
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.write a");
    const running = world.deliver("s", 2, 2, { definition, process: slow });
    await gate.reached;
    await world.deliver("t", 1, 1, { definition });
    gate.release();
    expect((await running).failedFrom?.position).toBe("000002");
    const failing = (await world.itemOf("s"))?.failing;
    expect(failing).toMatchObject({ position: "000002", tries: 1 });
    expect(failing).not.toHaveProperty("final");
    // Over what is stored it is given up at once.
    expect((await world.deliver("s", 2, 2, { definition })).failedFrom).toBeUndefined();
    expect(await letters(world)).toMatchObject([{ position: "000002", cause: "failed", tries: 2 }]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("is said of the record that made it so, once, whatever dies in between", async () => {
    const world = new TestWorld();
    world.split("s", "aaaa");
    const definition = spoiling("without t1");
    for (const nth of [1, 2]) {
      await settled(world.deliver("s", 1, 4, { definition, process: world.start(nthEnd(nth, "dies before")) }));
    }
    await world.deliverUntilDone("s", 1, 4, { definition });
    expect(world.ofType("dead-letter")).toMatchObject([{ position: "000002", cause: "failed" }]);
    await world.checkpoint();
    await expectPromise(world);
  });
});

describe("a record that fails while others are taken", () => {
  it("is tried as often as it may be within the delivery that met it, and behind it everything goes on", async () => {
    const world = new TestWorld({ triesMax: 4 });
    world.split("s", "abcabc");
    let folds = 0;
    const definition = logFunction("log", (id) => {
      if (id !== "s3") return;
      folds += 1;
      throw new Error("cannot fold s3");
    });
    expect((await world.deliver("s", 1, 6, { definition })).failedFrom).toBeUndefined();
    expect(folds).toBe(4);
    expect(await letters(world)).toMatchObject([{ position: "000003", tries: 4 }]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("and is taken at a later try is folded once, and nothing is said of it", async () => {
    const world = new TestWorld({ triesMax: 4 });
    world.split("s", "abcabc");
    let folds = 0;
    const definition = logFunction("log", (id) => {
      if (id === "s3" && ++folds < 3) throw new Error("not yet");
    });
    expect(await world.deliver("s", 1, 6, { definition })).toMatchObject({ failedFrom: undefined, folded: 6 });
    expect(world.ofType("record-failed")).toEqual([]);
    await expectExactlyOnce(world);
  });

  it("is not tried at once where nothing else is taken any more: a pause may help then", async () => {
    const world = new TestWorld({ triesMax: 4 });
    world.split("s", "abcabc");
    let down = false;
    const definition = logFunction("log", (id) => {
      if (id === "s3") down = true;
      if (down) throw new Error("the service is down");
    });
    expect((await world.deliver("s", 1, 6, { definition })).failedFrom?.position).toBe("000003");
    expect((await world.itemOf("s"))?.failing).toMatchObject({ position: "000003", tries: 1 });
    expect((await world.deliver("s", 3, 6, { definition })).failedFrom?.position).toBe("000003");
    expect((await world.itemOf("s"))?.failing).toMatchObject({ tries: 2 });
    await world.deliver("s", 3, 6);
    await expectExactlyOnce(world);
  });

  it("is tried at once by its key selector and its schema as well", async () => {
    for (const broken of ["key", "schema"] as const) {
      const world = new TestWorld({ triesMax: 4 });
      world.split("s", "abc");
      const usual = logFunction("log");
      let asked = 0;
      const refuse = (id: string): void => {
        if (id !== "s2") return;
        asked += 1;
        throw new Error(`the ${broken} of s2`);
      };
      const definition =
        broken === "key"
          ? {
              ...usual,
              key: (event: { id: string; key: string }) => {
                refuse(event.id);
                return event.key;
              },
            }
          : withSchema((value) => {
              refuse(value.id);
              return { value };
            });
      expect((await world.deliver("s", 1, 3, { definition })).failedFrom).toBeUndefined();
      expect(asked).toBe(4);
      expect(await letters(world)).toMatchObject([{ position: "000002", cause: "failed", tries: 4 }]);
    }
  });

  it("stops being tried at the invocation's deadline, and is given up by the next one", async () => {
    const world = new TestWorld({ triesMax: 100 });
    world.split("s", "aba");
    const definition = logFunction("log", (id) => {
      world.clock.ms += 10;
      if (id === "s3") throw new Error("slow and bad");
    });
    const result = await world.deliver("s", 1, 3, { definition, deadlineMs: world.clock.ms + 100 });
    expect(result.failedFrom?.position).toBe("000003");
    expect((await world.itemOf("s"))?.failing?.tries).toBeLessThan(12);
  });
});

/** An invocation that meets `fault` at its nth End. */
function nthEnd(nth: number, fault: "dies before"): (call: Call) => "dies before" | undefined {
  let seen = 0;
  return ({ step }) => (step === "end s" && ++seen === nth ? fault : undefined);
}

/** The nth time that an invocation says that it hands a record to the user's code, or that it is through with it. */
function markNumber(nth: number): (call: Call) => boolean {
  let seen = 0;
  return ({ step }) => /^(enter|leave) s$/.test(step) && ++seen === nth;
}

describe("a record that kills the process", () => {
  it("is found by halving, becomes a dead letter after its tries, and loses nothing beside it", async () => {
    const world = new TestWorld({ triesMax: 3 });
    world.split("s", "abcabcab");
    world.behaviour = { killers: ["s5"] };
    await world.deliverUntilDone("s", 1, 8);
    expect(await world.itemOf("s")).toMatchObject({ position: "000008", holes: [deadLetterAt("000005")] });
    expect(await letters(world)).toMatchObject([
      { position: "000005", cause: "failed", tries: 3, error: expect.stringContaining("process died") },
    ]);
    await expectAllResolved(world);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("in the key selector is found and given up in the same way", async () => {
    const world = new TestWorld({ triesMax: 3 });
    world.split("s", "abcabcab");
    world.behaviour = { keyKillers: ["s5"] };
    await world.deliverUntilDone("s", 1, 8);
    expect(await world.itemOf("s")).toMatchObject({ position: "000008", holes: [deadLetterAt("000005")] });
    expect(await letters(world)).toMatchObject([{ position: "000005", cause: "failed", tries: 3 }]);
    await expectAllResolved(world);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("lets the barrier pass once it is given up, with the hole before the cut", async () => {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "abcd");
    world.behaviour = { killers: ["s2"] };
    await settled(world.deliver("s", 1, 4, { process: world.start() }));
    world.clock.planned.push(() => world.deliverUntilDone("s", 1, 4));
    const n = await world.checkpoint();
    const split = (await readManifestOf(world, n)).functions[0]?.splits[0];
    expect(split).toMatchObject({ holes: [deadLetterAt("000002")] });
    expect((await checkpointLogs(world, n)).get("b")).toBeUndefined();
    await expectPromise(world);
  });

  it("and is met by invocations that overtake each other becomes a dead letter all the same, after its tries", async () => {
    const world = new TestWorld({ triesMax: 3 });
    world.split("s", "ab");
    world.behaviour = { killers: ["s1"] };
    await settled(world.deliver("s", 1, 1, { process: world.start() }));
    for (let i = 0; i < 3; i += 1) {
      // Overtaken in the key selector, and in `handle`, which would have killed it and does.
      const [first, second] = [world.start(), world.start()];
      const gates = [first.pauseAt(markNumber(2)), second.pauseAt(markNumber(2))];
      const running = [];
      for (const [index, process] of [first, second].entries()) {
        running.push(settled(world.deliver("s", 1, 1, { process })));
        await Promise.race([gates[index]?.reached, running.at(-1)]);
      }
      for (const gate of gates) gate.release();
      await Promise.all(running);
    }
    await world.deliverUntilDone("s", 1, 2);
    expect(await world.itemOf("s")).toMatchObject({ position: "000002", holes: [deadLetterAt("000001")] });
    expect(await letters(world)).toMatchObject([{ position: "000001", tries: 3 }]);
    await expectPromise(world);
  });

  it("and was tried by code that left one mark for all keeps the tries that it had", async () => {
    const world = new TestWorld({ triesMax: 3 });
    world.split("s", "ab");
    world.behaviour = { killers: ["s1"] };
    await settled(world.deliver("s", 1, 1, { process: world.start() }));
    await world.stores.control.update(splitKey("log", "s"), {
      conditions: [],
      set: [[path("failing"), value({ position: "000001", tries: 2, entered: true, error: "It died." })]],
    });
    await settled(world.deliver("s", 1, 1, { process: world.start() }));
    expect((await world.deliver("s", 1, 1, { process: world.start() })).failedFrom).toBeUndefined();
    expect(await letters(world)).toMatchObject([{ position: "000001", tries: 3 }]);
  });

  it("that no longer kills is folded, and no try is left of it", async () => {
    const world = new TestWorld({ triesMax: 3 });
    world.split("s", "ab");
    world.behaviour = { killers: ["s2"] };
    for (let i = 0; i < 4; i += 1) await settled(world.deliver("s", 1, 2, { process: world.start() }));
    world.behaviour = {};
    await world.deliverUntilDone("s", 1, 2);
    expect((await world.itemOf("s"))?.failing).toBeUndefined();
    expect(await letters(world)).toEqual([]);
    await expectAllResolved(world);
    await expectPromise(world);
  });
});

describe("a record that is given up for deaths", () => {
  /** Hands the record to handle, and is killed there. */
  async function dies(world: TestWorld): Promise<void> {
    let left = 0;
    const process = world.start((call) => (call.step === "leave s" && ++left === 2 ? "dies before" : undefined));
    await settled(world.deliver("s", 1, 1, { process }));
  }

  /** Delivers the record, and is held before a call. */
  async function held(world: TestWorld, isHere: (call: Call) => boolean) {
    const process = world.start();
    const gate = process.pauseAt(isHere);
    const running = settled(world.deliver("s", 1, 1, { process }));
    await gate.reached;
    return async (): Promise<void> => {
      gate.release();
      await running;
    };
  }

  const redriven = async (world: TestWorld): Promise<Record<string, readonly string[]>> => {
    await world.redriveLetters();
    await world.deliverRedriven();
    return Object.fromEntries(await liveLogs(world));
  };

  /** One died before its write, one in `handle`, and a third, who lives, is held as it comes out of it. */
  async function countedAsDead(): Promise<{ readonly world: TestWorld; readonly lives: () => Promise<void> }> {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "a");
    await settled(
      world.deliver("s", 1, 1, {
        process: world.start((call) => (call.step === "state.write a" ? "dies before" : undefined)),
      }),
    );
    await dies(world);
    let left = 0;
    const lives = await held(world, (call) => call.step === "leave s" && ++left === 2);
    return { world, lives };
  }

  it("is not written by one who was counted as dead and comes out after it was passed", async () => {
    const { world, lives } = await countedAsDead();
    await world.deliver("s", 1, 1);
    expect((await world.itemOf("s"))?.holes).toHaveLength(1);
    await lives();
    await expectPromise(world);
    expect(Object.fromEntries(await liveLogs(world))).toEqual({});
    expect(await redriven(world)).toEqual({ a: ["s1"] });
  });

  it("is not given up where one who was counted as dead has come out since, and had written it", async () => {
    const { world, lives } = await countedAsDead();
    const givesUp = await held(world, (call) => call.step === "end s");
    await lives();
    await givesUp();
    await world.deliverUntilDone("s", 1, 1);
    await expectPromise(world);
    expect((await world.itemOf("s"))?.holes).toEqual([]);
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1"] });
    expect(await redriven(world)).toEqual({ a: ["s1"] });
  });
});

describe("what is no fault of the record costs no try", () => {
  const dies = (step: string) => (call: Call) => (call.step === step ? "dies before" : undefined);

  it.each(["begin s", "state.load a", "state.write a", "end s"])(
    "an invocation that dies of its store, twenty times, at %s",
    async (step) => {
      const world = new TestWorld({ triesMax: 2 });
      world.split("s", "a");
      for (let i = 0; i < 20; i += 1) await settled(world.deliver("s", 1, 1, { process: world.start(dies(step)) }));
      await world.deliverUntilDone("s", 1, 1);
      expect(await letters(world)).toEqual([]);
      expect(await world.itemOf("s")).toMatchObject({ position: "000001", holes: [] });
      await expectExactlyOnce(world);
    },
  );

  it.each([
    ["the schema and the key selector", 1],
    ["`handle`", 2],
  ])(
    "an invocation that is overtaken while it is in %s, twenty times, with two mappings on the stream",
    async (_, nth) => {
      const world = new TestWorld({ triesMax: 2 });
      world.split("s", "a");
      await settled(world.deliver("s", 1, 1, { process: world.start(dies("end s")) }));
      for (let i = 0; i < 20; i += 1) {
        const overtaken = world.start();
        // The user's code is through, and its invocation has not said so yet.
        const gate = overtaken.pauseAt(markNumber(2 * nth));
        const running = settled(world.deliver("s", 1, 1, { process: overtaken }));
        await Promise.race([gate.reached, running]);
        await settled(world.deliver("s", 1, 1, { process: world.start(dies("state.load a")) }));
        gate.release();
        await running;
      }
      await world.deliverUntilDone("s", 1, 1);
      expect(await letters(world)).toEqual([]);
      expect(await world.itemOf("s")).toMatchObject({ position: "000001", holes: [] });
      await expectExactlyOnce(world);
    },
  );

  it("an invocation that is overtaken by one that died: only that one counts", async () => {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "a");
    await settled(world.deliver("s", 1, 1, { process: world.start(dies("end s")) }));
    const overtaken = world.start();
    const gate = overtaken.pauseAt(markNumber(2));
    const running = settled(world.deliver("s", 1, 1, { process: overtaken }));
    await gate.reached;
    const diesInside = markNumber(2);
    const dying = world.start((call) => (diesInside(call) ? "dies before" : undefined));
    await settled(world.deliver("s", 1, 1, { process: dying }));
    gate.release();
    await running;
    await world.deliverUntilDone("s", 1, 1);
    expect(await letters(world)).toEqual([]);
    await expectExactlyOnce(world);
  });

  it("a mark whose answer was lost: the invocation lives, and takes it back", async () => {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "a");
    await settled(world.deliver("s", 1, 1, { process: world.start(dies("end s")) }));
    for (let i = 0; i < 20; i += 1) {
      const process = world.start((call) => (call.step === "enter s" ? "answer lost" : undefined));
      await settled(world.deliver("s", 1, 1, { process }));
    }
    await world.deliverUntilDone("s", 1, 1);
    expect(await letters(world)).toEqual([]);
    await expectExactlyOnce(world);
  });

  it.each([
    ["everything", () => true],
    ["the state table", (call: Call) => call.store === "state"],
    ["writes of state", (call: Call) => call.step.startsWith("state.write")],
    ["Ends", (call: Call) => call.step.startsWith("end")],
    ["the storage of dead letters", (call: Call) => call.store === "storage"],
  ])("throttling of %s for an hour: nothing is dead-lettered, everything is applied afterwards", async (_, hit) => {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "abcab!ca");
    await world.deliver("s", 1, 2);
    const untilMs = world.clock.now() + HOUR_MS;
    const throttled = world.start((call) => (world.clock.now() < untilMs && hit(call) ? "refused" : undefined));
    for (; world.clock.now() < untilMs; world.clock.ms += MINUTE_MS) {
      await settled(world.deliver("s", 3, 8, { process: throttled }));
    }
    expect((await letters(world)).filter(({ cause }) => cause === "failed")).toEqual([]);
    await world.deliverUntilDone("s", 3, 8);
    expect(await letters(world)).toMatchObject([{ position: "000006", cause: "refused" }]);
    expect((await world.itemOf("s"))?.holes).toEqual([deadLetterAt("000006")]);
    await expectAllResolved(world);
    await world.checkpoint();
    await expectPromise(world);
  });
});

/** The recording function with another schema. */
function withSchema(validate: (value: { readonly id: string; readonly key?: string }) => object) {
  const event = { "~standard": { version: 1, vendor: "test", validate } } as never;
  return { ...logFunction("log"), event } as ReturnType<typeof logFunction>;
}

const refusesAll = withSchema(() => ({ issues: [{ message: "the deploy is broken" }] }));
const takesAll = withSchema((value) => ({ value: { ...value, key: value.key ?? "x" } }));

describe("too many failures in a row", () => {
  it("stop the split, say so, and lose nothing: it goes on with a version that takes the record", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 3, triesMax: 1 });
    world.split("s", "aaaaab");
    world.behaviour = { poison: ["s2", "s3", "s4", "s5"] };
    const result = await world.deliver("s", 1, 6);
    expect(result.failedFrom?.position).toBe("000005");
    expect(result.error).toMatchObject({
      kind: "fix-function",
      message: expect.stringContaining("3 records in a row"),
    });
    expect(world.ofType("split-stopped")).toMatchObject([{ position: "000005", deadLetters: 3 }]);
    for (let i = 0; i < 20; i += 1) expect((await world.deliver("s", 5, 6)).failedFrom?.position).toBe("000005");
    expect((await world.itemOf("s"))?.failing).toMatchObject({ position: "000005", tries: 0, stopped: true });
    expect(await letters(world)).toHaveLength(3);
    // The barrier passes meanwhile.
    await world.checkpoint();

    world.behaviour = {};
    expect((await world.deliver("s", 5, 6)).failedFrom).toBeUndefined();
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1", "s5"], b: ["s6"] });
    expect(await world.itemOf("s")).toMatchObject({ position: "000006", consecutiveDeadLetters: 0 });
  });

  it("are counted over batches, over what was refused between them, and afresh after a record that is folded", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 3, triesMax: 1 });
    world.split("s", "aaaa!a!ab!");
    world.behaviour = { poison: ["s1", "s2", "s4", "s6", "s8"] };
    const deliver = async (n: number) => (await world.deliver("s", n, n)).failedFrom?.position;
    for (const n of [1, 2]) expect(await deliver(n)).toBeUndefined();
    expect((await world.itemOf("s"))?.consecutiveDeadLetters).toBe(2);
    expect(await deliver(3)).toBeUndefined();
    expect((await world.itemOf("s"))?.consecutiveDeadLetters).toBe(0);
    for (const n of [4, 5, 6, 7]) expect(await deliver(n)).toBeUndefined();
    expect((await world.itemOf("s"))?.consecutiveDeadLetters).toBe(2);
    for (const n of [8, 9, 10]) expect(await deliver(n)).toBeUndefined();
    expect((await world.itemOf("s"))?.consecutiveDeadLetters).toBe(0);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("stop a function whose key is none of every record as well", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 2 });
    world.split("s", "aaaa");
    const definition = { ...logFunction("log"), key: () => undefined as unknown as string };
    expect((await world.deliver("s", 1, 4, { definition })).failedFrom?.position).toBe("000003");
    expect(await letters(world)).toHaveLength(2);
    expect((await world.deliver("s", 3, 4)).failedFrom).toBeUndefined();
  });

  it("stop a function that throws at everything as well, without using up its records", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 2, triesMax: 2 });
    world.split("s", "aaaaaaa");
    world.behaviour = { poison: ["s1", "s2", "s3", "s4", "s5", "s6", "s7"] };
    for (let i = 0; i < 50; i += 1) {
      const from = Number((await world.itemOf("s"))?.position || "0") + 1;
      await world.deliver("s", from, 7);
    }
    expect(await letters(world)).toHaveLength(2);
    world.behaviour = {};
    await world.drain();
    expect((await liveLogs(world)).get("a")).toEqual(["s3", "s4", "s5", "s6", "s7"]);
    await world.checkpoint();
    await expectPromise(world);
  });
});

describe("records that the schema refuses, or that nobody can read", () => {
  it("stop no split once the code has taken one of its records, however many there are in a row", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 3 });
    world.split("s", "a!!!!!!!!!!b!!!!!!!!!!c");
    await world.deliverUntilDone("s", 1, 5);
    await world.deliverUntilDone("s", 6, 23);
    expect(await letters(world)).toHaveLength(20);
    expect(await world.itemOf("s")).toMatchObject({ position: "000023", takenBy: ["v1"] });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("stop no split that cannot be decoded, whatever the code has taken", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 3 });
    world.split("s", "aaaaaaaaab");
    const records = world.source.records("s", 1, 10).map((record, index) => {
      return index < 9 ? { ...record, payload: "{not json" } : record;
    });
    expect((await world.deliverRecords("s", records)).failedFrom).toBeUndefined();
    expect(await letters(world)).toHaveLength(9);
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ b: ["s10"] });
  });

  it("stop a version that has taken none of the split yet, and no other version", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 3 });
    world.split("s", "aaaaaaab");
    await world.deliver("s", 1, 1);
    world.version = "v2";
    expect((await world.deliver("s", 2, 3, { definition: refusesAll })).failedFrom).toBeUndefined();
    expect(await world.itemOf("s")).toMatchObject({ takenBy: ["v1"], refusals: { by: "v2", records: 2 } });
    const stopped = await world.deliver("s", 4, 8, { definition: refusesAll });
    expect(stopped.failedFrom?.position).toBe("000005");
    expect(stopped.error?.message).toContain("refused 3 records and took none");
    for (let i = 0; i < 5; i += 1) {
      expect((await world.deliver("s", 5, 8, { definition: refusesAll })).failedFrom?.position).toBe("000005");
    }
    expect(world.ofType("split-stopped")[0]).toMatchObject({ position: "000005", deadLetters: 3 });
    expect(await letters(world)).toHaveLength(3);
    await world.checkpoint();

    world.version = "v3";
    expect((await world.deliver("s", 5, 8)).failedFrom).toBeUndefined();
    expect(await world.itemOf("s")).toMatchObject({ position: "000008", takenBy: ["v1", "v3"] });
    expect((await world.itemOf("s"))?.refusals).toBeUndefined();
    await world.checkpoint();
    await expectPromise(world);
  });

  it("stop no version that took a record before another one was deployed, and is deployed again", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 2 });
    world.split("s", "aa!!!!b");
    await world.deliver("s", 1, 1);
    world.version = "v2";
    await world.deliver("s", 2, 2);
    world.version = "v1";
    expect((await world.deliver("s", 3, 7)).failedFrom).toBeUndefined();
  });

  it("are counted afresh for each version: what an older one refused says nothing of it", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 3 });
    world.split("s", "!!!!b");
    await world.deliver("s", 1, 3);
    expect((await world.deliver("s", 4, 5)).failedFrom?.position).toBe("000004");
    world.version = "v2";
    expect((await world.deliver("s", 4, 5)).failedFrom).toBeUndefined();
    expect(await world.itemOf("s")).toMatchObject({ position: "000005", takenBy: ["v2"] });
  });

  it("of a stopped version are taken by the next, each in its place", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 2 });
    world.split("s", "!!!!b");
    await world.deliver("s", 1, 5);
    world.version = "v2";
    await world.deliver("s", 3, 5, { definition: takesAll });
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ x: ["s3", "s4"], b: ["s5"] });
  });

  it("after a restore stop no version that had taken a record before, in an empty account as well", async () => {
    const world = new TestWorld({ maxConsecutiveDeadLetters: 3 });
    world.split("s", "a!!!!!b");
    await world.deliver("s", 1, 1);
    const n = await world.checkpoint();
    await world.deliverUntilDone("s", 2, 7);
    await world.restore({ checkpoint: n });
    await world.drain();
    expect(await world.itemOf("s")).toMatchObject({ position: "000007", takenBy: ["v1"] });
    const lost = new TestWorld({ maxConsecutiveDeadLetters: 3, stores: { storage: world.stores.storage } });
    lost.split("s", "a!!!!!b");
    await lost.restore({ checkpoint: n });
    await lost.drain();
    expect(await lost.itemOf("s")).toMatchObject({ position: "000007", takenBy: ["v1"] });
  });
});

describe("a record at which the user's code changes the language's own objects", () => {
  const changing = (ids: readonly string[], throws = false) =>
    logFunction("log", (id) => {
      if (!ids.includes(id)) return;
      Object.assign(Object.prototype, { added: id });
      if (throws) throw new Error("and fails");
    });

  test.each([
    ["once", [], false],
    ["and throws", [], true],
    ["as others do", ["s1", "s7", "t2"], false],
  ])("%s becomes a dead letter after its tries that says so; all others are folded", async (_how, more, throws) => {
    const world = new TestWorld({ triesMax: 3 });
    world.split("s", "abacbabc");
    world.split("t", "ab");
    const bad = ["s4", ...more];
    const definition = changing(bad, throws);
    await world.deliverUntilDone("s", 1, 8, { definition });
    await world.deliverUntilDone("t", 1, 2, { definition });
    expect("added" in {}).toBe(false);
    const given = await letters(world);
    expect(given).toHaveLength(bad.length);
    for (const letter of given) {
      expect(letter).toMatchObject({
        cause: "failed",
        tries: 3,
        error: expect.stringContaining('Object.prototype has got a member "added"'),
      });
    }
    await world.checkpoint();
    await expectAllResolved(world);
    await expectPromise(world);
  });

  test("and it cannot be undone is a death of the record: its mark stays, and the next worker finds it", async () => {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "abac");
    const iterators: { next: unknown } = Object.getPrototypeOf([].values());
    const { next } = iterators;
    let changes = 0;
    const definition = logFunction("log", (id) => {
      if (id !== "s3") return;
      changes += 1;
      Object.assign(iterators, { next: () => ({ done: true }) });
    });
    /** As a supervisor does: whoever said that it is changed is replaced by an intact one. */
    for (let deliveries = 0; deliveries < 30; deliveries++) {
      const delivery = world.deliver("s", 1, 4, { definition });
      const isDone = await delivery.then(
        ({ failedFrom }) => failedFrom === undefined,
        () => false,
      );
      Object.assign(iterators, { next });
      if (isDone) break;
    }
    expect(await letters(world)).toMatchObject([
      { position: "000003", cause: "failed", tries: 2, error: "The process died while it handled this record." },
    ]);
    expect(changes).toBeLessThanOrEqual(5);
    await world.checkpoint();
    await expectAllResolved(world);
    await expectPromise(world);
  });
});
