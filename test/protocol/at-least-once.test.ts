/**
 * At-least-once mode: no barrier, no before-image, no applied marks. Weaker: every event at or before the checkpoint's
 * positions is in it, later ones may be, and what is replayed may be there twice.
 */
import { describe, expect, it } from "vitest";
import { everyCall, settled } from "../support/every-call.ts";
import type { Fault } from "../support/faulty-stores.ts";
import type { Logs } from "../support/oracle.ts";
import { checkpointLogs, expectOneLiveGeneration, liveLogs, readManifestOf } from "../support/oracle.ts";
import { at, numberAt, TestWorld } from "../support/test-world.ts";

async function started(): Promise<TestWorld> {
  const world = new TestWorld({ mode: "at-least-once" });
  world.split("s", "abcabcab");
  world.split("t", "abab");
  await world.deliver("s", 1, 3);
  await world.deliver("t", 1, 1);
  return world;
}

/** Every event up to the positions is there; the first time that each is, they are in order. */
function expectAtLeast(world: TestWorld, logs: Logs, positions: ReadonlyMap<string, string>, what: string): void {
  for (const [split, position] of positions) {
    const values = world.source.splits.get(split)?.values as { key: string; id: string }[];
    for (const key of ["a", "b", "c"]) {
      const due = values.slice(0, numberAt(position)).filter((event) => event.key === key);
      const folded = (logs.get(key) ?? []).filter((id) => id.startsWith(split));
      const first = [...new Set(folded)];
      expect(first.slice(0, due.length), `${what}: split ${split}, key ${key}`).toEqual(due.map(({ id }) => id));
    }
  }
}

async function expectLive(world: TestWorld): Promise<void> {
  const positions = new Map([...(await world.items())].map(([split, { position }]) => [split, position]));
  expectAtLeast(world, await liveLogs(world), positions, "live");
}

async function expectCheckpoint(world: TestWorld, n: number): Promise<void> {
  const splits = (await readManifestOf(world, n)).functions[0]?.splits ?? [];
  const positions = new Map(splits.map(({ split, position }) => [split, position]));
  expectAtLeast(world, await checkpointLogs(world, n), positions, `checkpoint ${n}`);
}

describe("at-least-once", () => {
  it("keeps neither marks nor before-images, and passes no barrier", async () => {
    const world = await started();
    const n = await world.checkpoint();
    await world.deliver("s", 4, 6);
    const items = await world.stores.state.load({ function: "log", generation: 1 }, ["a", "b", "c"]);
    for (const item of items.values()) {
      expect(item.applied).toEqual({});
      expect(item.before).toBeUndefined();
    }
    expect(world.ofType("barrier")).toEqual([]);
    expect((await readManifestOf(world, n)).mode).toBe("at-least-once");
    await expectCheckpoint(world, n);
  });

  it("folds everything once while nothing fails", async () => {
    const world = await started();
    await world.drain();
    const logs = await liveLogs(world);
    expect([...logs.values()].flat().toSorted()).toEqual([...new Set([...logs.values()].flat())].toSorted());
    await expectLive(world);
  });

  it("reads its positions before the scan: what is folded meanwhile may be in it, and nothing before is missing", async () => {
    const world = await started();
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "state.scan ");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    await world.drain();
    gate.release();
    await running;
    expect((await readManifestOf(world, 1)).functions[0]?.splits).toMatchObject([
      { position: at(3) },
      { position: at(1) },
    ]);
    await expectCheckpoint(world, 1);
  });

  it("is not taken by code from before a function was renamed, once a restore has taken its state over", async () => {
    const world = await started();
    await world.checkpoint();
    const { app } = world;
    world.describe("log", { name: "renamed", previousName: "log" });
    await world.restore();
    const renamed = world.app;
    Object.assign(world, { app });
    expect(await world.coordinate({ request: {} })).toMatchObject({ outcome: "aborted" });
    Object.assign(world, { app: renamed });
    const n = await world.checkpoint();
    expect((await readManifestOf(world, n)).functions).toMatchObject([{ name: "renamed", keys: 3 }]);
  });

  it("waits for no busy split", async () => {
    const world = await started();
    await settled(
      world.deliver("s", 4, 6, { process: world.start((c) => (c.step === "end s" ? "dies before" : undefined)) }),
    );
    const startMs = world.clock.now();
    const report = await world.coordinate({ request: {} });
    expect(report).toMatchObject({ outcome: "completed" });
    expect(world.clock.now()).toBe(startMs);
    await expectCheckpoint(world, 1);
  });

  it.each(["dies before", "dies after", "answer lost", "sent twice", "dies, delayed"] satisfies Fault[])(
    "a batch or a checkpoint that %s at any call loses nothing",
    async (fault) => {
      const calls = await everyCall(fault, {
        setup: started,
        act: async (world, process) => {
          await world.deliverUntilDone("s", 4, 6, { process });
          await world.coordinate({ request: {}, process });
        },
        after: async (world, moment) => {
          await moment();
          await world.deliverUntilDone("s", 4, 6);
          await expectLive(world);
          await world.coordinate();
          await moment();
          const n = await world.checkpoint();
          await expectCheckpoint(world, n);
          await moment();
          await world.drain();
          await moment();
          await world.restore({ checkpoint: n });
          await moment();
          await expectOneLiveGeneration(world);
          await expectLive(world);
        },
      });
      expect(calls).toBeGreaterThan(30);
    },
  );

  it("a restore leaves out nothing and keeps one live generation: a zombie of before changes nothing", async () => {
    const world = await started();
    const n = await world.checkpoint();
    const zombie = world.start();
    const gate = zombie.pauseAt((call) => call.step === "state.write a");
    const running = world.deliver("s", 4, 6, { process: zombie });
    await gate.reached;
    await world.restore({ checkpoint: n });
    const before = await liveLogs(world);
    gate.release();
    await expect(running).rejects.toMatchObject({ kind: "retry" });
    expect(await liveLogs(world)).toEqual(before);
    await world.drain();
    await expectLive(world);
  });

  it("a function of the other mode is refused by name, and writes nothing, until a restore changes the mode", async () => {
    const world = await started();
    const n = await world.checkpoint({ savepoint: "change" });
    world.app = { ...world.app, checkpointing: { ...world.app.checkpointing, mode: "exactly-once" } };
    await expect(world.deliver("s", 4, 5)).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining('its state was written in mode "at-least-once"'),
    });
    await expect(world.coordinate({ request: {} })).rejects.toMatchObject({ kind: "fix-configuration" });
    expect((await world.itemOf("s"))?.position).toBe(at(3));
    await world.restore({ checkpoint: n });
    await world.drain();
    expect(await world.checkpoint()).toBe(n + 1);
    await expectLive(world);
  });
});
