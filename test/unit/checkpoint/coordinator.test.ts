import { describe, expect, test } from "vitest";
import {
  abortOpenCheckpoint,
  checkpointAgeFromMs,
  runCoordinator,
  slicesFor,
} from "../../../shared/checkpoint/coordinator.ts";
import { COVERAGE_AGE_MS } from "../../../shared/checkpoint/coverage.ts";
import { listCheckpoints } from "../../../shared/checkpoint/lineage.ts";
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import { compare, path, value } from "../../../shared/control/conditional-write.ts";
import { ensureControl, pinCheckpoint, readControl, recordRestore } from "../../../shared/control/control-steps.ts";
import { CONTROL_KEY, snapshotPartition, splitKey } from "../../../shared/control/item-keys.ts";
import { readSplit } from "../../../shared/control/split-steps.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { manifestPath } from "../../../shared/storage/object-paths.ts";
import { overriding } from "../../support/overriding.ts";
import { at, CheckpointWorld, FUNCTION, failing } from "./checkpoint-world.ts";

const place = (split: string) => ({ function: FUNCTION, split });
const MINUTE = 60_000;

async function take(world: CheckpointWorld, request: { savepoint?: string } = {}, stores = {}) {
  return runCoordinator(world.resources(stores), { deadlineMs: world.nowMs + 5 * MINUTE, request, slices: 2 });
}

async function listed(world: CheckpointWorld) {
  const found: Record<number, string> = {};
  for await (const { checkpoint, status } of listCheckpoints(world.storage, "flights")) found[checkpoint] = status;
  return found;
}

/** Three keys over two splits; `b` is shared by both. */
async function someState(world: CheckpointWorld) {
  await world.fold("s0", 1, "a");
  await world.fold("s0", 2, "b");
  await world.fold("s1", 1, "b");
  await world.fold("s1", 2, "c");
}
const SOME_IMAGE = { a: ["s0:0001"], b: ["s0:0002", "s1:0001"], c: ["s1:0002"] };

describe("a checkpoint that is due", () => {
  /** By runs a minute apart, of which every other comes a second early. @returns the numbers taken */
  async function byTheMinute(world: CheckpointWorld, dueEarlyMs?: number) {
    const resources = world.resources();
    const everyMinute = { ...resources.app, checkpointing: { ...resources.app.checkpointing, intervalMs: MINUTE } };
    const begunAtMs = world.nowMs;
    const taken: number[] = [];
    for (let run = 0; run < 4; run += 1) {
      world.nowMs = begunAtMs + run * MINUTE - (run % 2) * 1_000;
      const report = await runCoordinator(
        { ...resources, app: everyMinute },
        { deadlineMs: world.nowMs + 30_000, ...(dueEarlyMs === undefined ? {} : { dueEarlyMs }) },
      );
      if (report.outcome === "completed") taken.push(run);
    }
    return taken;
  }

  test("is taken by every run of a schedule that comes a moment early", async () => {
    expect(await byTheMinute(new CheckpointWorld(), MINUTE / 2)).toEqual([0, 1, 2, 3]);
  });

  test("is taken once its interval has passed, to the millisecond", async () => {
    const world = new CheckpointWorld();
    const resources = world.resources();
    const app = { ...resources.app, checkpointing: { ...resources.app.checkpointing, intervalMs: MINUTE } };
    const outcome = async () =>
      (await runCoordinator({ ...resources, app }, { deadlineMs: world.nowMs + 30_000 })).outcome;
    expect(await outcome()).toBe("completed");
    world.nowMs += MINUTE - 1;
    expect(await outcome()).toBe("idle");
    world.nowMs += 1;
    expect(await outcome()).toBe("completed");
  });

  test("is never taken early where nothing says so", async () => {
    expect(await byTheMinute(new CheckpointWorld())).toEqual([0, 2]);
  });
});

describe("the slices of a checkpoint", () => {
  test("are one a worker, and up to four of a state of many keys", () => {
    expect([slicesFor(), slicesFor(400_000), slicesFor(400_001), slicesFor(1_600_001)]).toEqual([4, 4, 5, 16]);
    expect([slicesFor(0, 7), slicesFor(800_000, 7), slicesFor(9_000_000, 7)]).toEqual([7, 8, 28]);
  });
});

describe("the age of the latest checkpoint", () => {
  const record = { n: 1, open: true, status: "TRIGGERED", token: "t", triggeredAtMs: 5, settled: false } as const;

  test("counts from when it completed, or else from where the one before it counted", () => {
    expect(checkpointAgeFromMs(undefined)).toBeUndefined();
    expect(checkpointAgeFromMs({ ...record, ageFromMs: 3 })).toBe(3);
    expect(checkpointAgeFromMs({ ...record, ageFromMs: 3, status: "ABORTED", finishedAtMs: 7 })).toBe(3);
    expect(checkpointAgeFromMs({ ...record, ageFromMs: 3, status: "COMPLETED", finishedAtMs: 7 })).toBe(7);
  });

  test("goes from checkpoint to checkpoint", async () => {
    const world = new CheckpointWorld({ timeoutMs: MINUTE });
    await someState(world);
    const record = async () => (await readControl(world.control))?.checkpoint;
    const begunAtMs = world.nowMs;
    await take(world);
    expect(await record()).toMatchObject({
      status: "COMPLETED",
      ageFromMs: begunAtMs,
      keys: 3,
      finishedAtMs: begunAtMs,
    });
    expect(await record()).not.toHaveProperty("keysBefore");
    world.nowMs += MINUTE;
    await world.fold("s1", 3, "c", { dies: true });
    await take(world);
    expect(await record()).toMatchObject({ status: "ABORTED", ageFromMs: begunAtMs, keysBefore: 3 });
    await world.fold("s1", 3, "c");
    await take(world);
    expect(await record()).toMatchObject({ status: "COMPLETED", ageFromMs: begunAtMs, keysBefore: 3 });
  });
});

describe("a checkpoint", () => {
  test("holds exactly the events at or before its positions, and leaves nothing else behind", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    expect(await take(world)).toMatchObject({ outcome: "completed", checkpoint: 1, keys: 3 });
    await world.fold("s0", 3, "a");
    expect(await world.image(1)).toEqual(SOME_IMAGE);
    expect(await world.positions(1)).toEqual({ s0: at(2), s1: at(2) });
    expect(await readControl(world.control)).toMatchObject({ epoch: 1, checkpoint: { settled: true } });
    expect(await readSplit(world.control, place("s0"))).toMatchObject({ resolved: 1, epoch: 1, barriers: {} });
    for await (const item of world.control.list(snapshotPartition(1))) throw new Error(`left behind: ${item.sort}`);
  });

  test("leaves out what was written, created and deleted after the cut while it was open", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    // Passes the barrier, then dies with time up: s1 has a tried tail.
    await world.fold("s1", 3, "c", { dies: true });
    const stopped = await runCoordinator(world.resources(), {
      deadlineMs: world.nowMs + 2_000,
      request: {},
      slices: 2,
    });
    expect(stopped).toEqual({ outcome: "unfinished", checkpoint: 1 });
    // s0 is in epoch 1; s1 waits: the redelivered event keeps its colour.
    await world.fold("s0", 3, "a");
    await world.fold("s0", 4, "new");
    await world.fold("s1", 3, "c");
    await world.fold("s1", 4, "b", { clears: true });
    expect(await runCoordinator(world.resources(), { deadlineMs: world.nowMs + MINUTE })).toMatchObject({
      outcome: "completed",
    });
    expect(await world.positions(1)).toEqual({ s0: at(2), s1: at(3) });
    expect(await world.image(1)).toEqual({ ...SOME_IMAGE, c: ["s1:0002", "s1:0003"] });
    expect(world.events.map(({ type }) => type)).toContain("checkpoint-carried-on");
  });

  test("is in at-least-once mode never behind its positions, however late the scan goes on", async () => {
    const world = new CheckpointWorld({ mode: "at-least-once" });
    await someState(world);
    const counter = { calls: 0, failAt: 1, lost: false };
    await expect(take(world, {}, { state: failing(world.state, counter) })).rejects.toThrow("crash");
    await world.fold("s0", 3, "a");
    const carried = await runCoordinator(world.resources(), { deadlineMs: world.nowMs + MINUTE });
    expect(carried).toMatchObject({ outcome: "completed", checkpoint: 1 });
    expect(await world.positions(1)).toEqual({ s0: at(2), s1: at(2) });
    expect(await world.image(1)).toEqual({ ...SOME_IMAGE, a: ["s0:0001", "s0:0003"] });
  });

  test.each([false, true])(
    "has one outcome and the right image after a crash at any call (answer lost: %s)",
    async (lost) => {
      let crashes = 0;
      for (let failAt = 1; ; failAt += 1) {
        const world = new CheckpointWorld({ retained: 1 });
        await someState(world);
        await take(world);
        await world.fold("s0", 3, "a");
        const counter = { calls: 0, failAt, lost };
        const stores = {
          control: failing(world.control, counter),
          state: failing(world.state, counter),
          storage: failing(world.storage, counter),
        };
        const died = await take(world, { savepoint: "now" }, stores).then(
          () => false,
          () => true,
        );
        if (!died && counter.calls < failAt) break;
        crashes += 1;
        await world.fold("s1", 3, "c");
        const before = (await readControl(world.control))?.epoch;
        await runCoordinator(world.resources(), { deadlineMs: world.nowMs + 5 * MINUTE });
        if (before === 2) {
          const positions = await world.positions(2);
          const late = positions.s1 === at(3);
          const c = late ? ["s1:0002", "s1:0003"] : ["s1:0002"];
          expect(await world.image(2), `crash at call ${failAt}`).toEqual({
            ...SOME_IMAGE,
            a: ["s0:0001", "s0:0003"],
            c,
          });
          const named = (await readManifest(world.storage, { app: "flights", n: 2 })).files.length;
          expect(await world.objects("chk-0000000002/")).toHaveLength(named + 1);
        }
        expect((await readControl(world.control))?.checkpoint).toMatchObject({ open: false, settled: true });
        // Whatever died: the next checkpoint works, and its image is right.
        expect(await take(world)).toMatchObject({ outcome: "completed" });
      }
      expect(crashes).toBeGreaterThan(40);
    },
    120_000,
  );

  test("has one outcome when two coordinators drive it at once", async () => {
    const world = new CheckpointWorld();
    for (let i = 1; i <= 40; i += 1) await world.fold("s0", i, `k${i}`);
    const reports = await Promise.all([take(world), take(world)]);
    expect(reports.map(({ outcome }) => outcome)).toContain("completed");
    expect(Object.keys(await world.image(1))).toHaveLength(40);
    expect(new Set(Object.values(await listed(world)))).toEqual(new Set(["completed"]));
  });
});

describe("an outcome", () => {
  test("is the abort's when its marker came first, and the next checkpoint works", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    await world.fold("s1", 3, "c", { dies: true });
    await runCoordinator(world.resources(), { deadlineMs: world.nowMs + 2_000, request: {} });
    const control = await readControl(world.control);
    expect(control && (await abortOpenCheckpoint(world.resources(), control))).toMatchObject({ status: "ABORTED" });
    await world.fold("s1", 3, "c");
    expect(await take(world)).toMatchObject({ outcome: "completed", checkpoint: 2 });
    expect(await listed(world)).toEqual({ 1: "aborted", 2: "completed" });
    expect(await world.objects("chk-0000000001/")).toEqual([manifestPath(1)]);
    expect(await world.image(2)).toEqual({ ...SOME_IMAGE, c: ["s1:0002", "s1:0003"] });
  });

  test("is the manifest's when the abort came second", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    // The coordinator dies after the manifest and before the status.
    const create = async (objectPath: string, body: Uint8Array) => {
      await world.storage.createExclusively(objectPath, body);
      throw new Error("answer lost");
    };
    await expect(take(world, {}, { storage: overriding(world.storage, "createExclusively", create) })).rejects.toThrow(
      "lost",
    );
    const control = await readControl(world.control);
    expect(control?.checkpoint).toMatchObject({ open: true });
    expect(control && (await abortOpenCheckpoint(world.resources(), control))).toMatchObject({ status: "COMPLETED" });
    expect((await readControl(world.control))?.checkpoint).toMatchObject({ open: false, status: "COMPLETED" });
  });

  test("is an abort after the timeout, and splits that skipped it take part in the next", async () => {
    const world = new CheckpointWorld({ timeoutMs: MINUTE });
    await someState(world);
    await world.fold("s1", 3, "c", { dies: true });
    expect(await take(world)).toMatchObject({
      outcome: "aborted",
      checkpoint: 1,
      reason: expect.stringContaining("60000 ms"),
    });
    await world.fold("s0", 3, "a");
    await world.fold("s1", 3, "c");
    expect(await take(world)).toMatchObject({ outcome: "completed", checkpoint: 2 });
    expect(await world.image(2)).toEqual({ ...SOME_IMAGE, a: ["s0:0001", "s0:0003"], c: ["s1:0002", "s1:0003"] });
  });

  test("is an abort when an image is gone, and says so", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    const scope = { function: FUNCTION, generation: 1 };
    const item = (await world.state.load(scope, ["a"])).get("a");
    if (item === undefined) throw new Error("no item");
    const { before: _gone, ...rest } = item;
    await world.state.write(FUNCTION, { ...rest, epoch: 1, v: "new" }, item.v);
    expect(await take(world)).toMatchObject({ outcome: "aborted", reason: expect.stringContaining("image of key") });
  });

  test("of an earlier life keeps its address: the checkpoint is aborted and the next number lies past all", async () => {
    const storage = new MemoryCheckpointStorage();
    const earlier = new CheckpointWorld({ storage, retained: 5 });
    await someState(earlier);
    for (let i = 0; i < 3; i += 1) await take(earlier);
    const world = new CheckpointWorld({ storage });
    await world.fold("s0", 1, "z");
    // Control was made at epoch 1 by something that did not look at storage.
    await ensureControl(world.control, "exactly-once");
    const token = { n: 1, open: true, status: "TRIGGERED", token: "other", triggeredAtMs: world.nowMs, settled: false };
    await world.control.update(CONTROL_KEY, {
      conditions: [compare("epoch", "=", 0)],
      set: [
        [path("epoch"), value(1)],
        [path("checkpoint"), value(token)],
      ],
    });
    expect(await take(world)).toMatchObject({ outcome: "completed", checkpoint: 4 });
    expect(await earlier.image(1)).toEqual(SOME_IMAGE);
    expect(world.events).toContainEqual(expect.objectContaining({ type: "checkpoint-aborted", checkpoint: 1 }));
  });

  test("takes a number past storage's highest at the first trigger of a new life", async () => {
    const storage = new MemoryCheckpointStorage();
    const earlier = new CheckpointWorld({ storage });
    await take(earlier);
    await take(earlier);
    expect(await take(new CheckpointWorld({ storage }))).toMatchObject({ outcome: "completed", checkpoint: 3 });
  });
});

describe("the cut", () => {
  test("gives up a tried tail that the source has dropped, and notes the hole", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    await world.fold("s1", 3, "c", { dies: true });
    world.held.set("s1", []);
    expect(await take(world)).toMatchObject({ outcome: "completed" });
    const manifest = await readManifest(world.storage, { app: "flights", n: 1 });
    expect(manifest.functions[0]?.splits[1]).toMatchObject({
      position: at(3),
      holes: [{ cause: "dropped", after: at(2), to: at(3) }],
    });
  });

  test("births an unborn split at its beginning, and has it once", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    await world.control.update(splitKey(FUNCTION, "s2"), { conditions: [], set: [[path("attempt"), value(0)]] });
    expect(await take(world)).toMatchObject({ outcome: "completed" });
    expect(await world.positions(1)).toEqual({ s0: at(2), s1: at(2), s2: "" });
    await world.fold("s2", 1, "late");
    expect(await world.image(1)).toEqual(SOME_IMAGE);
  });

  test("notes the end of a split and when a quiet one was last seen to hold nothing", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    world.ended.add("s0");
    world.nowMs += 20 * MINUTE;
    const seenAt = new Date(world.nowMs).toISOString();
    await take(world);
    const manifest = await readManifest(world.storage, { app: "flights", n: 1 });
    expect(manifest.functions[0]?.splits).toMatchObject([
      { split: "s0", ended: true, freshAt: seenAt },
      { split: "s1", ended: false, freshAt: seenAt },
    ]);
  });
});

describe("retention", () => {
  test("keeps the last ones and all savepoints, and never frees an address", async () => {
    const world = new CheckpointWorld({ retained: 2 });
    await someState(world);
    await take(world);
    await take(world, { savepoint: "before-upgrade" });
    for (let i = 0; i < 3; i += 1) await take(world);
    expect(await listed(world)).toEqual({ 1: "deleted", 2: "completed", 3: "deleted", 4: "completed", 5: "completed" });
    expect(await world.objects("chk-0000000003/")).toEqual([manifestPath(3)]);
    expect(await world.image(2)).toEqual(SOME_IMAGE);
  });

  test("leaves a pinned checkpoint alone, and refuses a pin on one that is going", async () => {
    const world = new CheckpointWorld({ retained: 1 });
    await someState(world);
    await take(world);
    await pinCheckpoint(world.control, "restore", 1);
    await take(world);
    expect(await listed(world)).toEqual({ 1: "completed", 2: "completed" });
    expect(await world.image(1)).toEqual(SOME_IMAGE);

    // The coordinator dies right after it announced the deletion of 2.
    const replace = async () => {
      throw new Error("crash");
    };
    await expect(take(world, {}, { storage: overriding(world.storage, "replace", replace) })).rejects.toThrow("crash");
    await expect(pinCheckpoint(world.control, "other", 2)).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    await take(world);
    expect(await listed(world)).toEqual({ 1: "completed", 2: "deleted", 3: "deleted", 4: "completed" });
  });
});

describe("a coordinator that stalls", () => {
  test("while it writes a part, and comes back an epoch later, changes nothing and clears up after itself", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    let stalled = false;
    const write: typeof world.storage.write = async (objectPath, body) => {
      if (!stalled) {
        stalled = true;
        const control = await readControl(world.control);
        if (control !== undefined) await abortOpenCheckpoint(world.resources(), control);
        await world.fold("s0", 3, "a");
        expect(await take(world)).toMatchObject({ outcome: "completed", checkpoint: 2 });
      }
      return world.storage.write(objectPath, body);
    };
    const report = await take(world, {}, { storage: overriding(world.storage, "write", write) });
    expect(report).not.toMatchObject({ outcome: "completed" });
    expect(await listed(world)).toEqual({ 1: "aborted", 2: "completed" });
    expect(await world.image(2)).toEqual({ ...SOME_IMAGE, a: ["s0:0001", "s0:0003"] });
    expect(await world.objects("chk-0000000001/")).toEqual([manifestPath(1)]);
    for await (const item of world.control.list(snapshotPartition(1))) throw new Error(`left behind: ${item.sort}`);
  });

  test("between reading pins and deleting decides again when a restore has pinned meanwhile", async () => {
    const world = new CheckpointWorld({ retained: 1 });
    await someState(world);
    await take(world);
    let pinned = false;
    const update: typeof world.control.update = async (key, write) => {
      if (!pinned && write.set?.some(([[name]]) => name === "deleting") === true) {
        pinned = true;
        await pinCheckpoint(world.control, "restore", 1);
      }
      return world.control.update(key, write);
    };
    await take(world, {}, { control: overriding(world.control, "update", update) });
    expect(pinned).toBe(true);
    expect(await listed(world)).toEqual({ 1: "completed", 2: "completed" });
    expect(await world.image(1)).toEqual(SOME_IMAGE);
  });
});

describe("the coordinator", () => {
  test("does nothing once its deadline has come", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    const late = { deadlineMs: world.nowMs, request: {}, slices: 2 };
    expect(await runCoordinator(world.resources(), late)).toEqual({ outcome: "idle" });
    expect(await readControl(world.control)).toMatchObject({ epoch: 0 });
    // It opened one and died at the next step; then one completed, and it died before that was settled.
    const dies = (): never => {
      throw new Error("died");
    };
    const list = overriding(world.control, "list", dies);
    await expect(take(world, {}, { control: list })).rejects.toThrow("died");
    expect(await runCoordinator(world.resources(), late)).toEqual({ outcome: "unfinished", checkpoint: 1 });
    expect(world.events.map(({ type }) => type)).not.toContain("checkpoint-carried-on");
    const unlisted = overriding(world.storage, "list", dies);
    await expect(take(world, {}, { storage: unlisted })).rejects.toThrow("died");
    expect(await runCoordinator(world.resources(), late)).toEqual({ outcome: "idle" });
    expect((await readControl(world.control))?.checkpoint).toMatchObject({ status: "COMPLETED", settled: false });
  });

  test("knows a checkpoint for its own whose trigger's answer was lost, and takes no other for it", async () => {
    for (const lost of [true, false]) {
      const world = new CheckpointWorld();
      await someState(world);
      let first = true;
      const update: typeof world.control.update = async (key, write) => {
        if (!first || write.set?.some(([[name]]) => name === "checkpoint") !== true)
          return world.control.update(key, write);
        first = false;
        if (lost) await world.control.update(key, write);
        else await take(world);
        return world.control.update(key, write);
      };
      const report = await take(world, {}, { control: overriding(world.control, "update", update) });
      const triggered = world.events.flatMap((event) => (event.type === "checkpoint-triggered" ? [event] : []));
      expect(triggered.map(({ checkpoint }) => checkpoint)).toEqual(lost ? [1] : [1, 2]);
      expect(report).toMatchObject({ outcome: "completed", checkpoint: lost ? 1 : 2 });
    }
  });

  test("says of the checkpoint that it finds that it is carried on, and of its own that it is triggered", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    await world.fold("s1", 3, "c", { dies: true });
    const told = () => world.events.splice(0).filter(({ type }) => /^checkpoint/.test(type));
    const shortly = (request: object) =>
      runCoordinator(world.resources(), { deadlineMs: world.nowMs + 2_000, ...request });
    await shortly({ request: { savepoint: "s" } });
    expect(told()).toEqual([{ type: "checkpoint-triggered", checkpoint: 1, savepoint: "s" }]);
    await shortly({});
    expect(told()).toEqual([{ type: "checkpoint-carried-on", checkpoint: 1, status: "ALIGNING" }]);
    await world.fold("s1", 3, "c");
    const begunAtMs = world.nowMs;
    await shortly({ request: {} });
    expect(told()).toMatchObject([
      { type: "checkpoint-carried-on", checkpoint: 1, status: "ALIGNING" },
      { type: "checkpoint-completed", checkpoint: 1, keys: 3, milliseconds: 2_000 },
      { type: "checkpoint-triggered", checkpoint: 2 },
      { type: "checkpoint-completed", checkpoint: 2, milliseconds: world.nowMs - begunAtMs },
    ]);
  });

  test("does nothing while a restore runs", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    await take(world);
    const plan = { token: "t", target: 2, checkpoint: 1, startedAtMs: world.nowMs, functions: {} };
    await pinCheckpoint(world.control, "t", 1);
    await recordRestore(world.control, { maxGenRead: 1, plan });
    expect(await take(world)).toEqual({ outcome: "restoring" });
    expect(await listed(world)).toEqual({ 1: "completed" });
  });

  test("refuses another mode than the one the app runs in", async () => {
    const world = new CheckpointWorld({ mode: "at-least-once" });
    await ensureControl(world.control, "exactly-once");
    await expect(take(world)).rejects.toMatchObject({ kind: "fix-configuration" });
  });

  test("takes none without an interval and a request", async () => {
    const world = new CheckpointWorld();
    expect(await runCoordinator(world.resources(), { deadlineMs: world.nowMs + MINUTE })).toEqual({ outcome: "idle" });
    expect(await listed(world)).toEqual({});
  });
});

describe("a tombstone", () => {
  test("goes only once a checkpoint older than any invocation covers it", async () => {
    const world = new CheckpointWorld();
    await someState(world);
    await world.fold("s0", 3, "a", { clears: true });
    const there = async () => (await world.state.load({ function: FUNCTION, generation: 1 }, ["a"])).has("a");
    await take(world);
    world.nowMs += COVERAGE_AGE_MS - 1_000;
    await take(world);
    await take(world);
    expect(await there()).toBe(true);
    world.nowMs += 2_000;
    await take(world);
    await take(world);
    expect(await there()).toBe(false);
    expect(await world.image(5)).toEqual({ b: SOME_IMAGE.b, c: SOME_IMAGE.c });
  });
});
