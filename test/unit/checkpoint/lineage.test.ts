import { describe, expect, test } from "vitest";
import { chooseCheckpoint } from "../../../shared/checkpoint/choose-checkpoint.ts";
import {
  highestCheckpointNumber,
  highestGeneration,
  latestCheckpoint,
  listCheckpoints,
  liveLineage,
  writeGenerationRecord,
} from "../../../shared/checkpoint/lineage.ts";
import { deletedMarkerOf, encodeManifest, type Manifest } from "../../../shared/checkpoint/manifest.ts";
import { checkpointsToDelete, neededCheckpoints } from "../../../shared/checkpoint/retention.ts";
import type { Lineage } from "../../../shared/control/control.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { readWhole } from "../../../shared/storage/checkpoint-storage.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { generationPath, manifestPath } from "../../../shared/storage/object-paths.ts";

const hour = (n: number): string => new Date(Date.UTC(2026, 0, 1, n)).toISOString();

function manifest(n: number, generation: number, more: { restoredFrom?: Lineage; savepoint?: string } = {}): Manifest {
  return {
    ...{ format: "tidemark-checkpoint", formatVersion: 1, kind: "manifest", app: "flights", checkpoint: n },
    ...{ token: `t${n}`, generation, mode: "exactly-once", triggeredAt: hour(n), completedAt: hour(n) },
    ...{ functions: [], files: [], ...more },
  };
}

async function stored(...manifests: Manifest[]): Promise<MemoryCheckpointStorage> {
  const storage = new MemoryCheckpointStorage();
  for (const one of manifests) await storage.createExclusively(manifestPath(one.checkpoint), encodeManifest(one));
  return storage;
}

const latest = async (storage: MemoryCheckpointStorage) => (await latestCheckpoint(storage, "flights"))?.checkpoint;

describe("the latest checkpoint", () => {
  test("after a restore of 2 is 2, never what the restore abandoned", async () => {
    const storage = await stored(manifest(1, 1), manifest(2, 1), manifest(3, 1), manifest(4, 1));
    expect(await latest(storage)).toBe(4);
    await writeGenerationRecord(storage, {
      generation: 2,
      restoredFrom: { generation: 1, checkpoint: 2 },
      at: hour(5),
    });
    expect(await latest(storage)).toBe(2);
    await storage.createExclusively(manifestPath(5), encodeManifest(manifest(5, 2)));
    expect(await latest(storage)).toBe(5);
  });

  test("goes back through several restores when their own checkpoints are gone", async () => {
    const storage = await stored(manifest(1, 1), manifest(2, 1), manifest(3, 2));
    await writeGenerationRecord(storage, {
      generation: 2,
      restoredFrom: { generation: 1, checkpoint: 1 },
      at: hour(3),
    });
    await writeGenerationRecord(storage, {
      generation: 3,
      restoredFrom: { generation: 2, checkpoint: 3 },
      at: hour(4),
    });
    const gone = await storage.read(manifestPath(3));
    const marker = deletedMarkerOf(manifest(3, 2), { at: hour(5), keepPositions: false });
    await storage.replace(manifestPath(3), encodeManifest(marker), gone?.version ?? "");
    expect(await liveLineage(storage, "flights")).toEqual({
      generation: 3,
      restoredFrom: { generation: 2, checkpoint: 3 },
    });
    expect(await latest(storage)).toBe(1);
  });

  test("is found though another manifest is damaged", async () => {
    const storage = await stored(manifest(1, 1));
    await storage.createExclusively(manifestPath(2), Buffer.from("{"));
    expect(await latest(storage)).toBe(1);
  });
});

describe("the live lineage", () => {
  const record = (generation: number, checkpoint: number) => ({
    ...{ generation, restoredFrom: { generation: generation - 1, checkpoint }, at: hour(9) },
  });

  test("is the latest generation of any checkpoint, with what one of its manifests says of its origin", async () => {
    const restoredFrom = { generation: 1, checkpoint: 1 };
    const storage = await stored(manifest(1, 1), manifest(2, 2, { restoredFrom }), manifest(3, 1), manifest(4, 2));
    await storage.createExclusively(manifestPath(5), Buffer.from("{"));
    expect(await liveLineage(storage, "flights")).toEqual({ generation: 2, restoredFrom });
    expect(await liveLineage(await stored(manifest(1, 1)), "flights")).toStrictEqual({ generation: 1 });
    expect(await liveLineage(new MemoryCheckpointStorage(), "flights")).toBeUndefined();
  });

  test("has its origin of whichever manifest of it says so", async () => {
    const restoredFrom = { generation: 1, checkpoint: 1 };
    const storage = await stored(manifest(1, 1), manifest(4, 2, { restoredFrom }), manifest(5, 2));
    for (const n of [2, 3]) {
      const marker = deletedMarkerOf(manifest(n, 2), { at: hour(n), keepPositions: false });
      await storage.createExclusively(manifestPath(n), encodeManifest(marker));
    }
    expect(await liveLineage(storage, "flights")).toStrictEqual({ generation: 2, restoredFrom });
  });

  test("is a generation's record where that is of the same generation or a later one", async () => {
    const storage = await stored(manifest(1, 1), manifest(2, 3));
    await writeGenerationRecord(storage, record(2, 1));
    expect(await liveLineage(storage, "flights")).toStrictEqual({ generation: 3 });
    await writeGenerationRecord(storage, record(3, 1));
    expect(await liveLineage(storage, "flights")).toStrictEqual({
      ...{ generation: 3, restoredFrom: { generation: 2, checkpoint: 1 } },
    });
    await writeGenerationRecord(storage, record(12, 1));
    expect(await liveLineage(storage, "flights")).toMatchObject({ generation: 12 });
  });

  test("takes no other object for a record", async () => {
    const storage = await stored(manifest(1, 1));
    await storage.createExclusively("generations/0000000002.json.old", Buffer.from("{}"));
    await storage.createExclusively("generations/note", Buffer.from("{}"));
    expect(await liveLineage(storage, "flights")).toStrictEqual({ generation: 1 });
  });

  test.each([
    ["is cut short", "{"],
    ["is null", "null"],
    ["is of another kind", altered({ format: "x" })],
    ["is of a newer format", altered({ formatVersion: 2 })],
    ["is of another generation", altered({ generation: 3 })],
    ["names no origin", altered({ restoredFrom: undefined })],
    ["names no checkpoint", altered({ restoredFrom: { generation: 1 } })],
    ["names no generation", altered({ restoredFrom: { checkpoint: 1 } })],
  ])("cannot be told from a record that %s", async (_, text) => {
    const storage = await stored(manifest(1, 1));
    await storage.createExclusively("generations/0000000002.json", Buffer.from(text));
    await expect(liveLineage(storage, "flights")).rejects.toMatchObject({
      ...{ kind: "choose-another-checkpoint", message: expect.stringContaining("The record of generation 2") },
    });
    // Its number is taken all the same.
    expect(await highestGeneration(storage, "flights")).toBe(2);
  });

  test("cannot be told from a record of which a bit was flipped", async () => {
    const storage = await stored(manifest(1, 1));
    await writeGenerationRecord(storage, record(2, 1));
    const { text = "", version = "" } = (await readWhole(storage, generationPath(2))) ?? {};
    await storage.replace(generationPath(2), Buffer.from(text.replace('"checkpoint": 1', '"checkpoint": 3')), version);
    await expect(liveLineage(storage, "flights")).rejects.toThrow("The record of generation 2");
  });

  function altered(change: object): string {
    const whole = { format: "tidemark-generation", formatVersion: 1, ...record(2, 1), ...change };
    return JSON.stringify(whole);
  }
});

describe("the list of checkpoints", () => {
  const listed = async (storage: MemoryCheckpointStorage) => {
    const found = [];
    for await (const one of listCheckpoints(storage, "flights")) found.push(one);
    return found;
  };

  test("has every outcome, with what is known of it", async () => {
    const origin = { restoredFrom: { generation: 1, checkpoint: 1 }, savepoint: "s" };
    const storage = await stored(manifest(1, 1), manifest(2, 2, origin));
    const { app, format, formatVersion, generation, token } = manifest(3, 2);
    const marker = { app, format, formatVersion, generation, token, checkpoint: 3, kind: "aborted" as const };
    await storage.createExclusively(manifestPath(3), encodeManifest({ ...marker, reason: "too slow", at: hour(3) }));
    const deleted = deletedMarkerOf(manifest(4, 2), { at: hour(5), keepPositions: false });
    await storage.createExclusively(manifestPath(4), encodeManifest(deleted));
    await storage.createExclusively(manifestPath(5), Buffer.from("{"));
    for (const n of [1, 6]) await storage.createExclusively(`chk-000000000${n}/part.json.gz`, Buffer.from(""));
    const nothing = { mode: "exactly-once", keys: 0, bytes: 0, holes: 0 };
    expect(await listed(storage)).toStrictEqual([
      {
        ...{ checkpoint: 1, status: "completed", generation: 1, ...nothing },
        ...{ triggeredAt: hour(1), completedAt: hour(1) },
      },
      {
        ...{ checkpoint: 2, status: "completed", generation: 2, ...nothing, ...origin },
        ...{ triggeredAt: hour(2), completedAt: hour(2) },
      },
      { checkpoint: 3, status: "aborted", generation: 2, at: hour(3), reason: "too slow" },
      { checkpoint: 4, status: "deleted", generation: 2, at: hour(5), completedAt: hour(4) },
      { checkpoint: 5, status: "unreadable", reason: expect.stringContaining("not JSON") },
    ]);
    expect(await highestCheckpointNumber(storage)).toBe(6);
    expect(await highestCheckpointNumber(new MemoryCheckpointStorage())).toBe(0);
  });

  test("fails where the storage does", async () => {
    for (const error of [new Error("out of reach"), new TidemarkError("retry", "slow down")]) {
      const storage = await stored(manifest(1, 1));
      storage.read = () => Promise.reject(error);
      await expect(listed(storage)).rejects.toBe(error);
    }
  });
});

test("a generation's record says the same for ever", async () => {
  const storage = new MemoryCheckpointStorage();
  const record = { generation: 2, restoredFrom: { generation: 1, checkpoint: 4 }, at: hour(1) };
  await writeGenerationRecord(storage, record);
  await writeGenerationRecord(storage, { ...record, at: hour(2) });
  const other = { ...record, restoredFrom: { generation: 1, checkpoint: 3 } };
  const another = { ...record, restoredFrom: { generation: 9, checkpoint: 4 } };
  for (const differing of [other, another]) {
    await expect(writeGenerationRecord(storage, differing)).rejects.toMatchObject({ kind: "retry" });
  }
});

describe("a chosen checkpoint", () => {
  const choose = async (wish: object, storage?: MemoryCheckpointStorage) =>
    (
      await chooseCheckpoint(
        storage ?? (await stored(manifest(1, 1), manifest(2, 1, { savepoint: "s" }), manifest(4, 1))),
        "flights",
        undefined,
        wish,
      )
    ).checkpoint;

  test.each([
    [{}, 4],
    [{ checkpoint: 1 }, 1],
    [{ before: new Date(hour(3)) }, 2],
    [{ before: new Date(hour(2)) }, 2],
    [{ savepoint: "s" }, 2],
  ])("for %o is %i", async (wish, n) => expect(await choose(wish)).toBe(n));

  test.each([
    [{ checkpoint: 3 }, "Checkpoint 2 of"],
    [{ before: new Date(hour(0)) }, "Checkpoint 4 of"],
    [{ checkpoint: 1.5 }, "Checkpoint 1 of"],
    [{ checkpoint: 0 }, "Checkpoint 4 of"],
    [{ checkpoint: 9 }, "Checkpoint 4 of"],
    [{ before: new Date(hour(0)) }, `that was complete by ${hour(0)}`],
    [{ savepoint: "x" }, "there are s"],
  ])("for %o is none, and the refusal names what would do", async (wish, instead) => {
    await expect(choose(wish)).rejects.toMatchObject({
      kind: "choose-another-checkpoint",
      message: expect.stringContaining(instead),
    });
  });

  test("is never silently an earlier one: a later manifest that cannot be read is named, and what would do", async () => {
    const storage = await stored(manifest(1, 1), manifest(2, 1));
    await storage.createExclusively(manifestPath(3), Buffer.from('{"format"'));
    await expect(choose({}, storage)).rejects.toMatchObject({
      kind: "choose-another-checkpoint",
      message: expect.stringMatching(/Checkpoint 3, later.*cannot be read.*ask for checkpoint 2 of/),
    });
    expect(await choose({ checkpoint: 2 }, storage)).toBe(2);
  });

  test("may come after one that cannot be read: that is nobody's latest", async () => {
    const storage = await stored(manifest(2, 1));
    await storage.createExclusively(manifestPath(1), Buffer.from('{"format"'));
    expect(await choose({}, storage)).toBe(2);
  });

  test("of a savepoint's name is the newest that has it", async () => {
    const named = { savepoint: "s" };
    const storage = await stored(manifest(1, 1, named), manifest(2, 1, named), manifest(3, 1, { savepoint: "t" }));
    expect(await choose({ savepoint: "s" }, storage)).toBe(2);
    await expect(choose({ savepoint: "x" }, storage)).rejects.toThrow("there are s, t");
    await expect(choose({ savepoint: "x" }, await stored(manifest(1, 1)))).rejects.toThrow("there is no savepoint");
  });

  test("is of the lineage that is said to be live", async () => {
    const storage = await stored(manifest(1, 1), manifest(2, 2), manifest(3, 3));
    const choice = await chooseCheckpoint(storage, "flights", { generation: 2 }, {});
    expect(choice.checkpoint).toBe(2);
  });

  test("is refused with its reason when it was aborted, and where there is none at all", async () => {
    const storage = await stored(manifest(1, 1));
    const { app, format, formatVersion, generation, token } = manifest(2, 1);
    const marker = { app, format, formatVersion, generation, token, checkpoint: 2, kind: "aborted" as const };
    await storage.createExclusively(manifestPath(2), encodeManifest({ ...marker, reason: "too slow", at: hour(2) }));
    await expect(choose({ checkpoint: 2 }, storage)).rejects.toThrow(/too slow.*Checkpoint 1 of/);
    const gone = deletedMarkerOf(manifest(3, 1), { at: hour(5), keepPositions: false });
    await storage.createExclusively(manifestPath(3), encodeManifest(gone));
    await expect(choose({ checkpoint: 3 }, storage)).rejects.toThrow(`Checkpoint 3 was deleted at ${hour(5)}`);
    await expect(choose({}, new MemoryCheckpointStorage())).rejects.toThrow(
      /holds no checkpoint of flights\. There is no completed checkpoint/,
    );
  });
});

describe("what retention deletes", () => {
  const kept = [1, 2, 3, 4].map((checkpoint) => ({ checkpoint, generation: checkpoint === 2 ? 1 : 2 }));
  const view = {
    kept,
    isLive: ({ checkpoint }: { checkpoint: number }) => checkpoint !== 2,
    needed: new Set<number>(),
  };

  test("is what lies before the last live ones, abandoned ones included", () => {
    expect(checkpointsToDelete({ ...view, retained: 2 })).toEqual([2, 1]);
    expect(checkpointsToDelete({ ...view, retained: 3 })).toEqual([]);
  });

  test("is never what a pin, an unfinished restore or the live generation needs", () => {
    const control = { gen: 3, maxGen: 3, phase: "RUNNING", epoch: 4, mode: "exactly-once", pins: { a: 1 } } as const;
    const restore = { token: "r", target: 4, checkpoint: 2, startedAtMs: 0, functions: {} };
    const restoredFrom = { generation: 2, checkpoint: 3 };
    expect(neededCheckpoints({ ...control, restore, restoredFrom }, kept)).toEqual(new Set([1, 2, 3]));
    expect(checkpointsToDelete({ ...view, retained: 1, needed: new Set([1, 2]) })).toEqual([3]);
  });

  test("is not what a restore is asked for whose pin another restore took with it, unless that was refused", () => {
    const control = { gen: 3, maxGen: 3, phase: "RUNNING", epoch: 4, mode: "exactly-once", pins: {} } as const;
    const requested = { token: "r", checkpoint: 2, requestedAtMs: 0, allowNonRestoredState: false };
    expect(neededCheckpoints({ ...control, requested }, kept)).toEqual(new Set([2]));
    const refused = { kind: "choose-another-checkpoint", message: "altered", atMs: 1 };
    expect(neededCheckpoints({ ...control, requested: { ...requested, refused } }, kept)).toEqual(new Set());
  });
});
