/** A restore that dies at any store call, of the restorer or of the replayed batches, and is carried on by another. */
import { describe, expect, it } from "vitest";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { carryOnRestore } from "../../../shared/restore/carry-on.ts";
import { requestRestore } from "../../../shared/restore/restore.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { Crash, failingStores } from "../../support/failing-stores.ts";
import { RestoreWorld, type Stores } from "../../support/restore-world.ts";

const FOREVER = Number.POSITIVE_INFINITY;

/** A checkpoint that is open, records tried after the last one, and a split that no checkpoint knows. */
async function liveWorld(): Promise<RestoreWorld> {
  const world = new RestoreWorld();
  await world.deliver("s", 1, 5);
  await world.deliver("tt", 1, 3);
  await world.checkpoint();
  await world.deliver("s", 6, 9);
  world.addSplit("uuu", 4, ["s"]);
  await world.deliver("uuu", 1, 2);
  await world.checkpoint({ abandon: "open" });
  return world;
}

/** Stores that lost everything but the checkpoints. */
async function emptyAccount(): Promise<RestoreWorld> {
  const { stores, source } = await liveWorld();
  return new RestoreWorld({
    stores: { storage: stores.storage, control: new HeapControlStore(), state: new HeapStateBackend() },
    source,
  });
}

async function restore(world: RestoreWorld, stores: Partial<Stores> = {}): Promise<void> {
  await requestRestore(world.resources(stores), { checkpoint: 1 });
  await carryOnRestore(world.resources(stores), { deadlineMs: FOREVER, replay: world.replayer(stores) });
}

for (const [name, make] of [
  ["a live app", liveWorld],
  ["an empty account", emptyAccount],
] as const) {
  describe.each([
    ["before it is done", false],
    ["after it is done, its answer lost", true],
  ])(`a restore of ${name} that dies at a store call ${"%s"}`, (_, answerLost) => {
    it("keeps the promise when another carries it on, whichever call it was", async () => {
      let at = 0;
      let died = true;
      while (died) {
        at += 1;
        const world = await make();
        const failing = failingStores(world.stores, { at, answerLost });
        died = await restore(world, failing).then(
          () => failing.calls() >= at,
          (thrown: unknown) => {
            if (!String(thrown).includes("the process died")) throw thrown;
            return true;
          },
        );
        await restore(world);
        const generation = (await world.splitOf("s")).gen;
        await world.expectRunning(generation);
        await world.expectPromise();
        for (const split of world.source.splits.keys()) await world.deliver(split, 1, 12);
        await world.expectPromise();
        expect((await world.splitOf("s")).position).toBe("000012");
      }
      // The loop has passed every call of a whole restore.
      expect(at).toBeGreaterThan(60);
    });
  });
}

it("dies at the call it is told to", async () => {
  const world = await liveWorld();
  const failing = failingStores(world.stores, { at: 3, answerLost: false });
  await expect(restore(world, failing)).rejects.toThrow(Crash);
  expect(failing.calls()).toBeGreaterThanOrEqual(3);
});
