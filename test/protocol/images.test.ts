/** The image of a key at the cut, whatever happens to the key around it; barriers and who passes them. */
import { describe, expect, it } from "vitest";
import { moveIdle, passBarrier } from "../../shared/control/split-steps.ts";
import { ABSENT } from "../../shared/state/state-item.ts";
import { settled } from "../support/every-call.ts";
import { checkpointLogs, expectExactlyOnce, expectPromise, liveLogs, readManifestOf } from "../support/oracle.ts";
import { at, MINUTE_MS, TestWorld } from "../support/test-world.ts";

const itemOf = async (world: TestWorld, key: string, generation = 1) =>
  (await world.stores.state.load({ function: "log", generation }, [key])).get(key);

/** Takes a checkpoint; `meanwhile` runs when every split has passed the barrier and nothing is scanned yet. */
async function checkpointAround(world: TestWorld, meanwhile: () => Promise<unknown>): Promise<number> {
  const coordinator = world.start();
  const gate = coordinator.pauseAt((call) => call.step === "state.scan ");
  const running = world.coordinate({ request: {}, process: coordinator });
  await gate.reached;
  await meanwhile();
  gate.release();
  const report = await running;
  if (report.outcome !== "completed") throw new Error(`not completed: ${JSON.stringify(report)}`);
  return report.checkpoint;
}

describe("a key around the cut", () => {
  it("created after the cut is not in the checkpoint", async () => {
    const world = new TestWorld();
    world.split("s", "ab");
    await world.deliver("s", 1, 1);
    const n = await checkpointAround(world, () => world.deliver("s", 2, 2));
    expect([...(await checkpointLogs(world, n)).keys()]).toEqual(["a"]);
    expect((await itemOf(world, "b"))?.before).toBe(ABSENT);
    await expectPromise(world);
  });

  it("changed twice after the cut has the image before the first change", async () => {
    const world = new TestWorld();
    world.split("s", "aaaa");
    await world.deliver("s", 1, 2);
    const n = await checkpointAround(world, async () => {
      await world.deliver("s", 3, 3);
      await world.deliver("s", 4, 4);
    });
    expect((await checkpointLogs(world, n)).get("a")).toEqual(["s1", "s2"]);
    await expectPromise(world);
  });

  it("deleted after the cut is in the checkpoint", async () => {
    const world = new TestWorld();
    world.split("s", "aA");
    await world.deliver("s", 1, 1);
    const n = await checkpointAround(world, () => world.deliver("s", 2, 2));
    expect((await checkpointLogs(world, n)).get("a")).toEqual(["s1"]);
    expect((await liveLogs(world)).has("a")).toBe(false);
    await expectPromise(world);
  });

  it("created and deleted after the cut, within one batch or two, is not in the checkpoint", async () => {
    const world = new TestWorld();
    world.split("s", "xaAbB");
    await world.deliver("s", 1, 1);
    const n = await checkpointAround(world, async () => {
      await world.deliver("s", 2, 4);
      await world.deliver("s", 5, 5);
    });
    expect([...(await checkpointLogs(world, n)).keys()]).toEqual(["x"]);
    await expectPromise(world);
  });

  it("deleted before the cut and created again after it is not in the checkpoint", async () => {
    const world = new TestWorld();
    world.split("s", "aAa");
    await world.deliver("s", 1, 2);
    const n = await checkpointAround(world, () => world.deliver("s", 3, 3));
    expect((await checkpointLogs(world, n)).size).toBe(0);
    expect((await liveLogs(world)).get("a")).toEqual(["s3"]);
    await expectPromise(world);
  });
});

describe("two splits writing one key across a barrier", () => {
  it("both images are right, whichever comes first", async () => {
    for (const order of [
      ["s", "t"],
      ["t", "s"],
    ] as const) {
      const world = new TestWorld();
      world.split("s", "aaa");
      world.split("t", "aaa");
      const [early, late] = order;
      await world.deliver(early, 1, 1);
      await world.deliver(late, 1, 1);
      const dying = world.start((call) => (call.step === `end ${late}` ? "dies before" : undefined));
      await settled(world.deliver(late, 2, 2, { process: dying }));
      const report = await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
      expect(report.outcome).toBe("unfinished");
      await world.deliver(early, 2, 2);
      // The key is in the new epoch now; the late split's event of the old one belongs into both images.
      await world.deliverUntilDone(late, 2, 3);
      await world.deliver(early, 3, 3);
      await world.coordinate();
      expect((await checkpointLogs(world, 1)).get("a")?.toSorted()).toEqual(
        [`${early}1`, `${late}1`, `${late}2`].toSorted(),
      );
      expect((await liveLogs(world)).get("a")).toHaveLength(6);
      await expectPromise(world);
    }
  });

  it("an event of the old epoch on a key that the new one created is in both images", async () => {
    const world = await straggling("b");
    await world.deliver("s", 2, 2);
    await world.deliverUntilDone("t", 2, 2);
    await world.coordinate();
    expect((await checkpointLogs(world, 1)).get("b")).toEqual(["t2"]);
    expect((await liveLogs(world)).get("b")).toEqual(["s2", "t2"]);
    await expectPromise(world);
  });

  it("a clearing of the old epoch on a key that the new one changed clears both images", async () => {
    const world = new TestWorld();
    world.split("s", "aa");
    world.split("t", "xA");
    await world.deliver("s", 1, 1);
    await world.deliver("t", 1, 1);
    await settled(
      world.deliver("t", 2, 2, {
        process: world.start((c) => (c.step === "state.write a" ? "dies before" : undefined)),
      }),
    );
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliver("s", 2, 2);
    await world.deliverUntilDone("t", 2, 2);
    await world.coordinate();
    expect((await checkpointLogs(world, 1)).has("a")).toBe(false);
    expect((await liveLogs(world)).has("a")).toBe(false);
  });

  it("a throw in either fold counts as a throw at that record, and neither image is changed", async () => {
    const world = await straggling("b");
    await world.deliver("s", 2, 2);
    world.behaviour = { poison: ["t2"] };
    for (let i = 0; i < 5; i += 1) await world.deliver("t", 2, 2);
    await world.coordinate();
    expect((await checkpointLogs(world, 1)).has("b")).toBe(false);
    expect((await liveLogs(world)).get("b")).toEqual(["s2"]);
    expect(await world.itemOf("t")).toMatchObject({ position: at(2), holes: [{ from: at(2) }] });
    await expectPromise(world);
  });

  /** s has passed barrier 1, t (unclean: t2, of key `key`, was tried) not. */
  async function straggling(key: string): Promise<TestWorld> {
    const world = new TestWorld();
    world.split("s", `a${key}`);
    world.split("t", `a${key}`);
    await world.deliver("s", 1, 1);
    await world.deliver("t", 1, 1);
    const dying = world.start((call) => (call.step.startsWith("state.write") ? "dies before" : undefined));
    await settled(world.deliver("t", 2, 2, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    return world;
  }
});

describe("an aborted checkpoint followed by the next one", () => {
  it("while a slow split skips the aborted epoch: the image is right", async () => {
    const world = new TestWorld();
    world.split("s", "aaaaa");
    world.split("t", "aaaaa");
    await world.deliver("s", 1, 1);
    const dying = world.start((call) => (call.step === "end t" ? "dies before" : undefined));
    await settled(world.deliver("t", 1, 2, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliver("s", 2, 2);
    world.clock.ms += 11 * MINUTE_MS;
    expect(await world.coordinate()).toMatchObject({ outcome: "aborted", checkpoint: 1 });
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliver("s", 3, 3);
    expect(await world.itemOf("t")).toMatchObject({ epoch: 0, pendingEpoch: 2 });
    await world.deliverUntilDone("t", 1, 2);
    await world.deliver("s", 4, 4);
    await world.deliver("t", 3, 4);
    expect(await world.itemOf("t")).toMatchObject({ epoch: 2 });
    expect((await world.itemOf("t"))?.barriers).not.toHaveProperty("1");
    await world.coordinate();
    expect((await checkpointLogs(world, 2)).get("a")?.filter((id) => id.startsWith("s"))).toEqual(["s1", "s2"]);
    await expectPromise(world);
  });

  it("a handler stalled in the aborted epoch writes into the right images when it wakes in the next", async () => {
    const world = new TestWorld();
    world.split("s", "aaaa");
    world.split("t", "aa");
    await world.deliver("s", 1, 1);
    await world.deliver("t", 1, 1);
    const dying = world.start((call) => (call.step === "end t" ? "dies before" : undefined));
    await settled(world.deliver("t", 2, 2, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    const zombie = world.start();
    const gate = zombie.pauseAt((call) => call.step === "state.write a");
    const running = world.deliver("s", 2, 2, { process: zombie });
    await gate.reached;
    world.clock.ms += 11 * MINUTE_MS;
    expect(await world.coordinate()).toMatchObject({ outcome: "aborted" });
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliverUntilDone("s", 2, 4);
    await world.deliverUntilDone("t", 2, 2);
    gate.release();
    await settled(running);
    await world.coordinate();
    expect(await liveAndPromise(world)).toBe(6);
  });
});

async function liveAndPromise(world: TestWorld): Promise<number> {
  await expectPromise(world);
  return (await liveLogs(world)).get("a")?.length ?? 0;
}

describe("a barrier", () => {
  it("is passed once by an idle move and a handler that race", async () => {
    const world = new TestWorld();
    world.split("s", "abab");
    await world.deliver("s", 1, 2);
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "move s");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    await world.deliver("s", 3, 4);
    gate.release();
    await running;
    expect(world.ofType("barrier")).toMatchObject([{ split: "s", checkpoint: 1, position: at(2) }]);
    expect((await readManifestOf(world, 1)).functions[0]?.splits[0]?.position).toBe(at(2));
    await expectPromise(world);
  });

  it("is not passed by an idle move once a batch is under way, although the coordinator saw the split clean", async () => {
    const world = new TestWorld();
    world.split("s", "xabab");
    await world.deliver("s", 1, 1);
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "move s");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    // Its Begin was repeated, so it counts as not clean and folds in the old epoch; a is written, b not yet.
    let begins = 0;
    const handler = world.start((call) => (call.step === "begin s" && begins++ === 0 ? "sent twice" : undefined));
    const writing = handler.pauseAt((call) => call.step === "state.write b");
    const batch = world.deliver("s", 2, 5, { process: handler });
    await writing.reached;
    world.clock.planned.push(async () => {
      writing.release();
      await batch;
      await world.deliverUntilDone("s", 4, 5);
    });
    gate.release();
    await running;
    writing.release();
    await batch;
    expect((await readManifestOf(world, 1)).functions[0]?.splits[0]?.position).toBe(at(5));
    await expectPromise(world);
  });

  it("is refused to an attempt that a later batch has taken over, to another generation, and to an epoch passed", async () => {
    const world = new TestWorld();
    world.split("s", "abab");
    await world.deliver("s", 1, 2);
    const place = { function: "log", split: "s" };
    const { attempt } = (await world.itemOf("s")) ?? { attempt: 0 };
    const { control } = world.stores;
    expect(await passBarrier(control, place, { attempt: attempt - 1, generation: 1, n: 1 })).toBeUndefined();
    expect(await passBarrier(control, place, { attempt, generation: 2, n: 1 })).toBeUndefined();
    expect(await passBarrier(control, place, { attempt, generation: 1, n: 1 })).toMatchObject({ epoch: 1 });
    expect(await passBarrier(control, place, { attempt, generation: 1, n: 1 })).toBeUndefined();
    expect(await moveIdle(control, place, { generation: 1, n: 1 })).toBeUndefined();
    expect(await moveIdle(control, place, { generation: 2, n: 2 })).toBeUndefined();
  });

  it("held in flight by a handler that a later batch fenced has no effect on the cut", async () => {
    const world = new TestWorld();
    world.split("s", "ababab");
    await world.deliver("s", 1, 2);
    const asker = world.start((call) => (call.step === "move s" ? "dies before" : undefined));
    await settled(world.coordinate({ request: {}, process: asker }));
    const zombie = world.start();
    const gate = zombie.pauseAt((call) => call.step === "barrier s");
    const running = world.deliver("s", 3, 4, { process: zombie });
    await gate.reached;
    // Its range is tried by now, so the next one stays in the old epoch; then the barrier is passed behind it.
    await world.deliverUntilDone("s", 3, 4);
    await world.coordinate();
    gate.release();
    await expect(running).rejects.toMatchObject({ kind: "retry" });
    expect((await readManifestOf(world, 1)).functions[0]?.splits[0]?.position).toBe(at(4));
    await expectPromise(world);
  });

  it("whose answer was lost is recognised as its own, and the batch goes on in the new epoch", async () => {
    const world = new TestWorld();
    world.split("s", "abab");
    await world.deliver("s", 1, 2);
    const asker = world.start((call) => (call.step === "move s" ? "dies before" : undefined));
    await settled(world.coordinate({ request: {}, process: asker }));
    const process = world.start((call) => (call.step === "barrier s" ? "sent twice" : undefined));
    await world.deliver("s", 3, 4, { process });
    expect(await world.itemOf("s")).toMatchObject({ epoch: 1, position: at(4), barriers: { 1: at(2) } });
    expect(await itemOf(world, "a")).toMatchObject({ epoch: 1, before: { value: { log: ["s1"] } } });
    await world.coordinate();
    await expectExactlyOnce(world);
    await expectPromise(world);
  });

  it("makes no handler wait: batches go on while a checkpoint stands still", async () => {
    const world = new TestWorld();
    world.split("s", "ab".repeat(20));
    world.split("t", "a");
    const dying = world.start((call) => (call.step === "end t" ? "dies before" : undefined));
    await settled(world.deliver("t", 1, 1, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    const startMs = world.clock.now();
    for (let n = 1; n <= 40; n += 4) expect((await world.deliver("s", n, n + 3)).failedFrom).toBeUndefined();
    expect(world.clock.now()).toBe(startMs);
    await world.drain();
    await world.coordinate();
    await expectPromise(world);
  });
});
