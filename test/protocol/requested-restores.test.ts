/**
 * A restore as a deployment does it: asked for by one function, checked, recorded and carried on by whoever coordinates,
 * with the event source mappings off meanwhile; and one that goes wrong at any call of any of them.
 */
import { describe, expect, it } from "vitest";
import { path, value } from "../../shared/control/conditional-write.ts";
import { CONTROL_KEY } from "../../shared/control/item-keys.ts";
import { checkedParts, forgetChecks } from "../../shared/restore/check-parts.ts";
import { restoreStatus } from "../../shared/restore/status.ts";
import { checkpointFolder, manifestPath } from "../../shared/storage/object-paths.ts";
import { everyCall, settled } from "../support/every-call.ts";
import type { Fault, FaultyProcess } from "../support/faulty-stores.ts";
import { expectAllResolved, expectExactlyOnce, expectOneLiveGeneration, expectPromise } from "../support/oracle.ts";
import { TestMappings } from "../support/test-mappings.ts";
import { MINUTE_MS, START_MS, TestWorld } from "../support/test-world.ts";

class DeployedWorld extends TestWorld {
  readonly mappings = new TestMappings(["log"]);
}

/** Records up to 4 arrive at once, each later one a minute after the one before it. */
const arrivalTimeMs = (number: number): number => START_MS + Math.max(0, number - 4) * 10 * MINUTE_MS;

async function setup(): Promise<DeployedWorld> {
  const world = new DeployedWorld();
  world.split("s", "abcab", { arrivalTimeMs });
  world.split("t", "bcb", { arrivalTimeMs });
  await world.deliver("s", 1, 2);
  await world.checkpoint();
  await world.deliverUntilDone("s", 3, 4);
  await world.deliver("t", 1, 2);
  return world;
}

/** Runs the coordinator until nothing is asked for or under way. */
async function coordinate(world: DeployedWorld, process: FaultyProcess): Promise<void> {
  for (let run = 0; run < 20; run += 1) {
    await world.runCoordinator({ process, mappings: world.mappings });
    const control = await world.control();
    const asked = control.requested !== undefined && control.requested.refused === undefined;
    if (control.phase === "RUNNING" && !asked) return;
  }
  throw new Error("the restore does not end");
}

async function act(world: TestWorld, process: FaultyProcess): Promise<void> {
  await world.ask({ checkpoint: 1 }, { process });
  await coordinate(world as DeployedWorld, process);
  await world.runCoordinator({ process, mappings: (world as DeployedWorld).mappings });
}

async function after(world: TestWorld, moment: () => Promise<void>): Promise<void> {
  const deployed = world as DeployedWorld;
  await moment();
  await world.ask({ checkpoint: 1 });
  await moment();
  await coordinate(deployed, world.main);
  await moment();
  await coordinate(deployed, world.main);
  await expectExactlyOnce(world);
  await expectOneLiveGeneration(world);
  await moment();
  await world.drain();
  await expectAllResolved(world);
  expect(await world.checkpoint()).toBeGreaterThan(1);
  await moment();
  await expectPromise(world);
  // One run for what came late, one that finds all mappings on.
  await coordinate(deployed, world.main);
  world.clock.ms += 30 * MINUTE_MS;
  await coordinate(deployed, world.main);
  expect(deployed.mappings.isOn("log")).toBe(true);
  expect((await world.control()).mappingsOff).toBeUndefined();
  expect((await world.control()).requested).toBeUndefined();
}

const CALLS = 60;

describe("crash between any two calls of a restore that is asked for", () => {
  it.each(["dies before", "dies after"] satisfies Fault[])(
    "%s, at every call: asked again, it ends in one live generation with its mapping on",
    async (fault) => {
      expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(CALLS);
    },
  );

  it.each(["refused", "answer lost", "sent twice"] satisfies Fault[])(
    "%s, at every call, and its caller lives: the same",
    async (fault) => {
      expect(await everyCall(fault, { setup, act, after })).toBeGreaterThan(CALLS);
    },
  );

  it.each([0, 3])("what it sent arrives late, %i moments further on than the call before: the same", async (moment) => {
    expect(await everyCall("dies, delayed", { setup, act, after }, [moment])).toBeGreaterThan(CALLS);
  });
});

describe("a restore that is asked for", () => {
  it("answers at once with its id, and changes nothing before the coordinator has read every part", async () => {
    const world = await setup();
    const before = await world.control();
    const asked = await world.ask({ checkpoint: 1 });
    expect(asked).toMatchObject({ outcome: "requested", checkpoint: 1, generation: 2, files: expect.any(Number) });
    const { requested, pins, pinned: _count, ...others } = await world.control();
    expect(others).toEqual({ ...before, pins: undefined, pinned: undefined, requested: undefined });
    expect(requested).toMatchObject({ token: asked.id, checkpoint: 1 });
    expect(pins).toEqual({ [asked.id ?? ""]: 1 });
    await coordinate(world, world.main);
    expect((await world.control()).restore).toMatchObject({ token: asked.id, finishedAtMs: expect.any(Number) });
  });

  it("asked for twice at once: one works, the other says so", async () => {
    const world = await setup();
    const answers = await Promise.all([world.ask({ checkpoint: 1 }), world.ask({ checkpoint: 1 })]);
    const again = await world.ask({ checkpoint: 1 });
    expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual(["requested", "under-way"]);
    expect(new Set([...answers, again].map(({ id }) => id)).size).toBe(1);
    await world.runCoordinator({ mappings: world.mappings });
    expect((await world.control()).maxGen).toBe(2);
  });

  it("is refused with its reason when a part was altered, and everything runs on", async () => {
    const world = await setup();
    await world.ask({ checkpoint: 1 });
    await alterParts(world, 1);
    await world.runCoordinator({ mappings: world.mappings });
    const { phase, requested, pins, maxGen } = await world.control();
    expect({ phase, pins, maxGen }).toEqual({ phase: "RUNNING", pins: {}, maxGen: 1 });
    expect(requested?.refused).toMatchObject({ kind: "choose-another-checkpoint" });
    expect(world.mappings.turns).toEqual([]);
    await world.drain();
    await expectExactlyOnce(world);
  });

  it("is not begun by a coordinator that had found nothing wrong, once another has refused it", async () => {
    const world = await setup();
    await world.ask({ checkpoint: 1 });
    const slow = world.start();
    const gate = slow.pauseAt(({ step }) => step === "record restore");
    const stalled = world.runCoordinator({ process: slow, mappings: world.mappings });
    await gate.reached;
    const before = await world.control();
    // What the first has checked is forgotten, as by one that was a moment slower: the second reads the altered part.
    await alterParts(world, 1);
    await forgetChecks(world.stores.control, before.requested?.token ?? "");
    await world.runCoordinator({ mappings: world.mappings });
    expect((await world.control()).requested?.refused).toMatchObject({ kind: "choose-another-checkpoint" });
    gate.release();
    await stalled;
    const { phase, pins, maxGen, restore } = await world.control();
    expect({ phase, pins, maxGen, restore }).toEqual({ phase: "RUNNING", pins: {}, maxGen: 1, restore: undefined });
    await world.drain();
    await expectExactlyOnce(world);
  });

  it("takes the place of another that is still being checked, which never begins", async () => {
    const world = await setup();
    const second = await world.checkpoint();
    const first = await world.ask({ checkpoint: 1 });
    const process = world.start();
    const gate = process.pauseAt(({ step }) => step === "record restore");
    const stalled = settled(world.runCoordinator({ process, mappings: world.mappings }));
    await gate.reached;
    const later = await world.ask({ checkpoint: second });
    expect(later).toMatchObject({ outcome: "requested", checkpoint: second });
    gate.release();
    await stalled;
    await coordinate(world, world.main);
    expect((await world.control()).restore).toMatchObject({ token: later.id, checkpoint: second, target: 2 });
    expect(first.id).not.toBe(later.id);
  });

  it("waits five minutes for a mapping that never comes to be off, touches no split before, and goes on then", async () => {
    const world = await setup();
    const mappings = new (class extends TestMappings {
      /** On, and once it was asked to be off, on its way there for ever. */
      override look = async () => ({ on: this.turns.length === 0, settled: this.turns.length === 0, drift: [] });
    })(["log"]);
    await world.ask({ checkpoint: 1 });
    const run = async (forMs: number) => {
      await world.runCoordinator({ mappings, forMs });
      const { gen, phase, restore } = await world.control();
      return { gen, phase, waitedMs: world.clock.ms - (restore?.startedAtMs ?? 0), split: await world.itemOf("s") };
    };
    expect(await run(5 * MINUTE_MS - 5_000)).toMatchObject({
      ...{ gen: 1, phase: "REPLAYING" },
      split: { gen: 1, phase: "RUNNING" },
    });
    const { waitedMs, ...restored } = await run(60 * MINUTE_MS);
    expect(restored).toMatchObject({ gen: 2, phase: "RUNNING", split: { gen: 2, phase: "RUNNING" } });
    expect(waitedMs).toBeGreaterThanOrEqual(5 * MINUTE_MS);
    expect(waitedMs).toBeLessThan(6 * MINUTE_MS);
    await world.drain();
    await expectPromise(world);
  });

  it("leaves a mapping alone that was disabled by hand before", async () => {
    const world = await setup();
    await world.mappings.turn("log", "off");
    await world.ask({ checkpoint: 1 });
    await coordinate(world, world.main);
    world.clock.ms += 30 * MINUTE_MS;
    await coordinate(world, world.main);
    expect(world.mappings.turns).toEqual(["log off"]);
  });

  it("that was replaced while it was checked leaves neither a pin nor a note of its parts", async () => {
    const world = await setup();
    await world.drain();
    const second = await world.checkpoint();
    const first = await world.ask({ checkpoint: 1 });
    // As a restore leaves it that finishes meanwhile: the check has to pin again.
    await world.stores.control.update(CONTROL_KEY, { conditions: [], set: [[path("pins"), value({})]] });
    const slow = world.start();
    const gate = slow.pauseAt(({ given }) => JSON.stringify(given[1] ?? {}).includes('"pinned"'));
    const stalled = settled(world.runCoordinator({ process: slow, mappings: world.mappings }));
    await gate.reached;
    const { id } = await world.ask({ checkpoint: second });
    gate.release();
    await stalled;
    expect((await world.control()).pins).toEqual({ [id ?? ""]: second });
    expect(await checkedParts(world.stores.control, first.id ?? "")).toEqual(new Map());
  });

  it("that was refused does not hide the restore that is under way", async () => {
    const world = await setup();
    await world.drain();
    const second = await world.checkpoint();
    await world.ask({ checkpoint: 1 });
    const dying = () => world.start(({ step }) => (step === "flip control" ? "dies before" : undefined));
    await settled(world.runCoordinator({ process: dying(), mappings: world.mappings }));
    const running = await restoreStatus(world.resources());
    expect(running).toMatchObject({ phase: "loading", checkpoint: 1 });
    const asked = await world.ask({ checkpoint: second });
    expect(await restoreStatus(world.resources())).toMatchObject({
      ...{ phase: "loading", id: running.id, checkpoint: 1 },
      requested: { phase: "checking", id: asked.id, checkpoint: second },
    });
    await alterParts(world, second);
    await settled(world.runCoordinator({ process: dying(), mappings: world.mappings }));
    expect(await restoreStatus(world.resources())).toMatchObject({
      ...{ phase: "loading", id: running.id, checkpoint: 1 },
      requested: {
        phase: "refused",
        id: asked.id,
        checkpoint: second,
        reason: expect.stringContaining("cannot be restored"),
      },
    });
  });

  it("keeps what it owes a mapping when a coordinator is slow to forget what the restore before it owed", async () => {
    const world = await setup();
    await world.ask({ checkpoint: 1 });
    await coordinate(world, world.main);
    world.clock.ms += 30 * MINUTE_MS;
    const slow = world.start();
    const gate = slow.pauseAt(({ given }) => isForgetting(given[1]));
    const stalled = settled(world.runCoordinator({ process: slow, mappings: world.mappings }));
    await gate.reached;

    await world.ask({ checkpoint: 1 });
    const dying = world.start(({ step }) => (step === "flip control" ? "dies before" : undefined));
    await settled(world.runCoordinator({ process: dying, mappings: world.mappings }));
    expect(world.mappings.isOn("log")).toBe(false);
    gate.release();
    await stalled;
    expect((await world.control()).mappingsOff).toEqual({ log: true });
    await coordinate(world, world.main);
    expect(world.mappings.isOn("log")).toBe(true);
  });
});

async function alterParts({ stores: { storage } }: TestWorld, checkpoint: number): Promise<void> {
  for await (const { path: name } of storage.list(checkpointFolder(checkpoint))) {
    if (name === manifestPath(checkpoint)) continue;
    const chunks: Uint8Array[] = [];
    for await (const chunk of (await storage.read(name))?.body ?? []) {
      chunks.push(Uint8Array.from(chunk, (byte) => byte ^ 1));
    }
    await storage.write(
      name,
      (async function* () {
        yield* chunks;
      })(),
    );
  }
}

const isForgetting = (write: unknown): boolean =>
  (write as { readonly remove?: readonly (readonly string[])[] } | undefined)?.remove?.[0]?.[0] === "mappingsOff";
