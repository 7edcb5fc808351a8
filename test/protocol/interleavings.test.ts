/**
 * Two processes at once: one is held before each of its calls in turn, while the other runs from beginning to end; then
 * the first goes on with what it knew. Nothing here relies on a clock: the held one may have slept for days.
 */
import { describe, expect, it } from "vitest";
import { everyPause, settled } from "../support/every-call.ts";
import type { FaultyProcess } from "../support/faulty-stores.ts";
import {
  completedCheckpoints,
  expectAllResolved,
  expectExactlyOnce,
  expectOneLiveGeneration,
  expectPromise,
} from "../support/oracle.ts";
import { MINUTE_MS, TestWorld } from "../support/test-world.ts";

/** Checkpoint 1 at s3 and t2; then s4 to s5 were tried and written in part. */
async function setup(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "dbca!babD");
  world.split("t", "bacbac");
  await world.deliver("s", 1, 3);
  await world.deliver("t", 1, 2);
  await world.checkpoint();
  const dying = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
  await settled(world.deliver("s", 4, 5, { process: dying }));
  return world;
}

/** The same with barrier 2 asked for: t is in epoch 2, s not yet. */
async function aligning(): Promise<TestWorld> {
  const world = await setup();
  const report = await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
  expect(report).toEqual({ outcome: "unfinished", checkpoint: 2 });
  return world;
}

type Actor = (world: TestWorld, process: FaultyProcess) => Promise<unknown>;

const handler: Actor = async (world, process) => {
  await world.deliverUntilDone("s", 4, 5, { process });
  await world.deliver("s", 6, 8, { process });
};
const overlapping: Actor = async (world, process) => {
  await world.deliverUntilDone("s", 2, 7, { process });
  await world.deliver("s", 3, 9, { process });
};
const otherSplit: Actor = (world, process) => world.deliver("t", 3, 5, { process });
const newSplit: Actor = async (world, process) => {
  if (!world.source.splits.has("u")) world.split("u", "ab");
  await world.deliver("u", 1, 1, { process });
};
const checkpoint: Actor = (world, process) => {
  return world.coordinate({ request: {}, deadlineMs: world.clock.now() + 3_000, process });
};
const abort: Actor = async (world, process) => {
  world.clock.ms += 11 * MINUTE_MS;
  await world.coordinate({ process });
};
const abortAndNext: Actor = async (world, process) => {
  await abort(world, process);
  await world.deliverUntilDone("s", 4, 5);
  await world.coordinate({ request: {}, process });
};
const restore: Actor = (world, process) => world.restore({ checkpoint: 1 }, { process });
const restoreAndGoOn: Actor = async (world, process) => {
  await world.restore({ checkpoint: 1 }, { process });
  await world.drain();
  await world.coordinate({ request: {}, process });
};
const twoRestores: Actor = async (world, process) => {
  await world.restore({ checkpoint: 1 }, { process });
  await world.restore({ checkpoint: 1 }, { process });
};

/** Whatever happened: it can be brought to an end, and the promise holds then. */
async function after(world: TestWorld): Promise<void> {
  await world.carryOn();
  await expectExactlyOnce(world);
  // A split that was born as a restore ended runs from its next batch on.
  await world.drain();
  await expectAllResolved(world);
  const n = await world.checkpoint();
  expect(await completedCheckpoints(world)).toContain(n);
  await expectPromise(world);
  await world.restore();
  await expectAllResolved(world);
  await expectExactlyOnce(world);
  await expectOneLiveGeneration(world);
}

const rows: readonly [string, readonly (readonly [string, () => Promise<TestWorld>, Actor, Actor])[]][] = [
  [
    "duplicate and overlapping batches, two mappings on one stream",
    [
      ["a batch held, its duplicates done", setup, handler, handler],
      ["a batch held, overlapping ones done", aligning, handler, overlapping],
      ["overlapping batches held, the plain ones done", aligning, overlapping, handler],
    ],
  ],
  [
    "two splits writing one key across a barrier",
    [
      ["the older epoch's batch held", aligning, handler, otherSplit],
      ["the newer epoch's batch held", aligning, otherSplit, handler],
    ],
  ],
  [
    "the coordinator's idle move racing a handler's barrier",
    [
      ["the coordinator held", setup, checkpoint, handler],
      ["the handler held", setup, handler, checkpoint],
      ["the coordinator held that carries on", aligning, checkpoint, handler],
      ["the handler held while the barrier is asked for", aligning, handler, checkpoint],
    ],
  ],
  [
    "manifest and abort by two coordinators; one that stalls and comes back an epoch later",
    [
      ["the committer held, the other aborts", setup, checkpointAfterRedelivery, abort],
      ["the committer held, the other commits", setup, checkpointAfterRedelivery, checkpoint],
      ["the committer held for an epoch", setup, checkpointAfterRedelivery, abortAndNext],
      ["the aborter held, the other commits late", aligning, abort, handlerAndCheckpoint],
    ],
  ],
  [
    "a split born while a checkpoint is triggered or aborted, or a restore runs",
    [
      ["the birth held, a checkpoint taken", setup, newSplit, checkpointAfterRedelivery],
      ["the birth held, a checkpoint aborted and the next taken", aligning, newSplit, abortAndNext],
      ["the birth held, a restore done", setup, newSplit, restore],
      ["the checkpoint held, the split born", setup, checkpointAfterRedelivery, newSplit],
      ["the restore held, the split born", setup, restore, newSplit],
    ],
  ],
  [
    "a zombie handler that writes or ends after a restore, or after a later batch",
    [
      ["held during a restore", aligning, handler, restore],
      ["held during a restore, what follows it and a checkpoint", aligning, handler, restoreAndGoOn],
      ["held during two restores", setup, handler, twoRestores],
    ],
  ],
  [
    "two restores at once, and a restore during a checkpoint",
    [
      ["a restorer held, the same restore done by another", aligning, restore, restore],
      ["a restorer held, two restores and their checkpoint done meanwhile", setup, restore, restoreTwice],
      ["a restorer held, the mapping goes on", setup, restore, handler],
      ["the coordinator held during a restore", setup, checkpointAfterRedelivery, restoreAndGoOn],
      ["a restorer held, a checkpoint tried", setup, restore, checkpoint],
    ],
  ],
];

async function checkpointAfterRedelivery(world: TestWorld, process: FaultyProcess): Promise<void> {
  await world.deliverUntilDone("s", 4, 5);
  await world.coordinate({ request: {}, process });
}

async function handlerAndCheckpoint(world: TestWorld, process: FaultyProcess): Promise<void> {
  await world.deliverUntilDone("s", 4, 5);
  await world.coordinate({ process });
}

async function restoreTwice(world: TestWorld, process: FaultyProcess): Promise<void> {
  await world.restore({ checkpoint: 1 }, { process });
  await world.drain();
  await world.coordinate({ request: {}, process });
  await world.restore({}, { process });
}

for (const [row, cases] of rows) {
  describe(row, () => {
    it.each(cases)("%s at each of its calls: the promise is kept", async (_, from, stalled, other) => {
      expect(await everyPause({ setup: from, stalled, other, after })).toBeGreaterThan(4);
    });
  });
}
