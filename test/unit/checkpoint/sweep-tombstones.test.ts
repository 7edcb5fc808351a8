/** What a completed checkpoint made superfluous, and how far it is removed. */
import { describe, expect, test } from "vitest";
import { encodeManifest, type Manifest } from "../../../shared/checkpoint/manifest.ts";
import { type SliceProgress, saveProgress } from "../../../shared/checkpoint/slice-progress.ts";
import { removeTombstones } from "../../../shared/checkpoint/sweep.ts";
import type { Control } from "../../../shared/control/control.ts";
import { ABSENT, type StateItem } from "../../../shared/state/state-item.ts";
import { manifestPath } from "../../../shared/storage/object-paths.ts";
import { overriding } from "../../support/overriding.ts";
import { at, CheckpointWorld, FUNCTION } from "./checkpoint-world.ts";

const tombstone = (key: string, position = 1): StateItem => ({
  ...{ key, generation: 1, v: `v-${key}`, epoch: 0, applied: { s: at(position) }, state: ABSENT },
});

/** Checkpoint 1 covers s up to 5, and checkpoint 2 noted these keys, a slice each list. */
async function noted(items: readonly StateItem[], ...slices: readonly Partial<SliceProgress>[]) {
  const world = new CheckpointWorld();
  for (const item of items) await world.state.write(FUNCTION, item, undefined);
  const iso = new Date(world.nowMs).toISOString();
  const splits = [{ split: "s", position: at(5), freshAt: iso, ended: false, holes: [] }];
  const manifest: Manifest = {
    ...{ format: "tidemark-checkpoint", formatVersion: 1, kind: "manifest", app: "flights", checkpoint: 1, token: "t" },
    ...{ generation: 1, mode: "exactly-once", triggeredAt: iso, completedAt: iso, files: [] },
    functions: [{ name: FUNCTION, stateVersion: 3, source: "flights", keys: 0, splits }],
  };
  await world.storage.createExclusively(manifestPath(1), encodeManifest(manifest));
  for (const [slice, progress] of slices.entries()) {
    const next = { parts: [], tombstones: [], moreTombstones: false, done: true, v: "w", ...progress };
    const read = { ...next, v: undefined } as unknown as SliceProgress;
    await saveProgress(world.control, { checkpoint: 2, function: FUNCTION, slice }, { read, next });
  }
  const remaining = async () => {
    const scope = { function: FUNCTION, generation: 1 };
    return [
      ...(
        await world.state.load(
          scope,
          items.map(({ key }) => key),
        )
      ).keys(),
    ];
  };
  const sweep = ({
    forMs = 60_000,
    state = world.state,
    control = world.control,
    functions = [FUNCTION],
  }: Partial<Pick<CheckpointWorld, "state" | "control">> & { forMs?: number; functions?: readonly string[] } = {}) => {
    const coverage = { generation: 1, maturing: { n: 2, atMs: 0 }, ready: { n: 1, atMs: 0 } };
    const resources = world.resources({ state, control });
    const app = { ...resources.app, functions: functions.map((name) => ({ name, source: "s", stateVersion: 3 })) };
    const checkpoint = { n: 2, slices: slices.length };
    return removeTombstones({ ...resources, app }, { gen: 1, coverage } as Control, checkpoint, world.nowMs + forMs);
  };
  return { world, sweep, remaining };
}

describe("the tombstones that a snapshot noted", () => {
  test("are removed slice by slice, and counted", async () => {
    const items = ["a", "b", "c"].map((key) => tombstone(key));
    const { sweep, remaining, world } = await noted(items, { tombstones: ["a"] }, { tombstones: ["b", "c"] });
    await sweep();
    expect(await remaining()).toEqual([]);
    expect(world.events).toEqual([{ type: "tombstones-removed", function: FUNCTION, keys: 3 }]);
  });

  test("stay where they were written meanwhile, and only what is gone is counted", async () => {
    const items = [
      tombstone("a"),
      tombstone("b", 6),
      { ...tombstone("c"), state: { value: 1, version: 3 } },
      tombstone("d"),
    ];
    const { sweep, remaining, world } = await noted(items, { tombstones: ["a", "b", "c", "d"] });
    const remove: typeof world.state.remove = async (scope, key, v) => key !== "d" && world.state.remove(scope, key, v);
    await sweep({ state: overriding(world.state, "remove", remove) });
    expect(await remaining()).toEqual(["b", "c", "d"]);
    expect(world.events).toMatchObject([{ keys: 1 }]);
  });

  test("are loaded a hundred at a time, and not at all where there are none", async () => {
    const loads: number[] = [];
    const items = Array.from({ length: 250 }, (_, n) => tombstone(`k${n}`));
    const { sweep, world, remaining } = await noted(items, { tombstones: items.map(({ key }) => key) }, {});
    const load: typeof world.state.load = (scope, keys) => {
      loads.push(keys.length);
      return world.state.load(scope, keys);
    };
    await sweep({ state: overriding(world.state, "load", load) });
    expect(loads).toEqual([100, 100, 50]);
    expect(await remaining()).toEqual([]);
  });

  test("of a slice that had more than it could note are found by a scan of it, and of no other", async () => {
    const items = ["a", "b", "c", "d"].map((key) => tombstone(key));
    // The heap deals keys out to slices in turn: a and c, b and d.
    const { sweep, remaining } = await noted(items, { tombstones: ["a"], moreTombstones: true }, {});
    await sweep();
    expect(await remaining()).toEqual(["b", "d"]);
  });

  test("of further functions are left at the deadline, and not before it", async () => {
    for (const [forMs, names] of [
      [1, [FUNCTION, "other"]],
      [0, [FUNCTION]],
    ] as const) {
      const { world, sweep } = await noted([tombstone("a")], { tombstones: ["a"] });
      const asked: string[] = [];
      const get: typeof world.control.get = (key) => {
        asked.push(key.sort.split("#")[0] ?? "");
        return world.control.get(key);
      };
      await sweep({ forMs, control: overriding(world.control, "get", get), functions: [FUNCTION, "other"] });
      expect(asked).toEqual(names);
    }
  });

  test("are left at the deadline, after those that were loaded", async () => {
    const items = Array.from({ length: 150 }, (_, n) => tombstone(`k${n}`));
    const keys = items.map(({ key }) => key);
    const { sweep, world, remaining } = await noted(
      items,
      { tombstones: keys.slice(0, 120) },
      { tombstones: keys.slice(120) },
    );
    await sweep({ forMs: 0 });
    expect((await remaining()).length).toBe(20);
    expect(world.events).toEqual([{ type: "tombstones-removed", function: FUNCTION, keys: 130 }]);
  });
});
