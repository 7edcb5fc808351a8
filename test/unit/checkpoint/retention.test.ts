/** What retention deletes, how, and what it leaves; whom it asks first is held by `test/protocol`. */
import { describe, expect, test } from "vitest";
import { deletedMarkerOf, encodeManifest, type Manifest } from "../../../shared/checkpoint/manifest.ts";
import { readCheckpointObject } from "../../../shared/checkpoint/parse-manifest.ts";
import { applyRetention, removeOrphans } from "../../../shared/checkpoint/retention.ts";
import { path, value } from "../../../shared/control/conditional-write.ts";
import type { Control } from "../../../shared/control/control.ts";
import { ensureControl, pinCheckpoint, readControl } from "../../../shared/control/control-steps.ts";
import { CONTROL_KEY } from "../../../shared/control/item-keys.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { manifestPath } from "../../../shared/storage/object-paths.ts";
import { overriding } from "../../support/overriding.ts";
import { CheckpointWorld } from "./checkpoint-world.ts";

const AT = "2026-01-01T00:00:00.000Z";
const split = { split: "s", position: "1", freshAt: AT, ended: false, holes: [] };

const manifest = (n: number, generation = 1, more: Partial<Manifest> = {}): Manifest => ({
  ...{
    format: "tidemark-checkpoint",
    formatVersion: 1,
    kind: "manifest",
    app: "flights",
    checkpoint: n,
    token: `t${n}`,
  },
  ...{ generation, mode: "exactly-once", triggeredAt: AT, completedAt: AT },
  functions: [{ name: "count", stateVersion: 1, source: "flights", keys: 1, splits: [split] }],
  files: [{ name: `part-${n}`, function: "count", items: 1, bytes: 1, sha256: "0".repeat(64) }],
  ...more,
});

/** Checkpoints with a part each, all kept, of which two may stay. */
async function kept(manifests: readonly Manifest[], control: Partial<Control> = {}) {
  const world = new CheckpointWorld({ retained: 2 });
  for (const one of manifests) {
    await world.storage.createExclusively(manifestPath(one.checkpoint), encodeManifest(one));
    await world.storage.write(`chk-000000000${one.checkpoint}/part-${one.checkpoint}`, body());
  }
  await ensureControl(world.control, "exactly-once");
  const set = { kept: manifests.map(({ checkpoint }) => checkpoint), ...control };
  await world.control.update(CONTROL_KEY, {
    conditions: [],
    set: Object.entries(set).map(([name, member]) => [path(name), value(member as never)] as const),
  });
  const kinds = async () => {
    const found: Record<number, string> = {};
    for (const { checkpoint: n } of manifests) {
      const there = await readCheckpointObject(world.storage, { app: "flights", n }).catch(() => undefined);
      found[n] = there?.object.kind ?? "unreadable";
    }
    return found;
  };
  return { world, kinds };
}

async function* body() {
  yield Buffer.from("x");
}

const partsOf = async (world: CheckpointWorld) => (await world.objects()).filter((one) => one.includes("part"));
const deleted = ({ events }: CheckpointWorld) => events.filter(({ type }) => type === "checkpoint-deleted");

describe("retention", () => {
  test("deletes manifests and parts of what is past it, tells so once, and says what is still kept", async () => {
    const { world, kinds } = await kept([manifest(3), manifest(1), manifest(2)]);
    await world.storage.createExclusively(manifestPath(4), encodeManifest(manifest(4)));
    expect(await applyRetention(world.resources(), 4)).toEqual([3, 4]);
    expect(await kinds()).toEqual({ 1: "deleted", 2: "deleted", 3: "manifest" });
    expect(await partsOf(world)).toEqual(["chk-0000000003/part-3"]);
    expect(deleted(world)).toMatchObject([{ checkpoint: 2 }, { checkpoint: 1 }]);
  });

  test("announces nothing where nothing goes, and keeps savepoints off its list", async () => {
    const { world } = await kept([manifest(2), manifest(1)]);
    let updates = 0;
    const update: typeof world.control.update = (key, write) => {
      updates += 1;
      return world.control.update(key, write);
    };
    const control = overriding(world.control, "update", update);
    expect(await applyRetention(world.resources({ control }), undefined)).toEqual([1, 2]);
    expect(updates).toBe(0);
    expect(await applyRetention(new CheckpointWorld().resources(), 1)).toEqual([]);
  });

  test("goes on with a deletion that was announced, and tells nothing of what is deleted already", async () => {
    const { world, kinds } = await kept([manifest(1), manifest(2)], { deleting: { 1: true } });
    await applyRetention(world.resources(), undefined);
    expect(await kinds()).toEqual({ 1: "deleted", 2: "manifest" });
    expect(deleted(world)).toHaveLength(1);
    expect(await applyRetention(world.resources(), undefined)).toEqual([2]);
    expect(deleted(world)).toHaveLength(1);
  });

  test("reads a manifest again that was replaced under its hands", async () => {
    const { world, kinds } = await kept([manifest(1)], { deleting: { 1: true } });
    let tries = 0;
    const replace: typeof world.storage.replace = async (...given) => {
      tries += 1;
      return tries === 1 ? ("conflict" as never) : world.storage.replace(...given);
    };
    await applyRetention(world.resources({ storage: overriding(world.storage, "replace", replace) }), undefined);
    expect(tries).toBe(2);
    expect(await kinds()).toEqual({ 1: "deleted" });
    expect(deleted(world)).toHaveLength(1);
  });

  test("leaves positions in the marker of a checkpoint that tombstones are measured by, and in no other", async () => {
    const coverage = { generation: 1, maturing: { n: 2, atMs: 1 }, ready: { n: 1, atMs: 0 } };
    const { world } = await kept(
      [1, 2, 3, 4, 5].map((n) => manifest(n)),
      { coverage },
    );
    await applyRetention(world.resources(), undefined);
    for (const [n, positions] of [
      [1, "1"],
      [2, "1"],
      [3, undefined],
    ] as const) {
      const { object } = (await readCheckpointObject(world.storage, { app: "flights", n })) ?? {};
      expect(object?.kind).toBe("deleted");
      expect(object?.kind === "deleted" && object.functions?.[0]?.splits[0]?.position).toBe(positions);
    }
  });

  test("counts the live lineage alone, up to where a restore left it", async () => {
    const manifests = [manifest(1), manifest(2), manifest(3), manifest(4), manifest(5, 2), manifest(6, 2)];
    const { world, kinds } = await kept(manifests, {
      gen: 2,
      maxGen: 2,
      restoredFrom: { generation: 1, checkpoint: 2 },
    });
    expect(await applyRetention(world.resources(), undefined)).toEqual([5, 6]);
    expect(await kinds()).toMatchObject({ 1: "deleted", 2: "deleted", 3: "deleted", 4: "deleted", 5: "manifest" });

    const first = await kept([...manifests.slice(0, 4), manifest(5, 2)], {
      ...{ gen: 2, maxGen: 2, restoredFrom: { generation: 1, checkpoint: 3 } },
    });
    // 5 and 3 are the last two of the lineage; 4 was abandoned, and is younger than both are old.
    expect(await applyRetention(first.world.resources(), undefined)).toEqual([3, 4, 5]);
  });

  test("leaves a checkpoint alone whose manifest cannot be read, and fails where the storage does", async () => {
    const { world, kinds } = await kept([manifest(1), manifest(2), manifest(3), manifest(4)]);
    const there = await world.storage.read(manifestPath(1));
    await world.storage.replace(manifestPath(1), Buffer.from("{"), there?.version ?? "");
    expect(await applyRetention(world.resources(), undefined)).toEqual([1, 3, 4]);
    expect(await kinds()).toEqual({ 1: "unreadable", 2: "deleted", 3: "manifest", 4: "manifest" });
    expect(await partsOf(world)).toContain("chk-0000000001/part-1");

    for (const error of [new Error("out of reach"), new TidemarkError("retry", "slow down")]) {
      const other = await kept([manifest(1)]);
      const storage = overriding(other.world.storage, "read", async () => Promise.reject(error));
      await expect(applyRetention(other.world.resources({ storage }), undefined)).rejects.toBe(error);
    }
  });

  test("counts no checkpoint that is not there, or was deleted", async () => {
    const { world, kinds } = await kept([manifest(1), manifest(2), manifest(3)]);
    const there = await world.storage.read(manifestPath(3));
    const marker = encodeManifest(deletedMarkerOf(manifest(3), { at: AT, keepPositions: false }));
    await world.storage.replace(manifestPath(3), marker, there?.version ?? "");
    expect(await applyRetention(world.resources(), 9)).toEqual([1, 2, 3, 9]);
    expect(await kinds()).toMatchObject({ 1: "manifest", 2: "manifest" });
  });

  test("decides ten times at the most, while pins come between", async () => {
    const { world } = await kept([manifest(1), manifest(2), manifest(3)]);
    let announced = 0;
    const update: typeof world.control.update = async (key, write) => {
      if (write.set?.some(([[name]]) => name === "deleting") === true) {
        announced += 1;
        await pinCheckpoint(world.control, `p${announced}`, 3);
      }
      return world.control.update(key, write);
    };
    const control = overriding(world.control, "update", update);
    await expect(applyRetention(world.resources({ control }), undefined)).rejects.toMatchObject({ kind: "retry" });
    expect(announced).toBe(10);
    expect((await readControl(world.control))?.deleting).toBeUndefined();
  });
});

describe("files that no manifest names", () => {
  test("are removed, but for the manifest and what it names", async () => {
    const { world } = await kept([manifest(1)]);
    await world.storage.write("chk-0000000001/lost", body());
    await removeOrphans(world.resources(), 1);
    expect(await world.objects()).toEqual([manifestPath(1), "chk-0000000001/part-1"]);
  });

  test("stay where there is no outcome, or none that can be read", async () => {
    const { world } = await kept([]);
    await world.storage.write("chk-0000000001/part-1", body());
    await removeOrphans(world.resources(), 1);
    await world.storage.createExclusively(manifestPath(1), Buffer.from("{"));
    await removeOrphans(world.resources(), 1);
    expect(await partsOf(world)).toEqual(["chk-0000000001/part-1"]);
  });
});
