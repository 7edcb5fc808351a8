/** Deliveries of every shape, and which epoch their events belong to. */
import { describe, expect, it } from "vitest";
import { defineFunction } from "../../shared/function/define-function.ts";
import { settled } from "../support/every-call.ts";
import {
  checkpointLogs,
  expectAllResolved,
  expectExactlyOnce,
  expectPromise,
  liveLogs,
  readManifestOf,
} from "../support/oracle.ts";
import { at, TestWorld } from "../support/test-world.ts";

const cutOf = async (world: TestWorld, n: number, split = "s") =>
  (await readManifestOf(world, n)).functions[0]?.splits.find((one) => one.split === split);

/** Barrier `n` is asked for, and s has not passed it. */
async function askBarrier(world: TestWorld): Promise<number> {
  const report = await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
  expect(report.outcome).toBe("unfinished");
  return (await world.control()).epoch;
}

/** Writes some of its keys, and dies before its End. */
async function applyPartly(world: TestWorld, split: string, from: number, to: number, writes = 1): Promise<void> {
  let written = 0;
  const dying = world.start((call) => {
    if (!call.step.startsWith("state.write") || written++ < writes) return undefined;
    return "dies before";
  });
  await settled(world.deliver(split, from, to, { process: dying }));
  expect((await world.itemOf(split))?.attemptedTo).toBe(at(to));
}

describe("deliveries", () => {
  it("duplicate batches change nothing", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    for (let i = 0; i < 3; i += 1) await world.deliver("s", 1, 4);
    expect(await world.itemOf("s")).toMatchObject({ position: at(4), attemptedTo: at(4) });
    await expectExactlyOnce(world);
  });

  it("overlapping batches fold each record once", async () => {
    const world = new TestWorld();
    world.split("s", "abcabcab");
    for (const [from, to] of [
      [1, 4],
      [2, 6],
      [1, 3],
      [5, 8],
      [3, 8],
    ] as const) {
      await world.deliver("s", from, to);
    }
    await expectAllResolved(world);
    await expectExactlyOnce(world);
  });

  it("late duplicates of resolved records neither move the position back nor make the split unclean", async () => {
    const world = new TestWorld();
    world.split("s", "abcabcab");
    await world.deliver("s", 1, 8);
    await world.deliver("s", 2, 3);
    expect(await world.itemOf("s")).toMatchObject({ position: at(8), attemptedTo: at(8) });
    expect(await world.checkpoint()).toBe(1);
    await expectPromise(world);
  });

  it("a late duplicate while a batch runs fences it, and nothing is lost: its records come again", async () => {
    const world = new TestWorld();
    world.split("s", "abcabcab");
    await world.deliver("s", 1, 4);
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "end s");
    const running = world.deliver("s", 5, 8, { process: slow });
    await gate.reached;
    await world.deliver("s", 1, 4);
    gate.release();
    await expect(running).rejects.toMatchObject({ kind: "retry" });
    expect(await world.itemOf("s")).toMatchObject({ position: at(4), attemptedTo: at(8) });
    await world.deliverUntilDone("s", 5, 8);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("a batch delivered again in bisected pieces is folded once", async () => {
    const world = new TestWorld();
    world.split("s", "abcabcab");
    await applyPartly(world, "s", 1, 8, 2);
    for (const [from, to] of [
      [1, 4],
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 7],
      [8, 8],
    ] as const) {
      await world.deliverUntilDone("s", from, to);
    }
    await expectAllResolved(world);
    await expectPromiseAfterCheckpoint(world);
  });

  it("a record given twice within a batch is folded once", async () => {
    const world = new TestWorld();
    world.split("s", "aab");
    const [one, two, three] = world.source.records("s", 1, 3);
    if (one === undefined || two === undefined || three === undefined) throw new Error("no records");
    await world.deliverRecords("s", [one, one, two, two, three]);
    await expectAllResolved(world);
    await expectExactlyOnce(world);
  });

  it("a batch out of order is refused by name, and written nowhere", async () => {
    const world = new TestWorld();
    world.split("s", "aab");
    const records = world.source.records("s", 1, 3).toReversed();
    await expect(world.deliverRecords("s", records)).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining(`${at(2)} comes after ${at(3)}`),
    });
    await world.deliverUntilDone("s", 1, 3);
    await expectAllResolved(world);
    await expectExactlyOnce(world);
  });

  it("a batch whose time is up ends its prefix and reports the first record of the rest", async () => {
    const world = new TestWorld();
    world.split("s", "ab".repeat(100));
    const result = await world.deliver("s", 1, 200, { deadlineMs: world.clock.now() });
    expect(result.failedFrom?.position).toBe(at(65));
    expect(await world.itemOf("s")).toMatchObject({ position: at(64), attemptedTo: at(64) });
    await world.deliverUntilDone("s", 65, 200, { deadlineMs: world.clock.now() });
    await expectAllResolved(world);
    await expectPromiseAfterCheckpoint(world);
  });

  it("two functions on one source come each to its own fold and its own positions", async () => {
    const world = new TestWorld({ functions: ["one", "two"] });
    world.split("s", "abcab");
    await world.deliver("s", 1, 3, { function: "one" });
    await world.deliver("s", 1, 1, { function: "two" });
    const n = await world.checkpoint();
    const { functions } = await readManifestOf(world, n);
    expect(functions.map(({ name, splits }) => [name, splits[0]?.position])).toEqual([
      ["one", at(3)],
      ["two", at(1)],
    ]);
    await world.drain();
    await expectPromise(world);
    await world.restore({ checkpoint: n });
    await expectAllResolved(world);
    await expectPromise(world);
  });
});

describe("a batch partly applied in epoch n-1", () => {
  it("and redelivered after barrier n was asked for stays in n-1: events keep their colour", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    await applyPartly(world, "s", 1, 3, 2);
    const n = await askBarrier(world);
    await world.deliverUntilDone("s", 1, 3);
    expect(await world.itemOf("s")).toMatchObject({ epoch: 0, pendingEpoch: n, position: at(3) });
    await world.deliver("s", 4, 6);
    expect(await world.itemOf("s")).toMatchObject({ epoch: n, barriers: { [n]: at(3) } });
    await world.coordinate();
    expect(await cutOf(world, n)).toMatchObject({ position: at(3), holes: [] });
    await expectPromise(world);
  });

  it("and redelivered with more records than before is folded in n-1 as a whole", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    await applyPartly(world, "s", 1, 3, 2);
    const n = await askBarrier(world);
    await world.deliverUntilDone("s", 1, 5);
    await world.coordinate();
    await expectPromise(world);
    expect((await cutOf(world, n))?.position).toBe(at(5));
  });

  it("whose Begin was repeated because its answer was lost counts as not clean", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    await world.deliver("s", 1, 2);
    const n = await askBarrierWhileBusy(world);
    const process = world.start((call) => (call.step === "begin s" ? "sent twice" : undefined));
    await world.deliverUntilDone("s", 3, 4, { process });
    expect(await world.itemOf("s")).toMatchObject({ epoch: 0, position: at(4) });
    await world.coordinate();
    expect((await cutOf(world, n))?.position).toBe(at(4));
    await expectPromise(world);
  });

  it("and then given up by the source: at the next batch the hole is noted, and B comes after it", async () => {
    const world = new TestWorld();
    world.split("s", "abcabcab");
    await world.deliver("s", 1, 2);
    await applyPartly(world, "s", 3, 5, 1);
    const n = await askBarrier(world);
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 5 });
    await world.deliver("s", 6, 8);
    const hole = { cause: "dropped", after: at(2), to: at(5) };
    expect(await world.itemOf("s")).toMatchObject({ epoch: n, holes: [hole], barriers: { [n]: at(5) } });
    expect(world.ofType("hole")).toMatchObject([{ split: "s", hole }]);
    await world.coordinate();
    expect(await cutOf(world, n)).toMatchObject({ position: at(5), holes: [hole] });
    await expectPromise(world);
  });

  it("and given up by the source with nothing after it: the coordinator notes the hole and goes on", async () => {
    const world = new TestWorld();
    world.split("s", "abcab");
    await world.deliver("s", 1, 2);
    await applyPartly(world, "s", 3, 5, 1);
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 5 });
    const n = await world.checkpoint();
    const hole = { cause: "dropped", after: at(2), to: at(5) };
    expect(await cutOf(world, n)).toMatchObject({ position: at(5), holes: [hole] });
    await expectPromise(world);
  });

  it("given up while its zombie still writes: nothing is applied twice, and the tail is given up once", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    await world.deliver("s", 1, 2);
    const zombie = world.start();
    const gate = zombie.pauseAt((call) => call.step === "state.write a");
    const running = world.deliver("s", 3, 5, { process: zombie });
    await gate.reached;
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 5 });
    const n = await world.checkpoint();
    gate.release();
    await expect(running).rejects.toMatchObject({ kind: "retry" });
    await world.drain();
    await world.checkpoint();
    expect((await cutOf(world, n))?.holes).toEqual([{ cause: "dropped", after: at(2), to: at(5) }]);
    await expectPromise(world);
  });

  it("that is still there is not given up, however often the coordinator looks", async () => {
    const world = new TestWorld();
    world.split("s", "abcab");
    await applyPartly(world, "s", 1, 3);
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 60_000 });
    expect(await world.itemOf("s")).toMatchObject({ position: "", holes: [], epoch: 0 });
  });

  it("is not given up where a batch got on between the coordinator's look and its write", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    await applyPartly(world, "s", 1, 3);
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 3 });
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "give up s");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    await world.deliver("s", 4, 4);
    await applyPartly(world, "s", 5, 6);
    const before = await world.itemOf("s");
    world.clock.planned.push(async () => {
      expect(await world.itemOf("s")).toEqual(before);
      await world.deliverUntilDone("s", 5, 6);
    });
    gate.release();
    await running;
    expect(world.clock.planned).toEqual([]);
    expect((await world.itemOf("s"))?.position).toBe(at(6));
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "dropped", after: "", to: at(3) }]);
    await expectPromise(world);
  });
});

/** Barrier n is asked for between two batches, the split being clean, and only a batch may pass it. */
async function askBarrierWhileBusy(world: TestWorld): Promise<number> {
  const coordinator = world.start((call) => (call.step === "move s" ? "dies before" : undefined));
  await settled(world.coordinate({ request: {}, process: coordinator }));
  const { epoch } = await world.control();
  expect(await world.itemOf("s")).toMatchObject({ pendingEpoch: epoch, epoch: epoch - 1 });
  return epoch;
}

async function expectPromiseAfterCheckpoint(world: TestWorld): Promise<void> {
  const n = await world.checkpoint();
  await expectPromise(world);
  expect(await checkpointLogs(world, n)).toEqual(await liveLogs(world));
}

describe("an event that leaves its key's state as it was", () => {
  it("is marked as applied all the same: delivered again after another split's event, it is not folded", async () => {
    const world = new TestWorld();
    world.split("s", "a");
    world.split("t", "aa");
    // t1 makes the key, t2 arms it; s1 counts only where it is armed.
    const { event, key, name } = world.definition("log", world.main);
    const definition = defineFunction({
      ...{ event, key, name },
      state: { initial: () => ({ armed: false, counted: 0 }) },
      handle: (state, { id }) => {
        if (id !== "s1") return { ...state, armed: id === "t2" };
        return state.armed ? { ...state, counted: state.counted + 1 } : state;
      },
    });
    await world.deliver("t", 1, 1, { definition });
    const process = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
    await settled(world.deliver("s", 1, 1, { definition, process }));
    await world.deliver("t", 2, 2, { definition });
    await world.deliver("s", 1, 1, { definition });
    const [item] = (await world.stores.state.load({ function: "log", generation: 1 }, ["a"])).values();
    expect(item?.state).toMatchObject({ value: { armed: true, counted: 0 } });
  });
});
