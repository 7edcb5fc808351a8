/** A restore that is held at a time, or at positions, until it is told to go on: nothing is folded past it, nothing is lost. */
import { describe, expect, it } from "vitest";
import { goOnWithRestore } from "../../shared/restore/ask-for-restore.ts";
import { restoreStatus } from "../../shared/restore/status.ts";
import { everyCall, settled } from "../support/every-call.ts";
import type { Fault, FaultyProcess } from "../support/faulty-stores.ts";
import { at } from "../support/list-source.ts";
import { expectAllResolved, expectExactlyOnce, expectOneLiveGeneration, expectPromise } from "../support/oracle.ts";
import { TestMappings } from "../support/test-mappings.ts";
import { MINUTE_MS, START_MS, TestWorld } from "../support/test-world.ts";

class DeployedWorld extends TestWorld {
  readonly mappings = new TestMappings(["log"]);
}

/** Record `n` arrives in minute `10 n`. */
const arrivalTimeMs = (number: number): number => START_MS + number * 10 * MINUTE_MS;
const minute = (minutes: number) => ({ arrivedByMs: START_MS + minutes * MINUTE_MS });

/** A checkpoint at s1 and t1; s was read up to 4, t up to 2; u came after the checkpoint, as a child of t. */
async function setup(): Promise<DeployedWorld> {
  const world = new DeployedWorld();
  world.split("s", "abcabc", { arrivalTimeMs });
  world.split("t", "bca", { arrivalTimeMs, ended: true });
  await world.deliver("s", 1, 1);
  await world.deliver("t", 1, 1);
  await world.checkpoint();
  await world.deliverUntilDone("s", 2, 4);
  await world.deliver("t", 2, 2);
  world.split("u", "cb", { arrivalTimeMs: (number) => arrivalTimeMs(number + 1), parents: ["t"] });
  world.clock.ms = START_MS + 200 * MINUTE_MS;
  return world;
}

const run = (world: TestWorld, process?: FaultyProcess) =>
  world.runCoordinator({ mappings: (world as DeployedWorld).mappings, ...(process === undefined ? {} : { process }) });

const positions = async (world: TestWorld): Promise<{ [split: string]: string }> =>
  Object.fromEntries([...(await world.items())].map(([split, { position }]) => [split, position]));

describe("a restore that is held", () => {
  it.each([
    ["between what was replayed", 25, { s: at(2), t: at(2) }],
    ["past what the generation before had read", 55, { s: at(5), t: at(3) }],
    ["before everything that is replayed", 15, { s: at(1), t: at(1) }],
  ])("at a time %s: each split stays before its first later record", async (_where, minutes, reached) => {
    const world = await setup();
    await world.ask({ until: minute(minutes) });
    expect(await run(world)).toMatchObject({ did: "restore", restore: { outcome: "held" } });
    expect(await positions(world)).toMatchObject(reached);
    for (const { phase } of (await world.items()).values()) expect(phase).toBe("REPLAYING");
    expect(world.mappings.isOn("log")).toBe(false);
    await expectExactlyOnce(world);

    // It stays, however often the coordinator runs, and whatever is delivered all the same.
    await settled(world.deliver("s", 5, 6));
    expect(await run(world)).toMatchObject({ restore: { outcome: "held" } });
    expect(await positions(world)).toMatchObject(reached);
    expect(await restoreStatus(world.resources())).toMatchObject({ phase: "held", hold: minute(minutes) });

    await goOnWithRestore(world.resources());
    expect(await run(world)).toMatchObject({ restore: { outcome: "finished" } });
    expect(world.mappings.isOn("log")).toBe(true);
    await expectOneLiveGeneration(world);
    await expectExactlyOnce(world);
    // The mapping goes on where it was, or starts over: what was replayed past that is dropped.
    await settled(world.deliver("s", 1, 4));
    await world.deliverUntilDone("s", 5, 6);
    await world.drain();
    await expectAllResolved(world);
    await expectPromise(world);
  });

  it("replays a child that came after the checkpoint up to the time, once its parent has come to it", async () => {
    const world = await setup();
    await world.deliver("t", 3, 3);
    await world.deliver("u", 1, 1);
    await world.ask({ until: minute(45) });
    await run(world);
    expect(await positions(world)).toMatchObject({ s: at(4), t: at(3), u: at(2) });
    await expectExactlyOnce(world);
  });

  it("replays a split that nobody has read yet up to the time as well, and gives it to its mapping afterwards", async () => {
    const world = await setup();
    await world.ask({ until: minute(45) });
    expect(await run(world)).toMatchObject({ restore: { outcome: "held" } });
    expect(await positions(world)).toMatchObject({ t: at(3), u: at(2) });
    await expectExactlyOnce(world);
    await goOnWithRestore(world.resources());
    expect(await run(world)).toMatchObject({ restore: { outcome: "finished" } });
    await expectOneLiveGeneration(world);
    await settled(world.deliver("u", 1, 2));
    await world.drain();
    await expectAllResolved(world);
    await expectPromise(world);
  });

  it("at a position: that split stays there, the others where the generation before was", async () => {
    const world = await setup();
    await world.ask({ checkpoint: 1, until: { positions: { log: { s: at(3) } } } });
    await run(world);
    expect(await positions(world)).toMatchObject({ s: at(3), t: at(2) });
    await expectExactlyOnce(world);
    await goOnWithRestore(world.resources());
    await run(world);
    expect(await positions(world)).toMatchObject({ s: at(4), t: at(2) });
  });

  it("keeps a split standing that has nothing left to replay: its mapping may not be off yet", async () => {
    const world = new DeployedWorld();
    world.split("s", "abc", { arrivalTimeMs });
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    world.clock.ms = START_MS + 200 * MINUTE_MS;
    await world.ask({ until: minute(15) });
    expect(await run(world)).toMatchObject({ restore: { outcome: "held" } });
    await expect(world.deliver("s", 2, 3)).rejects.toMatchObject({ kind: "retry" });
    expect(await positions(world)).toEqual({ s: at(1) });
    await goOnWithRestore(world.resources());
    await run(world);
    await world.drain();
    await expectPromise(world);
  });

  it("takes no checkpoint meanwhile", async () => {
    const world = await setup();
    await world.ask({ until: minute(25) });
    await run(world);
    expect(await world.coordinate({ request: {} })).toEqual({ outcome: "restoring" });
  });

  it("chooses the latest checkpoint that was complete by the time, and refuses a later one by its number", async () => {
    const world = await setup();
    const late = await world.checkpoint();
    expect(await world.ask({ until: minute(25), dryRun: true })).toMatchObject({ checkpoint: 1 });
    await expect(world.ask({ checkpoint: late, until: minute(25) })).rejects.toThrow(
      /may hold records that arrived after until/,
    );
    expect((await world.control()).requested).toBeUndefined();
  });

  it.each([
    ["a function", { logg: { s: at(3) } }, /no state to restore.*It restores log/],
    ["a split", { log: { x: at(3) } }, /does not have.*It has s, t/],
    ["a position before the cut", { log: { s: at(0) } }, /has it at 000001 already/],
    ["a position of another source", { log: { s: "17" } }, /is none of its source/],
  ])("refuses %s that the checkpoint does not have, and changes nothing", async (_what, held, message) => {
    const world = await setup();
    await expect(world.ask({ checkpoint: 1, until: { positions: held } })).rejects.toThrow(message);
    expect((await world.control()).requested).toBeUndefined();
  });

  it("is refused to go on when none is held", async () => {
    const world = await setup();
    await expect(goOnWithRestore(world.resources())).rejects.toThrow(/Nothing is being restored/);
  });

  it("does not say that it goes on when another restore took its place just before", async () => {
    const world = await setup();
    await world.ask({ until: minute(25) });
    await run(world);
    const slow = world.start();
    const gate = slow.pauseAt(({ given }) => isGoingOn(given[1]));
    const going = goOnWithRestore(world.resources(slow));
    await gate.reached;
    await world.ask({ until: minute(15) });
    await run(world);
    gate.release();
    await expect(going).rejects.toMatchObject({ kind: "retry" });
    expect(await run(world)).toMatchObject({ restore: { outcome: "held" } });
  });
});

const isGoingOn = (write: unknown): boolean =>
  JSON.stringify((write as { readonly set?: unknown } | undefined)?.set ?? []).includes("wentOnAtMs");

async function act(world: TestWorld, process: FaultyProcess): Promise<void> {
  await run(world, process);
  await run(world, process);
  await goOnWithRestore(world.resources(process));
  await run(world, process);
}

async function asked(): Promise<DeployedWorld> {
  const world = await setup();
  await world.ask({ until: minute(25) });
  return world;
}

async function after(world: TestWorld, moment: () => Promise<void>): Promise<void> {
  await moment();
  for (let turn = 0; turn < 5 && (await world.control()).phase === "REPLAYING"; turn += 1) await run(world);
  await run(world);
  await moment();
  await expectExactlyOnce(world);
  // Whether the dead process had said so or not.
  await settled(goOnWithRestore(world.resources()).catch(() => undefined));
  for (let turn = 0; turn < 5; turn += 1) await run(world);
  await moment();
  await expectOneLiveGeneration(world);
  await world.drain();
  await expectAllResolved(world);
  await moment();
  expect(await world.checkpoint()).toBeGreaterThan(1);
  await expectPromise(world);
  await moment();
  await run(world);
  expect((world as DeployedWorld).mappings.isOn("log")).toBe(true);
}

describe("a held restore that goes wrong at any call", () => {
  it.each(["dies before", "dies after", "answer lost"] satisfies Fault[])(
    "%s, at every call: it is held, goes on, and nothing is lost",
    async (fault) => {
      expect(await everyCall(fault, { setup: asked, act, after })).toBeGreaterThan(60);
    },
  );

  it.each([1, 3])("what it sent arrives late, %i moments further on than the call before: the same", async (moment) => {
    expect(await everyCall("dies, delayed", { setup: asked, act, after }, [moment])).toBeGreaterThan(60);
  });
});
