/** Dead letters that are put back: each counts once, whatever is put back twice, restored, or fails again. */
import { describe, expect, it } from "vitest";
import { settled } from "../support/every-call.ts";
import { expectPromise, liveLogs } from "../support/oracle.ts";
import { TestWorld } from "../support/test-world.ts";

/** s2 is a dead letter, and all of s is resolved. */
async function withLetter(poison: readonly string[] = ["s2"]): Promise<TestWorld> {
  const world = new TestWorld({ triesMax: 1 });
  world.split("s", "aabb");
  await world.deliver("s", 1, 1);
  await world.checkpoint();
  world.behaviour = { poison };
  await world.deliverUntilDone("s", 2, 4);
  world.behaviour = {};
  return world;
}

const logOf = async (world: TestWorld, key: string) => (await liveLogs(world)).get(key) ?? [];

describe("a redriven dead letter", () => {
  it("is folded once by the function that takes it now", async () => {
    const world = await withLetter();
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    expect((await world.itemOf("redrive"))?.position).toBe("000000000001");
  });

  it("put back twice, in one batch or in two, counts once", async () => {
    const world = await withLetter();
    await world.redriveLetters();
    await world.redriveLetters();
    await world.deliverRedriven();
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
  });

  it("is folded once although its batch dies at any call and is delivered again", async () => {
    for (let at = 1; ; at += 1) {
      const world = await withLetter();
      await world.redriveLetters();
      await world.redriveLetters();
      const process = world.start((call) => (call.number === at ? "dies after" : undefined));
      await settled(world.deliverRedriven({ process }));
      if (process.calls < at) break;
      await world.deliverRedriven();
      expect(await logOf(world, "a"), `died at ${process.log.at(-1)}`).toEqual(["s1", "s2"]);
    }
  });

  it("whose first writing arrives once more, late, still counts once", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "aa");
    world.behaviour = { poison: ["s2"] };
    await world.deliver("s", 1, 2);
    const dying = world.start((call) =>
      call.step.startsWith("storage.createExclusively dead") ? "dies, delayed" : undefined,
    );
    await settled(world.deliver("s", 2, 2, { process: dying }));
    await world.deliverUntilDone("s", 2, 2);
    world.behaviour = {};
    await world.redriveLetters();
    await world.deliverRedriven();
    await dying.releaseDelayed();
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
  });

  it("whose first writer was stalled, and wakes once it was redriven, still counts once", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "aa");
    world.behaviour = { poison: ["s2"] };
    await world.deliver("s", 1, 1);
    const stalled = world.start();
    const gate = stalled.pauseAt((call) => call.step.startsWith("storage.createExclusively dead"));
    const running = world.deliver("s", 2, 2, { process: stalled });
    await gate.reached;
    await world.deliverUntilDone("s", 2, 2);
    world.behaviour = {};
    await world.redriveLetters();
    await world.deliverRedriven();
    gate.release();
    await settled(running);
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
  });

  it("that fails again is a dead letter again, and may be put back again", async () => {
    const world = await withLetter();
    world.behaviour = { poison: ["s2"] };
    await world.redriveLetters();
    for (let i = 0; i < 3; i += 1) await world.deliverRedriven();
    expect((await world.itemOf("redrive"))?.holes).toHaveLength(1);
    expect(await logOf(world, "a")).toEqual(["s1"]);
    world.behaviour = {};
    // Both letters, that of its own split and that of the redrive: they are one record.
    expect(await world.redriveLetters()).toHaveLength(2);
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
  });

  it("keeps its redriven state across a restore to a cut after it", async () => {
    const world = await withLetter();
    await world.redriveLetters();
    await world.deliverRedriven();
    const n = await world.checkpoint();
    await world.restore({ checkpoint: n });
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    await world.deliverRedriven();
    await world.drain();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    await expectRunning(world);
  });

  it("is replayed after a restore to a cut between its giving up and its redrive", async () => {
    const world = await withLetter();
    const n = await world.checkpoint();
    await world.redriveLetters();
    await world.deliverRedriven();
    await world.restore({ checkpoint: n });
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    await expectRunning(world);
  });

  it("is passed over after a restore to a cut before its giving up, where its split folds it now", async () => {
    const world = await withLetter();
    await world.redriveLetters();
    await world.deliverRedriven();
    await world.restore({ checkpoint: 1 });
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    await expectRunning(world);
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    await expectPromise(world);
  });

  it("is folded once after such a restore where its split gives it up again", async () => {
    const world = await withLetter();
    await world.redriveLetters();
    await world.deliverRedriven();
    world.behaviour = { poison: ["s2"] };
    await world.request({ checkpoint: 1 });
    // The replay is carried until the redriven records' turn; by then the function is repaired.
    const process = world.start();
    const gate = process.pauseAt((call) => call.step === "begin redrive");
    const running = world.carryOn({ process });
    await gate.reached;
    world.behaviour = {};
    gate.release();
    await running;
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    await expectRunning(world);
    await world.redriveLetters();
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
  });

  it("waits until its own split has come to the record, and neither counts a try nor is lost meanwhile", async () => {
    const world = await withLetter();
    await world.redriveLetters();
    await world.request({ checkpoint: 1 });
    await world.carryOn({ deadlineMs: world.clock.now() });
    await expect(world.deliverRedriven()).rejects.toMatchObject({ kind: "retry" });
    await world.carryOn();
    await world.deliverRedriven();
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    expect((await world.itemOf("redrive"))?.holes).toEqual([]);
  });

  it("is in a checkpoint's cut exactly when its place in the redrive split is", async () => {
    const world = await withLetter(["s2", "s4"]);
    await world.redriveLetters();
    const [first] = await recordsOfRedrive(world);
    if (first === undefined) throw new Error("nothing was put back");
    await world.deliverRecords("redrive", [first]);
    const n = await world.checkpoint();
    await world.deliverRedriven();
    expect(await logOf(world, "b")).toEqual(["s3", "s4"]);
    await world.restore({ checkpoint: n });
    expect(await logOf(world, "a")).toEqual(["s1", "s2"]);
    expect(await logOf(world, "b")).toEqual(["s3", "s4"]);
  });
});

async function recordsOfRedrive(world: TestWorld) {
  const records = [];
  const request = { split: "redrive", after: "", pageRecords: 10, follow: false };
  for await (const page of world.sourceOf("log").reader.read(request)) records.push(...page.records);
  return records;
}

async function expectRunning(world: TestWorld): Promise<void> {
  for (const item of (await world.items()).values()) expect(item).toMatchObject({ phase: "RUNNING" });
}
