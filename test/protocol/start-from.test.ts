/** The user's `startFrom`: what arrived earlier is dropped by the handler, by a replay and by a fold from the source alike. */
import { describe, expect, it } from "vitest";
import { goOnWithRestore } from "../../shared/restore/ask-for-restore.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { manifestPath } from "../../shared/storage/object-paths.ts";
import { expectAllResolved, expectOneLiveGeneration, expectPromise, liveLogs } from "../support/oracle.ts";
import { MINUTE_MS, START_MS, TestWorld } from "../support/test-world.ts";

/** Records 1 and 2 arrive before the start, 3 at it. */
const arrivalTimeMs = (number: number): number => START_MS + (number - 3) * MINUTE_MS;

function setup(): TestWorld {
  const world = new TestWorld();
  world.describe("log", { startTimeMs: START_MS });
  world.split("s", "abcab", { arrivalTimeMs });
  return world;
}

const folded = async (world: TestWorld): Promise<string[]> => [...(await liveLogs(world)).values()].flat().toSorted();

it("a handler drops what arrived before the start, and is past it all the same", async () => {
  const world = setup();
  await world.drain(2);
  expect(await folded(world)).toEqual(["s3", "s4", "s5"]);
  await expectAllResolved(world);
  await world.checkpoint();
  await expectPromise(world);
});

it("a replay from before the start drops it as well", async () => {
  const world = setup();
  await world.deliver("s", 1, 1);
  const before = await world.checkpoint();
  await world.deliverUntilDone("s", 2, 5);
  await world.restore({ checkpoint: before });
  await expectOneLiveGeneration(world, 2);
  expect(await folded(world)).toEqual(["s3", "s4", "s5"]);
  await expectPromise(world);
});

it("the split keeps the start that it was born with, whatever the app says at its restore", async () => {
  const world = setup();
  await world.deliver("s", 1, 1);
  const before = await world.checkpoint();
  await world.deliverUntilDone("s", 2, 4);
  world.describe("log", { startTimeMs: START_MS - 60 * MINUTE_MS });
  await world.restore({ checkpoint: before });
  await world.drain();
  expect(await folded(world)).toEqual(["s3", "s4", "s5"]);
  await expectPromise(world);
});

describe("restored from storage alone, under an app that says another start", () => {
  /** The splits of a world whose checkpoint 1 stands at `s1`, in an account that has nothing but its storage. */
  function emptied(world: TestWorld, startTimeMs?: number): TestWorld {
    const empty = new TestWorld({ seed: 2, stores: { storage: world.stores.storage } });
    if (startTimeMs !== undefined) empty.describe("log", { startTimeMs });
    empty.split("s", "abcab", { arrivalTimeMs });
    return empty;
  }

  it.each([
    ["none", undefined],
    ["an earlier one", START_MS - 60 * MINUTE_MS],
    ["a later one", START_MS + 60 * MINUTE_MS],
  ])("(%s) a split keeps the one that its checkpoint was taken with", async (_, startTimeMs) => {
    const world = setup();
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    const empty = emptied(world, startTimeMs);
    await empty.restore({ checkpoint: 1 });
    await empty.drain();
    expect(await folded(empty)).toEqual(["s3", "s4", "s5"]);
    await expectPromise(empty);
    await empty.checkpoint();
    await expectPromise(empty);
  });

  it("a split that had none gets none, and loses nothing", async () => {
    const world = new TestWorld();
    world.split("s", "abcab", { arrivalTimeMs });
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    const empty = emptied(world, START_MS);
    await empty.restore({ checkpoint: 1 });
    await empty.drain();
    expect(await folded(empty)).toEqual(["s1", "s2", "s3", "s4", "s5"]);
    await expectPromise(empty);
  });

  it("a split that an event births before the restore comes to it gets its checkpoint's all the same", async () => {
    const world = setup();
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    const empty = emptied(world, START_MS + 60 * MINUTE_MS);
    await empty.deliver("s", 1, 2);
    await empty.restore({ checkpoint: 1 });
    await empty.drain();
    expect(await folded(empty)).toEqual(["s3", "s4", "s5"]);
    await expectPromise(empty);
  });

  it("a split of a checkpoint in at-least-once mode keeps its own as well", async () => {
    const world = new TestWorld({ mode: "at-least-once" });
    world.describe("log", { startTimeMs: START_MS });
    world.split("s", "abcab", { arrivalTimeMs });
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    const empty = new TestWorld({ seed: 2, mode: "at-least-once", stores: { storage: world.stores.storage } });
    empty.split("s", "abcab", { arrivalTimeMs });
    await empty.restore({ checkpoint: 1 });
    await empty.drain();
    expect(await folded(empty)).toEqual(["s3", "s4", "s5"]);
  });

  it("a checkpoint from before manifests told it is restored under the app's", async () => {
    const world = setup();
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    const { storage } = world.stores;
    const manifest = await readWhole(storage, manifestPath(1));
    // They had no checksum of themselves either.
    const older = manifest?.text.replace(/^.*"startFrom".*\n/gm, "").replace(/,\n "sha256": .*\n}/, "\n}") ?? "";
    expect(older).not.toBe(manifest?.text);
    await storage.replace(manifestPath(1), Buffer.from(older), manifest?.version ?? "");
    const empty = emptied(world, START_MS);
    await empty.restore({ checkpoint: 1 });
    await empty.drain();
    expect(await folded(empty)).toEqual(["s3", "s4", "s5"]);
  });
});

it("a split of a renamed function keeps the start of its old name", async () => {
  const world = setup();
  await world.deliver("s", 1, 1);
  await world.checkpoint();
  world.describe("log", { name: "renamed", previousName: "log", startTimeMs: START_MS + 60 * MINUTE_MS });
  await world.restore({ checkpoint: 1 });
  await world.drain();
  expect([...(await liveLogs(world, "renamed")).values()].flat().toSorted()).toEqual(["s3", "s4", "s5"]);
});

it("a split that a held restore is the first to read drops it as well", async () => {
  const world = setup();
  await world.deliverUntilDone("s", 1, 3);
  world.clock.ms += 10 * MINUTE_MS;
  await world.checkpoint();
  world.split("u", "abc", { arrivalTimeMs });
  await world.ask({ until: { arrivedByMs: world.clock.ms - 1 } });
  expect(await world.runCoordinator()).toMatchObject({ restore: { outcome: "held" } });
  expect(await folded(world)).toEqual(["s3", "s4", "s5", "u3"]);
  await goOnWithRestore(world.resources());
  await world.runCoordinator();
  await expectPromise(world);
});
