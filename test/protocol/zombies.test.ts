/** Handlers and replayers that sleep through what overtakes them. */
import { describe, expect, it } from "vitest";
import { settled } from "../support/every-call.ts";
import { expectAllResolved, expectOneLiveGeneration, expectPromise, liveLogs } from "../support/oracle.ts";
import { at, TestWorld } from "../support/test-world.ts";

async function started(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abcabcab");
  world.split("t", "bcbc");
  await world.deliver("s", 1, 3);
  await world.deliver("t", 1, 1);
  await world.checkpoint();
  await world.deliver("s", 4, 6);
  await world.checkpoint();
  await world.deliver("t", 2, 3);
  return world;
}

describe("a zombie handler", () => {
  it.each(["state.load a,b,c", "state.write a", "end s"])(
    "held at %s through a restore has no effect",
    async (step) => {
      const world = new TestWorld();
      world.split("s", "xxabcabcab");
      await world.deliver("s", 1, 2);
      await world.checkpoint();
      const zombie = world.start();
      const gate = zombie.pauseAt((call) => call.step === step);
      const running = world.deliver("s", 3, 5, { process: zombie });
      await gate.reached;
      await world.restore({ checkpoint: 1 });
      const before = [await world.itemOf("s"), await liveLogs(world)];
      gate.release();
      await expect(running).rejects.toMatchObject({ kind: "retry" });
      expect([await world.itemOf("s"), await liveLogs(world)]).toEqual(before);
      await world.drain();
      await expectAllResolved(world);
      await expectPromise(world);
    },
  );

  it("held at its End through a later batch cannot end it, nor move the position back", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    const zombie = world.start();
    const gate = zombie.pauseAt((call) => call.step === "end s");
    const running = world.deliver("s", 1, 2, { process: zombie });
    await gate.reached;
    await world.deliverUntilDone("s", 1, 6);
    const before = await world.itemOf("s");
    gate.release();
    await expect(running).rejects.toMatchObject({ kind: "retry" });
    expect(await world.itemOf("s")).toEqual(before);
    await expectPromise(world);
  });

  it("that held its End while its events were tried again in part leaves the split unclean", async () => {
    const world = new TestWorld();
    world.split("s", "abcabc");
    const zombie = world.start();
    const gate = zombie.pauseAt((call) => call.step === "end s");
    const running = world.deliver("s", 1, 2, { process: zombie });
    await gate.reached;
    await settled(
      world.deliver("s", 1, 4, { process: world.start((c) => (c.step === "end s" ? "dies before" : undefined)) }),
    );
    gate.release();
    await settled(running);
    expect(await world.itemOf("s")).toMatchObject({ position: "", attemptedTo: at(4) });
    await world.drain();
    await world.checkpoint();
    await expectPromise(world);
  });

  it("of the mapping cannot begin on a split that is REPLAYING, although it had seen it RUNNING", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const restorer = world.start();
    const gate = restorer.pauseAt((call) => call.step.startsWith("storage.read chk-0000000001/log"));
    const carried = world.carryOn({ process: restorer });
    await gate.reached;
    const before = await world.itemOf("s");
    await expect(world.deliver("s", 7, 8)).rejects.toMatchObject({
      kind: "retry",
      message: expect.stringContaining("a restore is under way"),
    });
    expect(await world.itemOf("s")).toEqual(before);
    gate.release();
    await carried;
    await world.drain();
    await expectPromise(world);
  });

  it("that replays for an older restore cannot begin in the newer one's generation", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const older = world.start();
    const gate = older.pauseAt((call) => call.step === "begin s");
    const carried = world.carryOn({ process: older });
    await gate.reached;
    await world.restore({ checkpoint: 2 });
    await world.request({ checkpoint: 1 });
    const newer = world.start();
    const newerGate = newer.pauseAt((call) => call.step === "begin s");
    const newerCarried = world.carryOn({ process: newer });
    await newerGate.reached;
    const before = await world.itemOf("s");
    expect(before).toMatchObject({ gen: 4, phase: "REPLAYING" });
    gate.release();
    await settled(carried);
    expect(await world.itemOf("s")).toEqual(before);
    newerGate.release();
    await newerCarried;
    await world.drain();
    await expectPromise(world);
    await expectOneLiveGeneration(world, 4);
  });
});
