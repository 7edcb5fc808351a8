import { describe, expect, test } from "vitest";
import { COVERAGE_AGE_MS, nextCoverage, readCoverage } from "../../../shared/checkpoint/coverage.ts";
import { deletedMarkerOf, encodeManifest, type Manifest } from "../../../shared/checkpoint/manifest.ts";
import type { Control, Coverage } from "../../../shared/control/control.ts";
import { ABSENT, type StateItem } from "../../../shared/state/state-item.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { manifestPath } from "../../../shared/storage/object-paths.ts";

describe("the coverage after a checkpoint", () => {
  const first = { n: 1, generation: 1, atMs: 1_000 };
  const maturing = { n: 1, atMs: 1_000 };

  test("begins with the first of a generation", () => {
    expect(nextCoverage(undefined, first)).toEqual({ generation: 1, maturing });
    const other = { generation: 2, maturing: { n: 9, atMs: 0 }, ready: { n: 8, atMs: 0 } };
    expect(nextCoverage(other, first)).toEqual({ generation: 1, maturing });
  });

  test("moves on once the one that matures is older than any invocation", () => {
    const previous = { generation: 1, maturing, ready: { n: 0, atMs: 0 } };
    const young = { n: 2, generation: 1, atMs: 1_000 + COVERAGE_AGE_MS - 1 };
    expect(nextCoverage(previous, young)).toBe(previous);
    const old = { n: 3, generation: 1, atMs: 1_000 + COVERAGE_AGE_MS };
    expect(nextCoverage(previous, old)).toEqual({ generation: 1, maturing: { n: 3, atMs: old.atMs }, ready: maturing });
  });
});

describe("a tombstone", () => {
  const at = "2026-01-01T00:00:00.000Z";
  const split = (name: string, position: string) => ({ split: name, position, freshAt: at, ended: false, holes: [] });
  const manifest: Manifest = {
    ...{ format: "tidemark-checkpoint", formatVersion: 1, kind: "manifest", app: "flights", checkpoint: 1, token: "t" },
    ...{ generation: 1, mode: "exactly-once", triggeredAt: at, completedAt: at, files: [] },
    functions: [
      { name: "log", stateVersion: 1, source: "s", keys: 0, splits: [split("s", "05"), split("t", "02")] },
      { name: "other", stateVersion: 1, source: "s", keys: 0, splits: [] },
    ],
  };
  const ready: Coverage = { generation: 1, maturing: { n: 2, atMs: 1 }, ready: { n: 1, atMs: 0 } };
  const tombstone = (applied: Record<string, string>, state: StateItem["state"] = ABSENT): StateItem => ({
    ...{ key: "k", generation: 1, v: "v", epoch: 1, state, applied },
  });

  async function covered(item: StateItem, { coverage = ready, object = manifest as object, name = "log" } = {}) {
    const storage = new MemoryCheckpointStorage();
    await storage.createExclusively(manifestPath(1), encodeManifest(object as Manifest));
    const control = { gen: 1, coverage } as Control;
    return (await readCoverage(storage, "flights", control))(name, item);
  }

  test("may go where every position of it is at or before the checkpoint's", async () => {
    expect(await covered(tombstone({ s: "05", t: "01" }))).toBe(true);
    expect(await covered(tombstone({ s: "06", t: "01" }))).toBe(false);
    expect(await covered(tombstone({ s: "05", u: "01" }))).toBe(false);
    expect(await covered(tombstone({ s: "01" }), { name: "other" })).toBe(false);
    expect(await covered(tombstone({ s: "01" }), { name: "new" })).toBe(false);
  });

  test("is a key without a state", async () => {
    expect(await covered(tombstone({ s: "01" }, { value: null, version: 1 }))).toBe(false);
  });

  test("stays while no checkpoint of the generation is old enough, or its positions are gone", async () => {
    const item = tombstone({ s: "01" });
    expect(await covered(item, { coverage: { ...ready, generation: 2 } })).toBe(false);
    const { ready: _, ...young } = ready;
    expect(await covered(item, { coverage: young })).toBe(false);
    expect(await covered(item, { coverage: { ...ready, ready: { n: 3, atMs: 0 } } })).toBe(false);
    const { functions: _f, files: _m, mode: _o, triggeredAt: _t, completedAt: _c, ...rest } = manifest;
    expect(await covered(item, { object: { ...rest, kind: "aborted", reason: "no", at } })).toBe(false);
    expect(await covered(item, { object: deletedMarkerOf(manifest, { at, keepPositions: false }) })).toBe(false);
    expect(await covered(item, { object: deletedMarkerOf(manifest, { at, keepPositions: true }) })).toBe(true);
  });
});
