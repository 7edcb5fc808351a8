/** How a coordinator comes to a cut, waits for it, stops where it was overtaken, and tells the splits afterwards. */
import { describe, expect, test } from "vitest";
import type { AppResources } from "../../../shared/app/app-resources.ts";
import type { CheckpointingMode } from "../../../shared/app/define-app.ts";
import type { CheckpointRun } from "../../../shared/checkpoint/checkpoint-run.ts";
import { takeCut } from "../../../shared/checkpoint/cut.ts";
import { takeFuzzyCut } from "../../../shared/checkpoint/fuzzy-cut.ts";
import { abortOpenCheckpoint } from "../../../shared/checkpoint/outcome.ts";
import { settle } from "../../../shared/checkpoint/settle.ts";
import { path, value } from "../../../shared/control/conditional-write.ts";
import type { CheckpointRecord, Control } from "../../../shared/control/control.ts";
import {
  ensureControl,
  readControl,
  recordCheckpoint,
  triggerCheckpoint,
} from "../../../shared/control/control-steps.ts";
import { cutKey, snapshotPartition, splitKey } from "../../../shared/control/item-keys.ts";
import type { Split } from "../../../shared/control/split.ts";
import { readSplit } from "../../../shared/control/split-steps.ts";
import type { SourceReader } from "../../../shared/source/source.ts";
import { overriding } from "../../support/overriding.ts";
import { at, CheckpointWorld, FUNCTION } from "./checkpoint-world.ts";

const place = (split: string) => ({ function: FUNCTION, split });

/** Splits s0 and s1 stand at 2 and 1; checkpoint 1 is triggered. */
async function triggered(mode: CheckpointingMode = "exactly-once") {
  const world = new CheckpointWorld({ mode });
  await world.fold("s0", 1, "a");
  await world.fold("s0", 2, "b");
  await world.fold("s1", 1, "b");
  await ensureControl(world.control, mode);
  const checkpoint: CheckpointRecord = {
    ...{ n: 1, open: true, status: "TRIGGERED", token: "t", triggeredAtMs: world.nowMs, settled: false },
  };
  await triggerCheckpoint(world.control, { epochRead: 0, checkpoint });
  const asked = { look: 0, holdsAny: 0 };
  const counted = (): AppResources => {
    const resources = world.resources();
    const { reader, ...source } = resources.sourceOf(FUNCTION);
    const counting: Partial<SourceReader> = {
      look: (...given) => {
        asked.look += 1;
        return reader.look(...given);
      },
      holdsAny: (...given) => {
        asked.holdsAny += 1;
        return reader.holdsAny(...given);
      },
    };
    return { ...resources, sourceOf: () => ({ ...source, reader: { ...reader, ...counting } as SourceReader }) };
  };
  const run = ({ forMs = 600_000, ...more }: Partial<CheckpointRun> & { forMs?: number } = {}): CheckpointRun => ({
    ...{ resources: counted(), checkpoint, generation: 1, untilMs: world.nowMs + forMs, pollMs: 1_000, ...more },
  });
  const change = (split: string, set: Partial<Split> & Record<string, unknown>) =>
    world.control.update(splitKey(FUNCTION, split), {
      conditions: [],
      set: Object.entries(set).map(([name, member]) => [path(name), value(member as never)] as const),
    });
  const item = async (split: string) => (await readSplit(world.control, place(split))) as Split;
  const record = async () => (await readControl(world.control))?.checkpoint as CheckpointRecord;
  return { world, run, change, item, record, asked, checkpoint };
}

describe("the cut", () => {
  test("moves quiet splits itself, and tells so", async () => {
    const { run, world, record, asked } = await triggered();
    const freshAtMs = world.nowMs;
    expect(await takeCut(run())).toEqual([
      { ...place("s0"), position: at(2), freshAtMs, ended: false, holes: [] },
      { ...place("s1"), position: at(1), freshAtMs, ended: false, holes: [] },
    ]);
    expect((await record()).status).toBe("ALIGNING");
    expect(asked.look).toBe(2);
    const barriers = ["s0", "s1"].map((split) => ({ type: "barrier", ...place(split), checkpoint: 1 }));
    expect(world.events.filter(({ type }) => type === "barrier")).toMatchObject(barriers);
  });

  test("does not look at splits again once the snapshot is under way", async () => {
    const { run, asked, checkpoint } = await triggered();
    expect(await takeCut(run({ checkpoint: { ...checkpoint, status: "SNAPSHOTTING" } }))).toHaveLength(2);
    expect(asked.look).toBe(0);
  });

  test("waits for a busy split, and asks only now and then whether its tail is still there", async () => {
    const { run, world, asked } = await triggered();
    await world.fold("s1", 2, "c", { dies: true });
    const begunAtMs = world.nowMs;
    expect(await takeCut(run({ forMs: 21_000 }))).toBe("unfinished");
    expect(world.nowMs - begunAtMs).toBe(20_000);
    // Each split once; the tail at the first visit, and at every tenth after it.
    expect(asked).toEqual({ look: 2, holdsAny: 3 });
    await world.fold("s1", 2, "c");
    expect(await takeCut(run())).toMatchObject([{ position: at(2) }, { position: at(2) }]);
  });

  test("stops waiting where the next poll would come at the end of its time", async () => {
    for (const [forMs, seconds] of [
      [1_000, 0],
      [1_001, 1],
    ] as const) {
      const { run, world } = await triggered();
      await world.fold("s1", 2, "c", { dies: true });
      const begunAtMs = world.nowMs;
      expect(await takeCut(run({ forMs }))).toBe("unfinished");
      expect((world.nowMs - begunAtMs) / 1_000).toBe(seconds);
    }
  });

  test("gives up a tail that is gone, and tells of the hole", async () => {
    const { run, world } = await triggered();
    await world.fold("s1", 2, "c", { dies: true });
    world.held.set("s1", []);
    expect(await takeCut(run())).toMatchObject([{}, { position: at(2), holes: [{ cause: "dropped" }] }]);
    const hole = { cause: "dropped", after: at(1), to: at(2) };
    expect(world.events).toContainEqual({
      type: "hole",
      ...place("s1"),
      generation: 1,
      epoch: expect.any(Number),
      hole,
    });
  });

  test("gives a split that is born for it its function's start", async () => {
    const { run, world, item } = await triggered();
    await world.control.update(splitKey(FUNCTION, "s2"), { conditions: [], set: [[path("attempt"), value(0)]] });
    const { resources, ...rest } = run();
    const functions = [
      { name: "other", source: "flights", stateVersion: 1, startTimeMs: 7 },
      { name: FUNCTION, source: "flights", stateVersion: 1, startTimeMs: 8 },
    ];
    await takeCut({ ...rest, resources: { ...resources, app: { ...resources.app, functions } } });
    expect((await item("s2")).startTimeMs).toBe(8);
    expect(world.events).toContainEqual({ type: "born", ...place("s2") });
  });

  test("has a split for ended only where its end is the cut", async () => {
    const { run, change } = await triggered();
    await change("s0", { epoch: 1, barriers: { 1: at(1) }, barrierFreshAt: { 1: 5 }, ended: true });
    await change("s1", { epoch: 1, barriers: { 1: at(1) }, barrierFreshAt: { 1: 6 }, ended: true });
    expect(await takeCut(run())).toMatchObject([
      { split: "s0", position: at(1), freshAtMs: 5, ended: false },
      { split: "s1", position: at(1), freshAtMs: 6, ended: true },
    ]);
  });

  test.each<[string, Partial<Split> & Record<string, unknown>]>([
    ["is of another generation", { gen: 2 }],
    ["is in a later epoch", { epoch: 2 }],
    ["has no barrier any more", { epoch: 1, barriers: {}, barrierFreshAt: {} }],
    ["has no time of its barrier", { epoch: 1, barriers: { 1: at(1) }, barrierFreshAt: {} }],
  ])("stops where a split %s", async (_, set) => {
    const { run, change } = await triggered();
    await change("s1", set);
    expect(await takeCut(run())).toBe("superseded");
  });

  test("stops where a split changes while its source is looked at", async () => {
    for (const set of [{ gen: 2 }, { epoch: 2 }]) {
      const { run, change } = await triggered();
      const { resources, ...rest } = run();
      const { reader, ...source } = resources.sourceOf(FUNCTION);
      const look: SourceReader["look"] = async (...given) => {
        const seen = await reader.look(...given);
        // What is noted of the look comes back as it stands then.
        if (given[0] === "s1") await change("s1", set);
        return seen;
      };
      const sourceOf = () => ({ ...source, reader: { ...reader, look } as SourceReader });
      expect(await takeCut({ ...rest, resources: { ...resources, sourceOf } })).toBe("superseded");
    }
  });

  test("stops where a split is gone, or the checkpoint has its outcome", async () => {
    const { run, world } = await triggered();
    const get: typeof world.control.get = async (key) => (key.sort === "s1" ? undefined : world.control.get(key));
    const { resources, ...rest } = run();
    const gone = { ...resources, control: overriding(world.control, "get", get) };
    expect(await takeCut({ ...rest, resources: gone })).toBe("superseded");
    await abortOpenCheckpoint(world.resources(), (await readControl(world.control)) as Control);
    expect(await takeCut(run())).toBe("superseded");
  });
});

describe("the cut of an at-least-once checkpoint", () => {
  test("is what was read first, whatever is folded since and whoever reads later", async () => {
    const { run, world, change } = await triggered("at-least-once");
    const hole = { cause: "dead-letter" as const, from: at(1), to: at(1), records: 1 };
    const later = { ...hole, from: at(2), to: at(2) };
    await change("s0", { ended: true, freshAt: 5, holes: [hole] });
    await change("s1", { freshAt: 6, holes: [hole, later] });
    await world.control.update(splitKey(FUNCTION, "s2"), { conditions: [], set: [[path("attempt"), value(0)]] });
    const cuts = [
      { ...place("s0"), position: at(2), freshAtMs: 5, ended: true, holes: [hole] },
      { ...place("s1"), position: at(1), freshAtMs: world.nowMs, ended: false, holes: [hole] },
    ];
    const first = await takeFuzzyCut(run(), 3);
    expect(first).toEqual({ cuts, plan: { slices: 3, cut: expect.any(String) } });
    await world.fold("s1", 2, "c");
    await world.control.update(cutKey(1, "other", place("s0")), {
      conditions: [],
      set: [[path("position"), value("x")]],
    });
    expect(await takeFuzzyCut(run(), 7)).toEqual(first);
  });

  test("is none once the checkpoint has its outcome, also while positions are read", async () => {
    const { run, world } = await triggered("at-least-once");
    const { resources, ...rest } = run();
    const update: typeof world.control.update = async (key, write) => {
      const answer = await world.control.update(key, write);
      if (key.partition === snapshotPartition(1)) {
        await abortOpenCheckpoint(world.resources(), (await readControl(world.control)) as Control);
      }
      return answer;
    };
    const control = overriding(world.control, "update", update);
    expect(await takeFuzzyCut({ ...rest, resources: { ...resources, control } }, 1)).toBe("superseded");
    expect(await takeFuzzyCut(run(), 1)).toBe("superseded");
  });
});

describe("settling", () => {
  /** The checkpoint has this outcome, half a minute after its trigger. */
  async function ended(status: "COMPLETED" | "ABORTED", mode: CheckpointingMode = "exactly-once") {
    const all = await triggered(mode);
    const { world, checkpoint } = all;
    const finishedAtMs = world.nowMs + 30_000;
    await recordCheckpoint(world.control, { ...checkpoint, open: false, status, finishedAtMs });
    await world.control.update(
      { partition: snapshotPartition(1), sort: "x" },
      { conditions: [], set: [[path("v"), value(1)]] },
    );
    const settled = async () =>
      settle(world.resources(), (await readControl(world.control)) as Control, world.nowMs + 60_000);
    return { ...all, settled, finishedAtMs };
  }
  const left = async (world: CheckpointWorld) => {
    const sorts: string[] = [];
    for await (const { sort } of world.control.list(snapshotPartition(1))) sorts.push(sort);
    return sorts;
  };

  test("tells every split of the generation that was not told before", async () => {
    const { settled, change, item, world } = await ended("COMPLETED");
    await change("s1", { gen: 2 });
    await world.control.update(splitKey(FUNCTION, "s2"), { conditions: [], set: [[path("attempt"), value(0)]] });
    await world.fold("s3", 1, "z");
    await change("s3", { resolved: 5 });
    expect(await settled()).toMatchObject({ checkpoint: { settled: true } });
    expect((await item("s0")).resolved).toBe(1);
    expect((await item("s1")).resolved).toBe(0);
    expect(await item("s2")).toBe("unborn");
    expect((await item("s3")).resolved).toBe(5);
  });

  test("of a completed checkpoint keeps it, and begins to measure tombstones by when it completed", async () => {
    const { settled, world, finishedAtMs } = await ended("COMPLETED");
    const control = await settled();
    expect(control).toMatchObject({ kept: [1], coverage: { generation: 1, maturing: { n: 1, atMs: finishedAtMs } } });
    expect(await left(world)).toEqual([]);
  });

  test("of an aborted one keeps nothing", async () => {
    const { settled, world, item } = await ended("ABORTED");
    const control = await settled();
    expect(control).toMatchObject({ checkpoint: { settled: true } });
    expect(control).not.toHaveProperty("kept");
    expect(control).not.toHaveProperty("coverage");
    expect(await left(world)).toEqual([]);
    expect((await item("s0")).resolved).toBe(1);
  });

  test("tells no split in at-least-once mode, which has no before-images", async () => {
    const { settled, item } = await ended("COMPLETED", "at-least-once");
    await settled();
    expect((await item("s0")).resolved).toBe(0);
  });

  test("is for a checkpoint that has its outcome", async () => {
    const { world } = await triggered();
    const control = (await readControl(world.control)) as Control;
    await expect(settle(world.resources(), control, 0)).rejects.toThrow("only a checkpoint with an outcome");
    const { checkpoint: _, ...none } = control;
    await expect(settle(world.resources(), none, 0)).rejects.toThrow("only a checkpoint with an outcome");
  });
});
