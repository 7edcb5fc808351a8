import { describe, expect, it } from "vitest";
import { readControl } from "../../../shared/control/control-steps.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { carryOnRestore } from "../../../shared/restore/carry-on.ts";
import { requestRestore } from "../../../shared/restore/restore.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { readWhole } from "../../../shared/storage/checkpoint-storage.ts";
import { generationPath, manifestPath } from "../../../shared/storage/object-paths.ts";
import { describeFunction, RestoreWorld } from "../../support/restore-world.ts";

const FOREVER = Number.POSITIVE_INFINITY;

async function carryOn(world: RestoreWorld, deadlineMs = FOREVER) {
  return carryOnRestore(world.resources(), { deadlineMs, replay: world.replayer() });
}

const inheriting = <Store extends object>(store: Store, own: Partial<Store>): Store =>
  new Proxy(store, {
    get: (target, name) => {
      const member = Reflect.get(name in own ? own : target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });

/** Checkpoint 1 at s6 and tt3, then s9 and tt5. */
async function worldWithCheckpoint(): Promise<RestoreWorld> {
  const world = new RestoreWorld();
  await world.deliver("s", 1, 6);
  await world.deliver("tt", 1, 3);
  expect(await world.checkpoint()).toBe(1);
  await world.deliver("s", 7, 9);
  await world.deliver("tt", 4, 5);
  return world;
}

describe("a restore", () => {
  it("brings back the state of the cut and replays what was processed after it", async () => {
    const world = await worldWithCheckpoint();
    const before = await world.logs();

    const started = await requestRestore(world.resources());
    expect(started).toMatchObject({
      outcome: "started",
      checkpoint: 1,
      generation: 2,
      functions: { log: "log" },
      keys: 3,
    });
    expect(await carryOn(world)).toMatchObject({ outcome: "finished", checkpoint: 1, generation: 2 });

    await world.expectRunning(2);
    await world.expectPromise();
    expect((await world.splitOf("s")).position).toBe("000009");
    expect([...(await world.logs()).keys()].sort()).toEqual([...before.keys()].sort());
    await world.deliver("s", 8, 12);
    await world.deliver("tt", 1, 12);
    await world.expectPromise();
    expect(world.events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["restore-started", "restore-loaded", "split-replayed", "restore-finished"]),
    );
  });

  it("loads items of the restored generation in epoch 0 with neither applied marks nor a before-image", async () => {
    const world = await worldWithCheckpoint();
    await requestRestore(world.resources());
    const noReplay = carryOnRestore(world.resources(), {
      deadlineMs: FOREVER,
      replay: () => Promise.reject(new (class Stop extends Error {})("no replay")),
    });
    await expect(noReplay).rejects.toThrow("no replay");
    const items = await world.stores.state.load({ function: "log", generation: 2 }, ["a", "b", "c"]);
    expect(items.size).toBe(3);
    for (const item of items.values()) {
      expect(item).toMatchObject({ generation: 2, epoch: 0, applied: {} });
      expect(item).not.toHaveProperty("before");
    }
    expect(new Set([...items.values()].map(({ v }) => v)).size).toBe(3);
  });

  it("goes on where a deadline stopped it, part by part", async () => {
    const world = await worldWithCheckpoint();
    await requestRestore(world.resources());
    expect(await carryOn(world, world.clock.now())).toMatchObject({ outcome: "unfinished" });
    expect(await readControl(world.stores.control)).toMatchObject({ phase: "REPLAYING", gen: 1, maxGen: 2 });
    expect(await carryOn(world)).toMatchObject({ outcome: "finished" });
    expect(await carryOn(world)).toEqual({ outcome: "nothing-to-do" });
    await world.expectPromise();
  });

  it("whose deadline comes while parts are loaded goes on, though one of them is done after another was left", async () => {
    const world = await worldWithCheckpoint();
    await requestRestore(world.resources());
    const deadlineMs = world.clock.now() + 1_000;
    let writes = 0;
    const slow = inheriting(world.stores.state, {
      write: async (name, item, expected) => {
        writes += 1;
        // The deadline comes, and the other parts have ended by the time that this one is answered.
        world.clock.ms = deadlineMs + 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return world.stores.state.write(name, item, expected);
      },
    });
    const cutOff = await carryOnRestore(world.resources({ state: slow }), {
      ...{ deadlineMs, replay: world.replayer(), partConcurrency: 4 },
    });
    expect(writes).toBe(1);
    expect(cutOff).toMatchObject({ outcome: "unfinished" });
    expect((await readControl(world.stores.control))?.restore?.loadedAtMs).toBeUndefined();
    expect(await carryOn(world)).toMatchObject({ outcome: "finished" });
    await world.expectPromise();
  });

  it("to an older checkpoint makes the abandoned ones never latest again", async () => {
    const world = await worldWithCheckpoint();
    expect(await world.checkpoint()).toBe(2);
    await world.deliver("s", 10, 10);
    expect(await world.checkpoint()).toBe(3);
    await requestRestore(world.resources(), { checkpoint: 1 });
    expect(await requestRestore(world.resources())).toMatchObject({
      outcome: "under-way",
      checkpoint: 1,
      generation: 2,
    });
    await carryOn(world);
    await world.expectPromise();
    expect((await world.splitOf("s")).position).toBe("000010");
    expect(await requestRestore(world.resources(), { dryRun: true })).toMatchObject({ checkpoint: 1, generation: 3 });
    expect(await world.checkpoint()).toBe(4);
    expect(await requestRestore(world.resources(), { dryRun: true })).toMatchObject({ checkpoint: 4 });
  });

  it("finds a savepoint by its name, and a checkpoint by a time", async () => {
    const world = await worldWithCheckpoint();
    const between = new Date(world.clock.now() - 1);
    await world.checkpoint({ savepoint: "before-deploy" });
    await world.checkpoint();
    expect(await requestRestore(world.resources(), { savepoint: "before-deploy", dryRun: true })).toMatchObject({
      checkpoint: 2,
    });
    expect(await requestRestore(world.resources(), { before: between, dryRun: true })).toMatchObject({ checkpoint: 1 });
  });

  it("aborts the checkpoint that is open, by its marker and its status", async () => {
    const world = await worldWithCheckpoint();
    expect(await world.checkpoint({ abandon: "open" })).toBe(2);
    expect(await requestRestore(world.resources())).toMatchObject({
      outcome: "started",
      checkpoint: 1,
      interrupted: 2,
    });
    expect((await readControl(world.stores.control))?.checkpoint).toMatchObject({
      n: 2,
      open: false,
      status: "ABORTED",
    });
    expect(JSON.parse((await readWhole(world.stores.storage, manifestPath(2)))?.text ?? "")).toMatchObject({
      kind: "aborted",
    });
    await carryOn(world);
    await world.expectRunning(2);
    await world.expectPromise();
    expect(await world.checkpoint()).toBe(3);
  });

  it("works where the record of an earlier restore was altered, and takes a number past it", async () => {
    const world = await worldWithCheckpoint();
    await requestRestore(world.resources());
    await carryOn(world);
    const { storage } = world.stores;
    const record = await readWhole(storage, generationPath(2));
    await storage.replace(generationPath(2), Buffer.from("{"), record?.version ?? "");
    expect(await requestRestore(world.resources())).toMatchObject({ outcome: "started", generation: 3 });
    await carryOn(world);
    await world.expectRunning(3);
    await world.expectPromise();
  });

  it("works in an empty account, from storage alone, and reuses neither numbers nor generations", async () => {
    const old = await worldWithCheckpoint();
    await old.checkpoint();
    await requestRestore(old.resources(), { checkpoint: 1 });
    await carryOn(old);
    const { storage } = old.stores;
    const stores = { storage, control: new HeapControlStore(), state: new HeapStateBackend() };
    const world = new RestoreWorld({ stores, source: old.source });

    expect(await requestRestore(world.resources())).toMatchObject({ outcome: "started", checkpoint: 1, generation: 3 });
    expect(await carryOn(world)).toMatchObject({ outcome: "finished" });
    await world.expectRunning(3);
    await world.expectPromise();
    expect((await world.splitOf("s")).position).toBe("000006");
    await world.deliver("s", 1, 12);
    await world.expectPromise();
    expect(await world.checkpoint()).toBe(3);
  });

  it("says so when there is no checkpoint at all, and changes nothing", async () => {
    const world = new RestoreWorld();
    await expect(requestRestore(world.resources())).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    expect(await readControl(world.stores.control)).toBeUndefined();
  });

  it("changes nothing in a dry run", async () => {
    const world = await worldWithCheckpoint();
    const before = await readControl(world.stores.control);
    expect(await requestRestore(world.resources(), { dryRun: true })).toMatchObject({
      ...{ outcome: "would-restore", checkpoint: 1, generation: 2, files: 3, keys: 3 },
    });
    expect(await readControl(world.stores.control)).toEqual(before);
  });

  it("takes over the state of a function's previous name, and replays what the old name had processed", async () => {
    const world = await worldWithCheckpoint();
    world.functions = [describeFunction("renamed", { previousName: "log" })];
    expect(await requestRestore(world.resources())).toMatchObject({ functions: { renamed: "log" } });
    await carryOn(world);
    await world.expectRunning(2, "renamed");
    await world.expectPromise("renamed");
    // The mapping goes on after what it had delivered to the old name: nothing before it may be missing.
    expect((await world.splitOf("s", "renamed")).position).toBe("000009");
    await expect(world.deliver("s", 10, 10, "log")).rejects.toMatchObject({ kind: "retry" });
  });

  it("leaves the state of a function behind only when that is allowed", async () => {
    const world = await worldWithCheckpoint();
    world.functions = [describeFunction("other")];
    await expect(requestRestore(world.resources())).rejects.toMatchObject({
      ...{ kind: "fix-configuration", message: expect.stringContaining("function log") },
    });
    const report = await requestRestore(world.resources(), { allowNonRestoredState: true });
    expect(report).toMatchObject({
      outcome: "started",
      functions: {},
      startEmpty: ["other"],
      leftBehind: ["log"],
      keys: 0,
    });
    expect(await carryOn(world)).toMatchObject({ outcome: "finished" });
    await world.deliver("s", 1, 4, "other");
    await world.expectPromise("other");
  });

  it("makes ended splits and holes again as the manifest has them", async () => {
    const world = new RestoreWorld();
    await world.deliver("s", 1, 9);
    await world.deliver("tt", 1, 3);
    await world.checkpoint();
    await world.deliver("tt", 4, 5);
    const hole = { cause: "dead-letter", from: "000002", to: "000002", records: 1 } as const;
    await world.editManifest(1, (manifest) => {
      const [log] = manifest.functions;
      for (const split of log?.splits ?? []) {
        if (split.split === "s") Object.assign(split, { holes: [hole], ended: true });
      }
    });
    await requestRestore(world.resources());
    await carryOn(world);
    expect(await world.splitOf("s")).toMatchObject({ ended: true, holes: [hole] });
    expect((await world.splitOf("tt")).ended).toBeUndefined();
  });
});
