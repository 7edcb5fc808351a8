import { describe, expect, test } from "vitest";
import { deletedMarkerOf, encodeManifest, type Manifest } from "../../../shared/checkpoint/manifest.ts";
import { abortOpenCheckpoint, decideOutcome, recordOutcome } from "../../../shared/checkpoint/outcome.ts";
import type { CheckpointRecord, Control } from "../../../shared/control/control.ts";
import { ensureControl, readControl, triggerCheckpoint } from "../../../shared/control/control-steps.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { manifestPath } from "../../../shared/storage/object-paths.ts";
import { overriding } from "../../support/overriding.ts";
import { CheckpointWorld } from "./checkpoint-world.ts";

const AT = "2026-01-01T00:00:00.000Z";
const COMMON = {
  format: "tidemark-checkpoint",
  formatVersion: 1,
  app: "flights",
  checkpoint: 1,
  token: "t",
  generation: 1,
} as const;
const MANIFEST: Manifest = {
  ...{ ...COMMON, kind: "manifest", mode: "exactly-once", triggeredAt: AT, completedAt: AT },
  functions: [{ name: "count", stateVersion: 1, source: "flights", keys: 2, splits: [] }],
  files: [{ name: "p", function: "count", items: 2, bytes: 7, sha256: "0".repeat(64) }],
};
const ABORTED = { ...COMMON, kind: "aborted", reason: "too slow", at: AT } as const;

async function opened() {
  const world = new CheckpointWorld();
  await ensureControl(world.control, "exactly-once");
  const checkpoint: CheckpointRecord = {
    ...{ n: 1, open: true, status: "TRIGGERED", token: "t", triggeredAtMs: world.nowMs, settled: false },
  };
  await triggerCheckpoint(world.control, { epochRead: 0, checkpoint });
  const record = async () => (await readControl(world.control))?.checkpoint;
  return { world, checkpoint, record };
}

describe("the outcome of a checkpoint", () => {
  const decide = async (proposed: Manifest | typeof ABORTED, there?: object | string) => {
    const { world, checkpoint } = await opened();
    const content = typeof there === "string" ? Buffer.from(there) : there && encodeManifest(there as Manifest);
    if (content !== undefined) await world.storage.createExclusively(manifestPath(1), content);
    return decideOutcome(world.resources(), checkpoint, proposed);
  };

  test("is what is proposed where nothing stands at its address", async () => {
    expect(await decide(MANIFEST)).toEqual({ status: "COMPLETED", manifest: MANIFEST });
    expect(await decide(ABORTED)).toEqual({ status: "ABORTED", reason: "too slow" });
  });

  test("is what stands there already", async () => {
    expect(await decide(ABORTED, MANIFEST)).toEqual({ status: "COMPLETED", manifest: MANIFEST });
    expect(await decide(MANIFEST, { ...ABORTED, reason: "died" })).toEqual({ status: "ABORTED", reason: "died" });
    const deleted = deletedMarkerOf(MANIFEST, { at: AT, keepPositions: false });
    expect(await decide(MANIFEST, deleted)).toEqual({ status: "DELETED" });
  });

  test("is an abort where its address is another life's, or holds what cannot be read", async () => {
    const foreign = { status: "ABORTED", foreign: true };
    const earlier = await decide(MANIFEST, { ...MANIFEST, token: "other" });
    expect(earlier).toEqual({ ...foreign, reason: expect.stringContaining("an earlier life of this app") });
    expect(await decide(MANIFEST, "{")).toEqual({
      ...foreign,
      reason: expect.stringContaining("its address is taken"),
    });
  });

  test("is not told where the storage fails", async () => {
    const { world, checkpoint } = await opened();
    await world.storage.createExclusively(manifestPath(1), encodeManifest(MANIFEST));
    for (const error of [new Error("out of reach"), new TidemarkError("retry", "slow down")]) {
      const storage = overriding(world.storage, "read", async () => Promise.reject(error));
      await expect(decideOutcome(world.resources({ storage }), checkpoint, MANIFEST)).rejects.toBe(error);
    }
  });
});

describe("an outcome is recorded", () => {
  test("and told, by the call that was first", async () => {
    const { world, checkpoint, record } = await opened();
    world.nowMs += 5_000;
    for (let i = 0; i < 2; i += 1) {
      await recordOutcome(world.resources(), checkpoint, { status: "COMPLETED", manifest: MANIFEST });
    }
    expect(await record()).toMatchObject({ open: false, status: "COMPLETED", keys: 2, finishedAtMs: world.nowMs });
    expect(world.events).toEqual([
      { type: "checkpoint-completed", checkpoint: 1, keys: 2, bytes: 7, milliseconds: 5_000 },
    ]);
  });

  test("with its reason where it was aborted, and for how long its address is another's", async () => {
    for (const foreign of [true, undefined] as const) {
      const { world, checkpoint, record } = await opened();
      const outcome = { status: "ABORTED", reason: "no", ...(foreign && { foreign }) } as const;
      for (let i = 0; i < 2; i += 1) await recordOutcome(world.resources(), checkpoint, outcome);
      expect(await record()).toMatchObject({ open: false, status: "ABORTED", reason: "no" });
      expect((await record())?.foreign).toBe(foreign);
      expect(world.events).toEqual([{ type: "checkpoint-aborted", checkpoint: 1, reason: "no" }]);
    }
  });

  test("no more once it was deleted: it had one long ago", async () => {
    const { world, checkpoint, record } = await opened();
    await recordOutcome(world.resources(), checkpoint, { status: "DELETED" });
    expect(await record()).toEqual(checkpoint);
    expect(world.events).toEqual([]);
  });
});

test("only an open checkpoint is aborted", async () => {
  const { world } = await opened();
  const control = (await readControl(world.control)) as Control;
  const { checkpoint: _, ...none } = control;
  expect(await abortOpenCheckpoint(world.resources(), none)).toBeUndefined();
  expect(await world.objects()).toEqual([]);
  expect(await abortOpenCheckpoint(world.resources(), control)).toEqual({
    status: "ABORTED",
    reason: "a restore began",
  });
  const closed = (await readControl(world.control)) as Control;
  expect(await abortOpenCheckpoint(world.resources(), closed)).toBeUndefined();
});
