/**
 * Records of several events, by a `decode` of their source: folded whole or not at all, whatever throws, dies, is late or
 * comes in between. What is written `(ab)` is one record with an event of a and one of b: `s2.1` and `s2.2`.
 */
import { describe, expect, it } from "vitest";
import { StateCache } from "../../shared/batch/state-cache.ts";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { defineFunction } from "../../shared/function/define-function.ts";
import { everyCall, everyPause, settled } from "../support/every-call.ts";
import type { Fault, FaultyProcess } from "../support/faulty-stores.ts";
import {
  expectAllResolved,
  expectCheckpointExact,
  expectExactlyOnce,
  expectPromise,
  liveLogs,
  readManifestOf,
} from "../support/oracle.ts";
import { logFunction, TestWorld, type WorldOptions } from "../support/test-world.ts";

const at = (number: number): string => String(number).padStart(6, "0");

function worldOf(letters: string, options: WorldOptions = {}): TestWorld {
  const world = new TestWorld({ several: true, triesMax: 2, ...options });
  world.split("s", letters);
  return world;
}

const FAULTS: readonly Fault[] = ["dies before", "dies after", "refused", "answer lost", "sent twice", "delayed"];

/** A process that does not live to give up what failed in its first batch. */
const diesBeforeItsNextBatch = (world: TestWorld): FaultyProcess =>
  world.start((call) => (call.step === "end s" ? "dies after" : undefined));

async function logsOf(world: TestWorld): Promise<Record<string, readonly string[]>> {
  return Object.fromEntries([...(await liveLogs(world))].toSorted());
}

async function lettersOf(world: TestWorld) {
  const letters = [];
  for await (const letter of listDeadLetters(world.stores.storage)) letters.push(letter);
  return letters;
}

describe("a record of several events", () => {
  it("is folded event by event, those of one key in order, and counted by events", async () => {
    const world = worldOf("a(abab)b");
    const { folded, failedFrom } = await world.deliver("s", 1, 3);
    expect({ folded, failedFrom }).toEqual({ folded: 6, failedFrom: undefined });
    expect(await logsOf(world)).toEqual({ a: ["s1", "s2.1", "s2.3"], b: ["s2.2", "s2.4", "s3"] });
    await expectAllResolved(world);
  });

  it("tells each event its place in the record", async () => {
    const world = worldOf("a(ab)");
    const places: unknown[] = [];
    const definition = defineFunction({
      name: "log",
      event: logFunction("log").event,
      key: ({ key }) => key,
      state: { initial: () => 0 },
      handle: (count, _event, { position, index }) => {
        places.push([position, index]);
        return count + 1;
      },
    });
    await world.deliver("s", 1, 2, { definition });
    expect(places).toEqual([
      [at(1), 0],
      [at(2), 0],
      [at(2), 1],
    ]);
  });

  it("is not folded at all where handle throws at one of its events, for its other keys either", async () => {
    const world = worldOf("ac(abcab)");
    world.behaviour = { poison: ["s3.3"] };
    const dying = diesBeforeItsNextBatch(world);
    await settled(world.deliver("s", 1, 3, { process: dying }));
    expect(await logsOf(world)).toEqual({ a: ["s1"], c: ["s2"] });
    expect(await world.itemOf("s")).toMatchObject({
      position: at(2),
      failing: { position: at(3), tries: 2, error: "Event 3 of 5 of the record: Error: cannot fold s3.3" },
    });
  });

  it("is one dead letter and one hole as a whole, which names the event that failed", async () => {
    const world = worldOf("a(aba)ab");
    world.behaviour = { poison: ["s2.2"] };
    await world.deliverUntilDone("s", 1, 4);
    expect(await logsOf(world)).toEqual({ a: ["s1", "s3"], b: ["s4"] });
    const [letter, ...others] = await lettersOf(world);
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      position: at(2),
      cause: "failed",
      tries: 2,
      error: "Event 2 of 3 of the record: Error: cannot fold s2.2",
    });
    expect(letter?.folded).toBeUndefined();
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "dead-letter", from: at(2), to: at(2), records: 1 }]);
    await expectPromise(world);
    world.behaviour = {};
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logsOf(world)).toEqual({ a: ["s1", "s3", "s2.1", "s2.3"], b: ["s4", "s2.2"] });
  });

  it("is refused as a whole where the schema refuses one of its events", async () => {
    const world = worldOf("a(ab!)b");
    await world.deliverUntilDone("s", 1, 3);
    expect(await logsOf(world)).toEqual({ a: ["s1"], b: ["s3"] });
    const [letter] = await lettersOf(world);
    expect(letter).toMatchObject({ position: at(2), cause: "refused", tries: 1 });
    expect(letter?.error).toContain("Event 3 of 3 of the record: ");
    await expectPromise(world);
  });

  it.each([
    ["the schema throws", "Event 2 of 2 of the record: Error: the schema broke"],
    ["the key selector throws", "Event 2 of 2 of the record: Error: the key broke"],
  ])("is not folded at all where %s at one of its events", async (what, error) => {
    const world = worldOf("a(ab)");
    const base = logFunction("log");
    const isSecond = (value: unknown): boolean => (value as { id: string }).id === "s2.2";
    const definition = defineFunction({
      name: "log",
      event: {
        "~standard": {
          ...base.event["~standard"],
          validate: (value: unknown) => {
            if (what === "the schema throws" && isSecond(value)) throw new Error("the schema broke");
            return base.event["~standard"].validate(value);
          },
        },
      },
      key: (event) => {
        if (what === "the key selector throws" && isSecond(event)) throw new Error("the key broke");
        return event.key;
      },
      state: base.state,
      handle: base.handle,
    });
    await world.deliver("s", 1, 2, { definition });
    expect(await logsOf(world)).toEqual({ a: ["s1"] });
    expect(await lettersOf(world)).toMatchObject([{ position: at(2), error }]);
  });

  it("is not folded at all where one of its events makes a state that cannot be stored", async () => {
    const world = worldOf("b(ab)a");
    const base = logFunction("log");
    const definition = defineFunction({
      ...base,
      state: { initial: () => ({ log: [] as readonly string[], ratio: 0 }) },
      handle: ({ log }, { id }) => ({ log: [...log, id], ratio: id === "s2.2" ? Number.NaN : 0 }),
    });
    await world.deliver("s", 1, 3, { definition });
    expect(await logsOf(world)).toEqual({ a: ["s3"], b: ["s1"] });
    const [letter] = await lettersOf(world);
    expect(letter).toMatchObject({ position: at(2), cause: "failed", tries: 1 });
    expect(letter?.error).toContain("Event 2 of 2 of the record: ");
  });

  it("without any event is resolved, and writes nothing", async () => {
    const world = worldOf("()a()");
    const { folded } = await world.deliver("s", 1, 3);
    expect(folded).toBe(1);
    expect(await logsOf(world)).toEqual({ a: ["s2"] });
    expect(await world.itemOf("s")).toMatchObject({ position: at(3), attemptedTo: at(3), holes: [] });
    await expectPromise(world);
  });

  it("without any event does not hide that a function is broken", async () => {
    const world = worldOf("a()a()a", { triesMax: 1, maxConsecutiveDeadLetters: 2 });
    world.behaviour = { poison: ["s1", "s3", "s5"] };
    for (let i = 0; i < 8; i += 1) {
      const from = Number((await world.itemOf("s"))?.position || 0) + 1;
      await world.deliver("s", from, 5);
    }
    expect(await world.itemOf("s")).toMatchObject({ position: at(4), consecutiveDeadLetters: 2 });
    expect(world.ofType("split-stopped").length).toBeGreaterThan(0);
  });

  it("is folded to its end when the time is up within it, and the record after it is not begun", async () => {
    const world = worldOf("(ab)(ab)(ab)");
    const base = logFunction("log");
    const definition = defineFunction({
      ...base,
      handle: async (state, event, context) => {
        world.clock.ms += 10;
        return await base.handle(state, event, context);
      },
    });
    const { failedFrom } = await world.deliver("s", 1, 3, { definition, deadlineMs: world.clock.ms + 25 });
    expect(failedFrom?.position).toBe(at(3));
    expect(await logsOf(world)).toEqual({ a: ["s1.1", "s2.1"], b: ["s1.2", "s2.2"] });
  });

  it("that kills is found among others, and is a dead letter of its own", async () => {
    const world = worldOf("a(ab)(ba)b");
    world.behaviour = { killers: ["s3.2"] };
    await world.deliverUntilDone("s", 1, 4);
    expect(await logsOf(world)).toEqual({ a: ["s1", "s2.1"], b: ["s2.2", "s4"] });
    expect((await lettersOf(world)).map(({ position }) => position)).toEqual([at(3)]);
    await expectPromise(world);
  });

  it("that kills in the key selector is given up without another look at it", async () => {
    const world = worldOf("a(ab)b");
    world.behaviour = { keyKillers: ["s2.2"] };
    await world.deliverUntilDone("s", 1, 3);
    expect(await logsOf(world)).toEqual({ a: ["s1"], b: ["s3"] });
    expect(await lettersOf(world)).toMatchObject([{ position: at(2), tries: 2 }]);
  });

  it("is taken by a batch as a whole, and further ones are left once it has enough events", async () => {
    const world = worldOf(`(${"a".repeat(60_000)})(${"a".repeat(60_000)})a`);
    const definition = defineFunction({
      ...logFunction("log"),
      state: { initial: () => 0 },
      handle: (count: number) => count + 1,
    });
    const { failedFrom, folded } = await world.deliver("s", 1, 3, { definition });
    expect({ folded, failedFrom }).toEqual({ folded: 120_001, failedFrom: undefined });
    expect(world.ofType("batch").map((batch) => batch.folded)).toEqual([120_000, 1]);
  });

  it("is refused where it has more events than are folded at once", async () => {
    const world = worldOf(`(${"a".repeat(100_001)})a`);
    await world.deliver("s", 1, 2);
    expect(await logsOf(world)).toEqual({ a: ["s2"] });
    expect((await lettersOf(world))[0]?.error).toContain("more than 100000 events");
  });

  it("is folded once in each image, on either side of a cut that another split has passed", async () => {
    const world = worldOf("(ab)(ba)");
    world.split("t", "(ab)(aab)");
    await world.deliver("s", 1, 1);
    await world.deliver("t", 1, 1);
    // t passes the barrier first; s redelivers what it had begun, which belongs before the cut.
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.write b");
    const running = world.deliver("s", 2, 2, { process: slow });
    await gate.reached;
    const coordinating = world.coordinate({ request: {}, pollMs: 1 });
    await world.deliver("t", 2, 2);
    gate.release();
    await running;
    await coordinating;
    await world.drain();
    await expectPromise(world);
  });

  it("may be folded again in at-least-once mode, and is a dead letter as a whole there", async () => {
    const world = worldOf("a(ab)b", { mode: "at-least-once", triesMax: 1 });
    world.behaviour = { poison: ["s2.2"] };
    await world.deliverUntilDone("s", 1, 3);
    expect(await logsOf(world)).toEqual({ a: ["s1"], b: ["s3"] });
    expect((await world.itemOf("s"))?.holes).toMatchObject([{ from: at(2), to: at(2) }]);
  });

  it.each(FAULTS)("is folded once, whatever call of its batch %s", async (fault) => {
    const calls = await everyCall(fault, {
      setup: async () => worldOf("(ab)(aab)(ba)"),
      act: (world, process) => world.deliver("s", 1, 3, { process }),
      after: async (world, moment) => {
        await moment();
        await world.drain();
        await moment();
        await expectAllResolved(world);
        await expectPromise(world);
        expect(await lettersOf(world)).toEqual([]);
      },
    });
    expect(calls).toBeGreaterThan(3);
  });
});

/** s1 is written to a; then t comes into b, over which s1.2 throws; and its process dies before it gives s1 up. */
async function partlyFolded(options: WorldOptions & { readonly to?: number } = {}): Promise<TestWorld> {
  const world = worldOf("(ab)ab", options);
  world.split("t", "b");
  world.behaviour = { rivals: ["s1.2"] };
  const slow = diesBeforeItsNextBatch(world);
  const gate = slow.pauseAt((call) => call.step === "state.write b");
  const running = world.deliver("s", 1, options.to ?? 3, { process: slow });
  await gate.reached;
  await world.deliver("t", 1, 1);
  gate.release();
  await settled(running);
  return world;
}

describe("a record that fails once some of its keys are written", () => {
  it("keeps what is written, and is not done", async () => {
    const world = await partlyFolded();
    expect((await logsOf(world)).a?.[0]).toBe("s1.1");
    expect((await logsOf(world)).b).toEqual(["t1"]);
    const item = await world.itemOf("s");
    expect(item?.position).toBe("");
    expect(item?.attemptedTo).not.toBe("");
    expect(item?.failing).toMatchObject({ position: at(1), tries: 1 });
  });

  it("is folded once where it succeeds later", async () => {
    const world = await partlyFolded();
    world.behaviour = {};
    await world.drain();
    expect(await logsOf(world)).toEqual({ a: ["s1.1", "s2"], b: ["t1", "s1.2", "s3"] });
    await expectPromise(world);
  });

  it("is given up for exactly the events that are missing", async () => {
    const world = await partlyFolded();
    await world.drain();
    expect(await logsOf(world)).toEqual({ a: ["s1.1", "s2"], b: ["t1", "s3"] });
    expect((await world.itemOf("s"))?.holes).toEqual([
      { cause: "dead-letter", from: at(1), to: at(1), records: 1, folded: [0] },
    ]);
    expect(await lettersOf(world)).toMatchObject([{ position: at(1), folded: [0] }]);
    await expectPromise(world);
    const n = await world.checkpoint();
    expect((await readManifestOf(world, n)).functions[0]?.splits[0]?.holes).toMatchObject([{ folded: [0] }]);
    await expectCheckpointExact(world, n);
  });

  it("is no part of its neighbours' hole", async () => {
    const world = await partlyFolded({ triesMax: 1, to: 1 });
    world.behaviour = { rivals: ["s1.2"], poison: ["s2", "s3"] };
    await world.drain();
    expect((await world.itemOf("s"))?.holes).toEqual([
      { cause: "dead-letter", from: at(1), to: at(1), records: 1, folded: [0] },
      { cause: "dead-letter", from: at(2), to: at(3), records: 2 },
    ]);
    await expectPromise(world);
  });

  it("is redriven for exactly the events that are missing", async () => {
    const world = await partlyFolded();
    await world.drain();
    world.behaviour = {};
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logsOf(world)).toEqual({ a: ["s1.1", "s2"], b: ["t1", "s3", "s1.2"] });
    const n = await world.checkpoint();
    await world.restore({ checkpoint: n });
    await world.redriveLetters("log", () => true);
    await world.deliverRedriven();
    expect(await logsOf(world)).toEqual({ a: ["s1.1", "s2"], b: ["t1", "s3", "s1.2"] });
  });

  it("is redriven by what the restored cut says of it, whatever the letter says since", async () => {
    const world = worldOf("c(ab)ab");
    world.split("t", "b");
    await world.deliver("s", 1, 1);
    const before = await world.checkpoint();
    world.behaviour = { rivals: ["s2.2"] };
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.write b");
    const running = world.deliver("s", 2, 4, { process: slow });
    await gate.reached;
    await world.deliver("t", 1, 1);
    gate.release();
    await running;
    await world.drain();
    const after = await world.checkpoint();
    // Tried afresh, it fails before anything of it is written.
    world.behaviour = { poison: ["s2.1"] };
    await world.restore({ checkpoint: before });
    expect(await lettersOf(world)).toMatchObject([{ position: at(2) }]);
    expect((await lettersOf(world))[0]?.folded).toBeUndefined();
    await world.redriveLetters();
    world.behaviour = {};
    await world.restore({ checkpoint: after });
    await world.deliverRedriven();
    const logs = await logsOf(world);
    expect(logs.a?.filter((id) => id === "s2.1")).toEqual(["s2.1"]);
    expect(logs.b?.filter((id) => id === "s2.2")).toEqual(["s2.2"]);
  });

  it("is redriven for what is missing still, where it failed in part a second time", async () => {
    const world = worldOf("(abc)");
    world.split("t", "bc");
    world.behaviour = { rivals: ["s1.2", "s1.3"] };
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.write b");
    const running = world.deliver("s", 1, 1, { process: slow });
    await gate.reached;
    await world.deliver("t", 1, 1);
    gate.release();
    await running;
    await world.drain();
    const hole = (await world.itemOf("s"))?.holes[0];
    expect(hole?.folded).toContain(0);
    const missing = [1, 2].filter((number) => !hole?.folded?.includes(number));
    expect(missing).not.toEqual([]);
    // Put back: each time it fails at what is missing, and is put back again.
    await world.redriveLetters();
    for (let i = 0; i < 3; i += 1) await world.deliverRedriven();
    world.behaviour = {};
    await world.redriveLetters();
    await world.deliverRedriven();
    const all = Object.values(await logsOf(world))
      .flat()
      .toSorted();
    expect(all).toEqual(["s1.1", "s1.2", "s1.3", "t1", "t2"]);
  });

  it("is put back a second time for what its first entry left missing", async () => {
    const world = worldOf("(ab)", { triesMax: 1 });
    world.split("t", "b");
    world.behaviour = { poison: ["s1.1"] };
    await world.deliverUntilDone("s", 1, 1);
    await world.redriveLetters();
    // The entry is written to a; then t comes into b.
    world.behaviour = { rivals: ["s1.2"] };
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.write b");
    const running = world.deliverRedriven({ process: slow });
    await gate.reached;
    await world.deliver("t", 1, 1);
    gate.release();
    await running;
    expect((await world.itemOf("redrive"))?.holes).toMatchObject([{ folded: [0] }]);
    const n = await world.checkpoint();
    world.behaviour = {};
    await world.redriveLetters("log", (split) => split === "redrive");
    await world.deliverRedriven();
    expect(await logsOf(world)).toEqual({ a: ["s1.1"], b: ["t1", "s1.2"] });
    await world.restore({ checkpoint: n });
    expect(await logsOf(world)).toEqual({ a: ["s1.1"], b: ["t1", "s1.2"] });
    await world.restore({ checkpoint: n });
    await world.deliverRedriven();
    expect(await logsOf(world)).toEqual({ a: ["s1.1"], b: ["t1", "s1.2"] });
  });

  it("is not written any more by who folded it before, once it is given up", async () => {
    const world = worldOf("(ab)");
    world.split("t", "b");
    world.behaviour = { rivals: ["s1.2"] };
    const zombie = world.start();
    const gates = ["a", "b"].map((key) => zombie.pauseAt((call) => call.step === `state.write ${key}`));
    const running = world.deliver("s", 1, 1, { process: zombie });
    for (const { reached } of gates) await reached;
    await world.deliver("t", 1, 1);
    await world.deliverUntilDone("s", 1, 1);
    for (const gate of gates) gate.release();
    await settled(running);
    expect(await logsOf(world)).toEqual({ b: ["t1"] });
    await expectPromise(world);
    world.behaviour = {};
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logsOf(world)).toEqual({ a: ["s1.1"], b: ["t1", "s1.2"] });
  });

  it("is given up by whoever meets its mark, though those came out whose deaths it was given up for", async () => {
    const world = worldOf("(ab)b");
    const dying = world.start((call) => (call.step === "state.write a" ? "dies before" : undefined));
    await settled(world.deliver("s", 1, 1, { process: dying }));
    // Two are in handle: whoever begins now counts them as dead.
    const inside: { readonly release: () => void; readonly running: Promise<unknown> }[] = [];
    for (const process of [world.start(), world.start()]) {
      let left = 0;
      const gate = process.pauseAt((call) => call.step === "leave s" && ++left === 2);
      inside.push({ release: gate.release, running: settled(world.deliver("s", 1, 1, { process })) });
      await gate.reached;
    }
    const givesUp = world.start();
    const noted = givesUp.pauseAt((call) => call.step === "end s");
    const givingUp = settled(world.deliver("s", 1, 1, { process: givesUp }));
    await noted.reached;
    expect((await world.itemOf("s"))?.position).toBe("");
    for (const { release, running } of inside) {
      release();
      await running;
    }
    // The next one counts nobody, and finds the marks.
    await world.deliverUntilDone("s", 1, 2);
    noted.release();
    await givingUp;
    expect((await world.itemOf("s"))?.holes).toMatchObject([{ cause: "dead-letter", from: at(1), to: at(1) }]);
    expect(await logsOf(world)).toEqual({ b: ["s2"] });
    await expectPromise(world);
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logsOf(world)).toEqual({ a: ["s1.1"], b: ["s2", "s1.2"] });
  });

  it("may stand in a worker's copy as if nothing of it was written", async () => {
    const world = worldOf("a(ab)ab");
    world.split("t", "b");
    const cache = new StateCache();
    await world.deliver("s", 1, 1, { cache });
    world.behaviour = { rivals: ["s2.2"] };
    // Another worker writes a, and dies before b.
    const dying = world.start((call) => (call.step === "state.write b" ? "dies before" : undefined));
    await settled(world.deliver("s", 2, 2, { process: dying }));
    await world.deliver("t", 1, 1);
    await world.deliverUntilDone("s", 2, 4, { cache });
    expect((await world.itemOf("s"))?.holes).toMatchObject([{ folded: [0] }]);
    await expectPromise(world);
  });

  it("is passed where a key has no room for its mark", async () => {
    const world = worldOf("(ab)a");
    world.split("t", "b");
    const full = logFunction("log", (id, log) => {
      if (id === "s1.2" && log.length > 0) throw new Error("cannot fold");
    });
    await world.deliver("t", 1, 1, { definition: full });
    const { state } = world.stores;
    const refuse = state.refuseOversized.bind(state);
    state.refuseOversized = (name, item) => {
      if (item.key === "b" && Object.hasOwn(item.applied, "s")) throw new Error("the item is full");
      refuse(name, item);
    };
    await world.deliverUntilDone("s", 1, 2, { definition: full });
    expect(await logsOf(world)).toEqual({ a: ["s2"], b: ["t1"] });
    await expectPromise(world);
  });

  const givesUp = {
    setup: () => partlyFolded({ triesMax: 1 }),
    after: async (world: TestWorld, moment = async (): Promise<void> => {}) => {
      await moment();
      await world.drain();
      await moment();
      await expectAllResolved(world);
      await expectPromise(world);
      const n = await world.checkpoint();
      await expectCheckpointExact(world, n);
      world.behaviour = {};
      await world.redriveLetters();
      await world.deliverRedriven();
      const logs = await logsOf(world);
      expect({ a: logs.a?.toSorted(), b: logs.b?.toSorted() }).toEqual({ a: ["s1.1", "s2"], b: ["s1.2", "s3", "t1"] });
    },
  };

  it.each(FAULTS)("is given up exactly, whatever call %s", async (fault) => {
    const calls = await everyCall(fault, {
      ...givesUp,
      act: (world, process) => world.deliver("s", 1, 3, { process }),
    });
    expect(calls).toBeGreaterThan(4);
  });

  it("is given up exactly, whenever another invocation gives it up in between", async () => {
    const calls = await everyPause({
      ...givesUp,
      stalled: (world, process) => world.deliver("s", 1, 3, { process }),
      other: (world, process) => world.deliverUntilDone("s", 1, 3, { process }),
    });
    expect(calls).toBeGreaterThan(4);
  });

  it("is given up exactly, whenever the first batch that gives it up, with nothing of it written, is held or dies", async () => {
    const poisoned = async (): Promise<TestWorld> => {
      const world = worldOf("(ba)ab", { triesMax: 1 });
      world.behaviour = { poison: ["s1.1"] };
      return world;
    };
    const after = async (world: TestWorld): Promise<void> => {
      await world.drain();
      await expectAllResolved(world);
      await expectPromise(world);
      expect(await logsOf(world)).toEqual({ a: ["s2"], b: ["s3"] });
      world.behaviour = {};
      await world.redriveLetters();
      await world.deliverRedriven();
      expect(await logsOf(world)).toEqual({ a: ["s2", "s1.2"], b: ["s3", "s1.1"] });
    };
    const act = (world: TestWorld, process: FaultyProcess) => world.deliver("s", 1, 3, { process });
    await everyPause({
      ...{ setup: poisoned, stalled: act, after },
      other: (world, process) => world.deliverUntilDone("s", 1, 3, { process }),
    });
    await everyCall("dies before", { setup: poisoned, act, after });
    await everyCall("dies after", { setup: poisoned, act, after });
  });

  it("is given up exactly, whenever a batch that had folded it is held, and goes on after it was given up", async () => {
    const calls = await everyPause({
      setup: async () => {
        const world = worldOf("(ab)ab", { triesMax: 1 });
        world.split("t", "b");
        world.behaviour = { rivals: ["s1.2"] };
        return world;
      },
      stalled: (world, process) => world.deliver("s", 1, 3, { process }),
      other: async (world, process) => {
        await world.deliver("t", 1, 1, { process });
        await world.deliverUntilDone("s", 1, 3, { process });
      },
      after: async (world) => {
        await world.drain();
        await expectExactlyOnce(world);
        await expectPromise(world);
        world.behaviour = {};
        await world.redriveLetters();
        await world.deliverRedriven();
        const logs = await logsOf(world);
        expect({ a: logs.a?.toSorted(), b: logs.b?.toSorted() }).toEqual({
          a: ["s1.1", "s2"],
          b: ["s1.2", "s3", "t1"],
        });
      },
    });
    expect(calls).toBeGreaterThan(4);
  });
});
