/**
 * A restore that goes wrong at any call to a store, its replayed batches included: to an older checkpoint, while
 * another one is open, over splits that share keys, one that the cut does not know, a dead letter and a redriven one.
 */
import { describe, expect, it } from "vitest";
import { everyCall, settled } from "../support/every-call.ts";
import type { Fault, FaultyProcess } from "../support/faulty-stores.ts";
import { expectAllResolved, expectExactlyOnce, expectOneLiveGeneration, expectPromise } from "../support/oracle.ts";
import { TestWorld } from "../support/test-world.ts";

async function setup(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abca!bcA");
  world.split("t", "bbcd");
  await world.deliver("s", 1, 2);
  await world.deliver("t", 1, 2);
  await world.checkpoint();
  await world.deliverUntilDone("s", 3, 6);
  world.split("u", "cb", { parents: ["t"] });
  await world.deliver("u", 1, 1);
  await world.checkpoint();
  const dying = world.start((call) => (call.step === "end t" ? "dies before" : undefined));
  await settled(world.deliver("t", 3, 4, { process: dying }));
  const report = await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
  expect(report).toMatchObject({ outcome: "unfinished", checkpoint: 3 });
  return world;
}

const act = (world: TestWorld, process: FaultyProcess) => world.restore({ checkpoint: 1 }, { process });

async function after(world: TestWorld, moment: () => Promise<void>): Promise<void> {
  await moment();
  await world.restore({ checkpoint: 1 });
  await expectExactlyOnce(world);
  await moment();
  await expectOneLiveGeneration(world);
  await world.drain();
  await moment();
  await expectAllResolved(world);
  expect(await world.checkpoint()).toBeGreaterThan(2);
  await moment();
  await expectPromise(world);
}

/** What arrives late may also arrive during or after a second restore. */
async function afterTwo(world: TestWorld, moment: () => Promise<void>): Promise<void> {
  await after(world, moment);
  expect(await world.request({ dryRun: true })).toMatchObject({ checkpoint: (await world.control()).epoch });
  await world.restore({ checkpoint: 2 });
  await moment();
  await world.drain();
  await expectAllResolved(world);
  await expectPromise(world);
}

const CALLS = 90;

describe("crash between any two calls of a restore", () => {
  it.each(["dies before", "dies after"] satisfies Fault[])(
    "%s, at every call: run again, the state is right in one live generation",
    async (fault) => {
      expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(CALLS);
    },
  );
});

describe("a call of a restore that fails while its caller lives", () => {
  it.each(["refused", "answer lost", "sent twice"] satisfies Fault[])(
    "%s, at every call: the promise is kept",
    async (fault) => {
      expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(CALLS);
    },
  );
});

describe("a write of a restore that arrives long after its caller died", () => {
  it.each([0, 2])("at every call, and %i moments further on than the one before: the promise is kept", async (m) => {
    expect(await everyCall("dies, delayed", { setup, act, after: afterTwo }, [m])).toBeGreaterThan(CALLS);
  });
});
