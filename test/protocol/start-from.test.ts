/** The user's `startFrom`: what arrived earlier is dropped by the handler, by a replay and by a fold from the source alike. */
import { expect, it } from "vitest";
import { goOnWithRestore } from "../../shared/restore/ask-for-restore.ts";
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
