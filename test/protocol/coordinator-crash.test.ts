/**
 * A coordinator that goes wrong at any of its calls to a store. It meets a clean split, a busy one that a batch moves,
 * one whose tried tail the source has dropped, and an unborn one; keys shared by splits, a cleared key; an older
 * checkpoint that retention deletes.
 */
import { describe, expect, it } from "vitest";
import { everyCall, settled } from "../support/every-call.ts";
import type { Fault, FaultyProcess } from "../support/faulty-stores.ts";
import {
  completedCheckpoints,
  expectAllResolved,
  expectCheckpointExact,
  expectPromise,
  readManifestOf,
} from "../support/oracle.ts";
import { MINUTE_MS, TestWorld } from "../support/test-world.ts";

async function setup(): Promise<TestWorld> {
  const world = new TestWorld({ retained: 1 });
  world.split("s", "abcAbc");
  world.split("t", "bbccb");
  world.split("x", "dcd");
  world.split("u", "eb");
  await world.deliver("s", 1, 4);
  await world.deliver("t", 1, 2);
  await world.checkpoint();
  // Busy: tried, written in part, and not ended.
  await settled(world.deliver("t", 3, 4, { process: dyingAt(world, "end t") }));
  await settled(world.deliver("x", 1, 2, { process: dyingAt(world, "end x") }));
  Object.assign(world.source.splits.get("x") ?? {}, { trimmedTo: 2 });
  await settled(world.deliver("u", 1, 1, { process: dyingAt(world, "birth u") }));
  world.clock.planned.push(() => world.deliverUntilDone("t", 3, 4));
  return world;
}

const dyingAt = (world: TestWorld, step: string): FaultyProcess =>
  world.start((call) => (call.step === step ? "dies before" : undefined));

const act = (world: TestWorld, process: FaultyProcess) => world.coordinate({ request: {}, process });

async function after(world: TestWorld, moment: () => Promise<void>): Promise<void> {
  await moment();
  await world.deliver("s", 5, 5);
  const { epoch } = await world.control();
  await world.coordinate();
  await moment();
  await world.deliverUntilDone("t", 3, 4);
  await world.coordinate();
  expect((await world.control()).checkpoint).toMatchObject({ n: epoch, open: false, settled: true });
  expect(await completedCheckpoints(world)).toEqual([epoch]);
  await expectCheckpointExact(world, epoch);
  await moment();
  world.clock.ms += MINUTE_MS;
  await world.drain();
  const next = await world.checkpoint();
  // A trigger that was late opened one of its own.
  expect([1, 2]).toContain(next - epoch);
  await moment();
  expect(await completedCheckpoints(world)).toEqual([next]);
  const { functions } = await readManifestOf(world, next);
  const holes = functions[0]?.splits.find(({ split }) => split === "x")?.holes;
  expect(holes).toEqual([{ cause: "dropped", after: "", to: "000002" }]);
  world.split("s", "ab");
  await world.drain();
  await world.restore();
  await moment();
  await world.drain();
  await expectAllResolved(world);
  await expectPromise(world);
}

const CALLS = 60;

describe("crash between any two calls of the coordinator", () => {
  it.each(["refused", "dies before", "dies after"] satisfies Fault[])(
    "%s, at every call: the next one carries on, with one outcome and an exact cut",
    async (fault) => {
      expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(CALLS);
    },
  );
});

describe("a write of the coordinator that was applied but answered with a time-out", () => {
  it.each(["answer lost", "sent twice"] satisfies Fault[])("%s, at every call: the promise is kept", async (fault) => {
    expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(CALLS);
  });
});

describe("a write of the coordinator that arrives long after its caller died", () => {
  it.each([0, 2])("at every call, and %i moments further on than the one before: the promise is kept", async (m) => {
    expect(await everyCall("dies, delayed", { setup, act, after }, [m])).toBeGreaterThan(CALLS);
  });

  it("also when the caller lives on without the answer", async () => {
    expect(await everyCall("delayed", { setup, act, after }, [1])).toBeGreaterThan(CALLS);
  });
});
