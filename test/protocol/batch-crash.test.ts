/**
 * A batch that goes wrong at any of its calls to a store. The batch at hand redelivers what was tried in epoch 1 while
 * barrier 2 is asked for, then passes that barrier with the next records, one of them a dead letter, and shares every
 * key with another split.
 */
import { describe, expect, it } from "vitest";
import { everyCall, settled } from "../support/every-call.ts";
import type { Fault, FaultyProcess } from "../support/faulty-stores.ts";
import { expectAllResolved, expectPromise, readManifestOf } from "../support/oracle.ts";
import { MINUTE_MS, TestWorld } from "../support/test-world.ts";

async function setup(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abcab!bcad");
  world.split("t", "aabccb");
  await world.deliver("s", 1, 3);
  await world.deliver("t", 1, 2);
  await world.checkpoint();
  const dying = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
  await settled(world.deliver("s", 4, 5, { process: dying }));
  const report = await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
  expect(report).toEqual({ outcome: "unfinished", checkpoint: 2 });
  return world;
}

async function act(world: TestWorld, process: FaultyProcess): Promise<void> {
  await world.deliverUntilDone("s", 4, 5, { process });
  await world.deliverUntilDone("t", 3, 4, { process });
  await world.deliverUntilDone("s", 6, 9, { process });
}

async function after(world: TestWorld, moment: () => Promise<void>): Promise<void> {
  await moment();
  await world.deliverUntilDone("s", 4, 5);
  await world.deliverUntilDone("t", 3, 4);
  await world.deliverUntilDone("s", 6, 9);
  await moment();
  const report = await world.coordinate();
  expect(report).toMatchObject({ outcome: "completed", checkpoint: 2 });
  await expectPromise(world);
  await moment();
  await world.drain();
  world.clock.ms += MINUTE_MS;
  expect(await world.checkpoint()).toBe(3);
  await moment();
  await expectAllResolved(world);
  await expectPromise(world);
  const { functions } = await readManifestOf(world, 3);
  const holes = functions[0]?.splits.find(({ split }) => split === "s")?.holes;
  expect(holes).toEqual([{ cause: "dead-letter", from: "000006", to: "000006", records: 1 }]);
  await world.restore({ checkpoint: 2 });
  await moment();
  await world.drain();
  await expectAllResolved(world);
  await expectPromise(world);
}

describe("crash between any two calls of a batch", () => {
  it.each(["refused", "dies before", "dies after"] satisfies Fault[])(
    "%s, at every call: the promise is kept after the redelivery",
    async (fault) => {
      expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(18);
    },
  );
});

describe("a write of a batch that was applied but answered with a time-out", () => {
  it.each(["answer lost", "sent twice"] satisfies Fault[])("%s, at every call: the promise is kept", async (fault) => {
    expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(18);
  });
});

describe("a write of a batch that arrives long after its caller died", () => {
  it.each(["delayed", "dies, delayed"] satisfies Fault[])(
    "%s, at every call and until five later moments: the promise is kept",
    async (fault) => {
      expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(18);
    },
  );
});
