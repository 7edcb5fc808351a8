/** A checkpoint's snapshot by workers, and what its manifest says of it. */
import { describe, expect, test } from "vitest";
import { readCheckpointObject, readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import { runSnapshotWork } from "../../../shared/checkpoint/snapshot-work.ts";
import type { SnapshotWork, WorkAnswer, WorkRequest } from "../../../shared/checkpoint/work.ts";
import { HOUR_MS, MINUTE_MS, TestWorld } from "../../support/test-world.ts";

async function folded(): Promise<TestWorld> {
  const world = new TestWorld({ timeoutMs: MINUTE_MS });
  world.split("s", "abcde");
  await world.deliver("s", 1, 5);
  return world;
}

/** A checkpoint in two slices by workers, each piece answered in turn by these, and then done in earnest. */
async function byWorkers(world: TestWorld, answers: readonly (WorkAnswer | "really")[], count = 1) {
  const asked: WorkRequest[] = [];
  const invoke = (request: WorkRequest): Promise<WorkAnswer> => {
    const answer = answers[asked.length] ?? "really";
    asked.push(request);
    if (answer !== "really") return Promise.resolve(answer);
    return runSnapshotWork(world.resources(), request as SnapshotWork, world.clock.ms + HOUR_MS);
  };
  const report = await world.coordinate({ request: {}, slices: 2, workers: { invoke, count } });
  return { report, asked };
}

describe("a snapshot by workers", () => {
  test("gives each slice out once", async () => {
    const world = await folded();
    const { report, asked } = await byWorkers(world, []);
    expect(report).toMatchObject({ outcome: "completed", checkpoint: 1, keys: 5 });
    const work = { work: "snapshot", checkpoint: 1, function: "log" };
    expect(asked).toMatchObject([
      { ...work, slice: 0 },
      { ...work, slice: 1 },
    ]);
  });

  test("gives a slice out again that a worker only called done", async () => {
    const { report, asked } = await byWorkers(await folded(), [{ outcome: "done" }]);
    expect(report).toMatchObject({ outcome: "completed", keys: 5 });
    expect(asked.map((one) => (one as SnapshotWork).slice)).toEqual([0, 0, 1]);
  });

  test("gives no slice out any more once one has failed", async () => {
    const world = await folded();
    const { report, asked } = await byWorkers(world, [{ outcome: "image-gone", reason: "it is gone" }]);
    expect(report).toEqual({ outcome: "aborted", checkpoint: 1, reason: "it is gone" });
    expect(asked).toHaveLength(1);
    const marker = await readCheckpointObject(world.stores.storage, { app: "test-app", n: 1 });
    expect(marker?.object).toMatchObject({ kind: "aborted", reason: "it is gone" });
  });

  test("is given up at the checkpoint's timeout", async () => {
    const { report } = await byWorkers(await folded(), Array<WorkAnswer>(1_000).fill({ outcome: "unfinished" }));
    expect(report).toMatchObject({ outcome: "aborted", reason: expect.stringContaining("60000 ms") });
  });

  test("ends where a worker finds that the checkpoint is not open any more", async () => {
    const { report, asked } = await byWorkers(await folded(), Array<WorkAnswer>(2).fill({ outcome: "superseded" }));
    // Nobody has seen it through: it is looked at again, and carried on.
    expect(report).toMatchObject({ outcome: "completed", keys: 5 });
    expect(asked).toHaveLength(4);
  });
});

describe("a manifest", () => {
  const manifestOf = (world: TestWorld, n: number) => readManifest(world.stores.storage, { app: "test-app", n });

  test("names its savepoint and its origin, where it has one", async () => {
    const world = await folded();
    const plain = await manifestOf(world, await world.checkpoint());
    expect(plain).not.toHaveProperty("savepoint");
    expect(plain).not.toHaveProperty("restoredFrom");
    expect(await manifestOf(world, await world.checkpoint({ savepoint: "mine" }))).toMatchObject({ savepoint: "mine" });
    await world.restore({ checkpoint: 1 });
    const after = await manifestOf(world, await world.checkpoint());
    expect(after).toMatchObject({ generation: 2, restoredFrom: { generation: 1, checkpoint: 1 } });
    expect(after).not.toHaveProperty("savepoint");
  });
});
