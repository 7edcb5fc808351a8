/** Splits that come and go: born or closed while a checkpoint is triggered or aborted, or a restore runs. */
import { describe, expect, it } from "vitest";
import { readSplit, runSplit } from "../../shared/control/split-steps.ts";
import { settled } from "../support/every-call.ts";
import { expectAllResolved, expectOneLiveGeneration, expectPromise, readManifestOf } from "../support/oracle.ts";
import { at, MINUTE_MS, TestWorld } from "../support/test-world.ts";

const place = { function: "log", split: "u" };

async function started(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abcabc");
  await world.deliver("s", 1, 2);
  await world.checkpoint();
  world.split("u", "abab");
  return world;
}

const cutOf = async (world: TestWorld, n: number, split = "u") =>
  (await readManifestOf(world, n)).functions[0]?.splits.find((one) => one.split === split);

describe("a split born", () => {
  it("after the trigger and before the list is in the cut, with its beginning as barrier", async () => {
    const world = await started();
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "control.list SPLIT#log");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    await world.deliver("u", 1, 2);
    gate.release();
    await running;
    expect(await cutOf(world, 2)).toMatchObject({ position: "" });
    expect(await world.itemOf("u")).toMatchObject({ epoch: 2, position: at(2) });
    await expectPromise(world);
  });

  it("after the list is born into the epoch of the open checkpoint, and none of it is in the cut", async () => {
    const world = await started();
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "state.scan ");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    await world.deliver("u", 1, 2);
    gate.release();
    await running;
    expect(await cutOf(world, 2)).toBeUndefined();
    expect((await world.itemOf("u"))?.barriers).not.toHaveProperty("1");
    await world.restore({ checkpoint: 2 });
    await world.drain();
    await expectPromise(world);
  });

  it("after the list, whose first Begin was repeated and so passes no barrier, writes nothing into the cut", async () => {
    const world = await started();
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "state.scan ");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    const process = world.start((call) => (call.step === "begin u" ? "sent twice" : undefined));
    await world.deliver("u", 1, 4, { process });
    gate.release();
    await running;
    expect(await cutOf(world, 2)).toBeUndefined();
    await world.drain();
    await expectPromise(world);
  });

  it("whose put is answered late, after a checkpoint was triggered, is born into that checkpoint's epoch", async () => {
    const world = await started();
    const slow = world.start();
    const answered = slow.pauseAt((call) => call.step === "control.get CONTROL/CONTROL");
    const running = world.deliver("u", 1, 2, { process: slow });
    await answered.reached;
    expect(await readSplit(world.stores.control, place)).toBe("unborn");
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "state.scan ");
    const checkpoint = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    answered.release();
    await running;
    gate.release();
    await checkpoint;
    expect(await cutOf(world, 2)).toMatchObject({ position: "" });
    expect((await world.itemOf("u"))?.epoch).toBe(2);
    await expectPromise(world);
  });

  it("whose control was read before a checkpoint that then bore it is born once, into that checkpoint", async () => {
    const world = await started();
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "birth u");
    const running = world.deliver("u", 1, 2, { process: slow });
    await gate.reached;
    await world.checkpoint();
    expect(await cutOf(world, 2)).toMatchObject({ position: "" });
    gate.release();
    await running;
    expect(await world.itemOf("u")).toMatchObject({ epoch: 2, position: at(2) });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("whose put was not answered reads no control: it is put again first", async () => {
    const world = await started();
    for (const fault of ["refused", "answer lost", "delayed"] as const) {
      const process = world.start((call) => (call.step === "birth put u" ? fault : undefined));
      await settled(world.deliver("u", 1, 2, { process }));
      expect(process.log).not.toContain("control.get CONTROL/CONTROL");
      await process.releaseDelayed();
      expect(await world.itemOf("u")).toBeUndefined();
    }
    await world.deliver("u", 1, 2);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("into an epoch whose checkpoint was aborted: the next one cuts it exactly", async () => {
    const world = await started();
    const dying = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
    await settled(world.deliver("s", 3, 4, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "birth u");
    const running = world.deliver("u", 1, 2, { process: slow });
    await gate.reached;
    world.clock.ms += 11 * MINUTE_MS;
    expect(await world.coordinate()).toMatchObject({ outcome: "aborted", checkpoint: 2 });
    gate.release();
    await running;
    await world.deliverUntilDone("s", 3, 4);
    expect(await world.checkpoint()).toBe(3);
    expect(await cutOf(world, 3)).toMatchObject({ position: at(2) });
    await expectPromise(world);
  });

  it("before a restore's list starts at its beginning in the restored generation", async () => {
    const world = await started();
    await world.deliver("u", 1, 3);
    await world.restore({ checkpoint: 1 });
    expect(await world.itemOf("u")).toMatchObject({ gen: 2, position: at(3), until: at(3) });
    await expectPromise(world);
  });

  it("with control read before a restore's flip, and born after it, is flipped like any other", async () => {
    const world = await started();
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "birth u");
    const running = settled(world.deliver("u", 1, 2, { process: slow }));
    await gate.reached;
    await world.request({ checkpoint: 1 });
    const restorer = world.start();
    const finishing = restorer.pauseAt((call) => call.step === "flip s");
    const carried = world.carryOn({ process: restorer });
    await finishing.reached;
    gate.release();
    await running;
    finishing.release();
    await carried;
    await world.drain();
    await expectPromise(world);
    await expectOneLiveGeneration(world, 2);
  });

  it("as a restore ends is refused for no longer than until its next batch", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const restorer = world.start();
    const finishing = restorer.pauseAt((call) => call.step === "finish restore");
    const carried = world.carryOn({ process: restorer });
    await finishing.reached;
    await expect(world.deliver("u", 1, 2)).rejects.toMatchObject({ kind: "retry" });
    expect(await world.itemOf("u")).toMatchObject({ phase: "REPLAYING", gen: 2 });
    finishing.release();
    await carried;
    expect(await world.control()).toMatchObject({ phase: "RUNNING" });
    await world.deliver("u", 1, 2);
    expect(await world.itemOf("u")).toMatchObject({ phase: "RUNNING", position: at(2) });
    await world.drain();
    await world.checkpoint();
    await expectPromise(world);
  });

  it("is not set RUNNING by a handler while control is REPLAYING, or while it has something to replay", async () => {
    const world = await started();
    await world.deliver("s", 3, 5);
    await world.request({ checkpoint: 1 });
    const restorer = world.start();
    const replaying = restorer.pauseAt((call) => call.step === "begin s");
    const carried = world.carryOn({ process: restorer });
    await replaying.reached;
    await expect(world.deliver("s", 6, 6)).rejects.toMatchObject({ kind: "retry" });
    await expect(world.deliver("u", 1, 1)).rejects.toMatchObject({ kind: "retry" });
    expect(await runSplit(world.stores.control, { function: "log", split: "s" }, 2)).toBeUndefined();
    expect(await world.itemOf("s")).toMatchObject({ phase: "REPLAYING" });
    replaying.release();
    await carried;
    await world.drain();
    await expectAllResolved(world);
    await expectPromise(world);
  });

  it("of the manifest and gone from control is born before the flip: its events are not folded over the loaded state", async () => {
    const world = await started();
    await world.deliver("u", 1, 4);
    const n = await world.checkpoint();
    const empty = new TestWorld({ seed: 2, stores: { storage: world.stores.storage } });
    empty.split("s", "abcabc");
    empty.split("u", "abab");
    await empty.request({ checkpoint: n });
    const restorer = empty.start();
    const gate = restorer.pauseAt((call) => call.step === "flip s");
    const carried = empty.carryOn({ process: restorer });
    await gate.reached;
    // Control is in the new generation, the splits are not yet: a handler delivers from the stream's beginning.
    await settled(empty.deliver("u", 1, 4));
    gate.release();
    await carried;
    await empty.drain();
    await expectAllResolved(empty);
    await expectPromise(empty);
  });
});

describe("a split closed", () => {
  it("is ended in the cut once it was read to its end, and its children are cut with it", async () => {
    const world = await started();
    await world.deliver("s", 3, 6);
    Object.assign(world.source.splits.get("s") ?? {}, { ended: true });
    Object.assign(world.source.splits.get("u") ?? {}, { parents: ["s"] });
    await world.deliver("u", 1, 2);
    await world.checkpoint();
    expect(await cutOf(world, 2, "s")).toMatchObject({ ended: true, position: at(6) });
    expect(await cutOf(world, 2)).toMatchObject({ ended: false, position: at(2) });
    await world.deliver("u", 3, 4);
    await world.restore({ checkpoint: 2 });
    expect(await world.itemOf("s")).toMatchObject({ ended: true });
    await expectPromise(world);
  });

  it("and gone on with has not ended, in the cut and after a restore, until it is read to its end again", async () => {
    const world = await started();
    await world.deliver("s", 3, 4);
    const split = world.source.splits.get("s");
    const values = [...(split?.values ?? [])];
    Object.assign(split ?? {}, { ended: true, values: values.slice(0, 4) });
    await world.checkpoint();
    expect(await cutOf(world, 2, "s")).toMatchObject({ ended: true, position: at(4) });

    Object.assign(split ?? {}, { values });
    await world.deliver("s", 5, 5);
    expect((await world.itemOf("s"))?.ended).toBeUndefined();
    await world.checkpoint();
    expect(await cutOf(world, 3, "s")).toMatchObject({ ended: false, position: at(5) });

    await world.restore({ checkpoint: 2 });
    expect(await world.itemOf("s")).toMatchObject({ position: at(5) });
    expect((await world.itemOf("s"))?.ended).toBeUndefined();
    await world.deliver("s", 6, 6);
    await world.checkpoint();
    expect(await cutOf(world, 4, "s")).toMatchObject({ ended: true, position: at(6) });
    await expectPromise(world);
  });

  it("and not read to its end is not ended", async () => {
    const world = await started();
    Object.assign(world.source.splits.get("s") ?? {}, { ended: true });
    await world.checkpoint();
    expect(await cutOf(world, 2, "s")).toMatchObject({ ended: false, position: at(2) });
  });

  it("is replayed before its children", async () => {
    const world = await started();
    await world.deliver("s", 3, 6);
    Object.assign(world.source.splits.get("u") ?? {}, { parents: ["s"] });
    await world.deliver("u", 1, 4);
    await world.restore({ checkpoint: 1 }, { process: world.main });
    const replayed = world.ofType("split-replayed").map(({ split }) => split);
    expect(replayed).toEqual(["s", "u"]);
    await expectPromise(world);
  });

  it("while a checkpoint is aborted: ended in the next", async () => {
    const world = await started();
    const dying = world.start((call) => (call.step === "end u" ? "dies before" : undefined));
    await settled(world.deliver("u", 1, 2, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliver("s", 3, 6);
    Object.assign(world.source.splits.get("s") ?? {}, { ended: true });
    world.clock.ms += 11 * MINUTE_MS;
    await world.coordinate();
    await world.drain();
    await world.checkpoint();
    expect(await cutOf(world, 3, "s")).toMatchObject({ ended: true, position: at(6) });
    await expectPromise(world);
  });
});
