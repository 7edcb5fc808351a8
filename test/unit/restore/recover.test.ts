import { expect, it } from "vitest";
import { readControl } from "../../../shared/control/control-steps.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { carryOnRestore } from "../../../shared/restore/carry-on.ts";
import { recoverFromStorage } from "../../../shared/restore/recover.ts";
import { requestRestore } from "../../../shared/restore/restore.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { manifestPath } from "../../../shared/storage/object-paths.ts";
import { RestoreWorld } from "../../support/restore-world.ts";

/** The process died: only storage and the source are left. */
const nextProcess = ({ stores, source }: RestoreWorld) =>
  new RestoreWorld({
    stores: { storage: stores.storage, control: new HeapControlStore(), state: new HeapStateBackend() },
    source,
  });

const recover = (world: RestoreWorld) => recoverFromStorage(world.resources(), { replay: world.replayer() });

it("starts at epoch 0 and generation 1 over an empty storage", async () => {
  const world = new RestoreWorld();
  expect(await recover(world)).toEqual({ outcome: "nothing-to-do" });
  expect(await readControl(world.stores.control)).toMatchObject({ phase: "RUNNING", gen: 1, maxGen: 1, epoch: 0 });
});

it("goes on from the latest checkpoint, process after process", async () => {
  let world = new RestoreWorld();
  await recover(world);
  for (let life = 1; life <= 3; life++) {
    await world.deliver("s", 1, life * 3);
    await world.deliver("tt", 1, life);
    expect(await world.checkpoint()).toBe(life);
    await world.deliver("s", 1, life * 3 + 1);
    world = nextProcess(world);
    expect(await recover(world)).toMatchObject({ outcome: "finished", checkpoint: life, generation: life + 1 });
    expect((await world.splitOf("s")).position).toBe(`00000${life * 3}`);
    await world.expectPromise();
  }
});

it("follows the live lineage: what a restore had abandoned does not come back with the process", async () => {
  const world = new RestoreWorld();
  for (const last of [2, 4, 6]) {
    await world.deliver("s", 1, last);
    await world.checkpoint();
  }
  await requestRestore(world.resources(), { checkpoint: 1 });
  await carryOnRestore(world.resources(), { deadlineMs: Number.POSITIVE_INFINITY, replay: world.replayer() });
  const next = nextProcess(world);
  expect(await recover(next)).toMatchObject({ outcome: "finished", checkpoint: 1, generation: 3 });
  expect((await readControl(next.stores.control))?.epoch).toBe(3);
});

it("passes over a manifest that cannot be read: the replay makes up for it", async () => {
  const world = new RestoreWorld();
  await world.deliver("s", 1, 3);
  await world.checkpoint();
  await world.deliver("s", 1, 5);
  await world.stores.storage.createExclusively(manifestPath(2), Buffer.from('{"format"'));
  const next = nextProcess(world);
  expect(await recover(next)).toMatchObject({ outcome: "finished", checkpoint: 1 });
  await next.expectPromise();
});

it("starts afresh past every number that storage has seen when no checkpoint was completed", async () => {
  const world = new RestoreWorld();
  await world.deliver("s", 1, 2);
  expect(await world.checkpoint({ abandon: "open" })).toBe(1);
  const marker = {
    ...{ format: "tidemark-checkpoint", formatVersion: 1, kind: "aborted", app: "test-app", checkpoint: 5, token: "t" },
    ...{ generation: 3, reason: "a test", at: "2026-01-01T00:00:00Z" },
  };
  await world.stores.storage.createExclusively(manifestPath(5), Buffer.from(JSON.stringify(marker)));
  const next = nextProcess(world);
  expect(await recover(next)).toEqual({ outcome: "nothing-to-do" });
  expect(await readControl(next.stores.control)).toMatchObject({ phase: "RUNNING", gen: 4, maxGen: 4, epoch: 5 });
});
