/** A restore that is asked for, carried on and told to go on: what is answered, and what stands on control afterwards. */
import { describe, expect, test } from "vitest";
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import { path, value } from "../../../shared/control/conditional-write.ts";
import { CONTROL_KEY, checkPartition } from "../../../shared/control/item-keys.ts";
import { askForRestore, carryOnRequest, goOnWithRestore } from "../../../shared/restore/ask-for-restore.ts";
import type { RestoreChoice } from "../../../shared/restore/restore.ts";
import { restoreStatus } from "../../../shared/restore/status.ts";
import type { FaultyProcess } from "../../support/faulty-stores.ts";
import { overriding } from "../../support/overriding.ts";
import { HOUR_MS, TestWorld } from "../../support/test-world.ts";

/** Two checkpoints of two keys. */
async function taken(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abab");
  await world.deliver("s", 1, 2);
  await world.checkpoint();
  await world.deliver("s", 3, 4);
  await world.checkpoint();
  world.events.length = 0;
  return world;
}

const check = (world: TestWorld, { forMs = HOUR_MS, process }: { forMs?: number; process?: FaultyProcess } = {}) =>
  carryOnRequest(world.resources(process), { deadlineMs: world.clock.ms + forMs });

const requested = async (world: TestWorld) => (await world.control()).requested;

async function checksOf(world: TestWorld, token: string): Promise<string[]> {
  const sorts: string[] = [];
  for await (const { sort } of world.stores.control.list(checkPartition(token))) sorts.push(sort);
  return sorts;
}

const noteCheck = (world: TestWorld, token: string, sort = "part") =>
  world.stores.control.update(
    { partition: checkPartition(token), sort },
    { conditions: [], set: [[path("problem"), value(null)]] },
  );

/** Held where nobody comes to. */
const LATER = { until: { arrivedByMs: Date.parse("2027-01-01T00:00:00Z") } };

describe("asking for a restore", () => {
  test("stands on control with what was chosen, pins its checkpoint, and is told", async () => {
    const world = await taken();
    const { id = "", ...report } = await world.ask({ checkpoint: 1 });
    const counts = { files: 2, keys: 2, splits: 1, functions: { log: "log" }, startEmpty: [], leftBehind: [] };
    expect(report).toEqual({
      outcome: "requested",
      checkpoint: 1,
      generation: 2,
      ...counts,
      bytes: expect.any(Number),
    });
    const asked = { token: id, checkpoint: 1, requestedAtMs: world.clock.ms, allowNonRestoredState: false };
    expect(await requested(world)).toStrictEqual(asked);
    expect((await world.control()).pins).toEqual({ [id]: 1 });
    expect(world.events).toEqual([{ type: "restore-requested", checkpoint: 1 }]);
  });

  test("may say no more than what would be done", async () => {
    const world = await taken();
    const before = await world.control();
    expect(await world.ask({ checkpoint: 1, dryRun: true })).toMatchObject({ outcome: "would-restore", generation: 2 });
    expect(await world.control()).toEqual(before);
  });

  test("for what is asked for already changes nothing", async () => {
    const world = await taken();
    const { id } = await world.ask({ checkpoint: 1, ...LATER, allowNonRestoredState: true });
    const before = await world.control();
    const again = await world.ask({ checkpoint: 1, ...LATER, allowNonRestoredState: true });
    expect(again).toMatchObject({ outcome: "under-way", id, checkpoint: 1 });
    expect(await world.control()).toEqual(before);
  });

  test.each<[string, RestoreChoice]>([
    ["another checkpoint", { checkpoint: 2 }],
    ["another hold", { checkpoint: 1, ...LATER }],
    ["what may be left behind", { checkpoint: 1, allowNonRestoredState: true }],
  ])("for %s takes the place of what is asked for, and of what was checked for it", async (_, choice) => {
    const world = await taken();
    const { id: first = "" } = await world.ask({ checkpoint: 1 });
    await noteCheck(world, first);
    const { outcome, id = "" } = await world.ask(choice);
    expect(outcome).toBe("requested");
    expect(await requested(world)).toMatchObject({ token: id, checkpoint: choice.checkpoint });
    expect(Object.keys((await world.control()).pins)).toEqual([id]);
    expect(await checksOf(world, first)).toEqual([]);
  });

  test("takes the place of a request that was refused", async () => {
    const world = await taken();
    const { id: first } = await world.ask({ checkpoint: 1 });
    await world.stores.control.update(CONTROL_KEY, {
      conditions: [],
      set: [[path("requested", "refused"), value({ kind: "x", message: "y", atMs: 1 })]],
    });
    const { outcome, id } = await world.ask({ checkpoint: 1 });
    expect(outcome).toBe("requested");
    expect(id).not.toBe(first);
  });

  test("for what is being restored changes nothing, and for another hold it is another restore", async () => {
    for (const hold of [{}, LATER]) {
      const world = await taken();
      const { id } = await world.request({ checkpoint: 1, ...hold });
      const before = await world.control();
      expect(await world.ask({ checkpoint: 1, ...hold })).toMatchObject({ outcome: "under-way", id, generation: 2 });
      expect(await world.control()).toEqual(before);
      const other = hold === LATER ? {} : LATER;
      expect(await world.ask({ checkpoint: 1, ...other })).toMatchObject({ outcome: "requested", generation: 3 });
    }
  });

  test("whose answer was lost and that was sent again is one request", async () => {
    const world = await taken();
    const process = world.start(({ step }) => (step === "request" ? "sent twice" : undefined));
    const { id, outcome } = await world.ask({ checkpoint: 1 }, { process });
    expect(outcome).toBe("requested");
    expect((await requested(world))?.token).toBe(id);
  });

  test("looks again where another request came between, and takes its place", async () => {
    const world = await taken();
    const process = world.start();
    const gate = process.pauseAt(({ step }) => step === "request");
    const asking = world.ask({ checkpoint: 1 }, { process });
    await gate.reached;
    const { id: other = "" } = await world.ask({ checkpoint: 2 });
    await noteCheck(world, other);
    gate.release();
    const { outcome, id } = await asking;
    expect(outcome).toBe("requested");
    expect((await requested(world))?.token).toBe(id);
    expect(await checksOf(world, other)).toEqual([]);
  });

  test("looks again where what stood on control when it chose stands no more", async () => {
    for (const other of ["ask", "request"] as const) {
      const world = await taken();
      const process = world.start();
      let reads = 0;
      const gate = process.pauseAt(({ step }) => /^control\.get CONTROL/.test(step) && ++reads === 2);
      const asking = world.ask({ checkpoint: 1 }, { process });
      await gate.reached;
      const { id } = await world[other]({ checkpoint: 1 });
      gate.release();
      expect(await asking).toMatchObject({ outcome: "under-way", id });
    }
  });

  test("is given up after twenty times that another came between", async () => {
    const world = await taken();
    let tries = 0;
    const { control } = world.stores;
    const refusing = overriding(control, "update", async (...given) => {
      if (given[1].set?.some(([[one]]) => one === "requested") !== true) return control.update(...given);
      tries += 1;
      return { applied: false };
    });
    const process = world.start();
    const resources = { ...world.resources(process), control: refusing };
    await expect(askForRestore(resources, { checkpoint: 1 })).rejects.toMatchObject({ kind: "retry" });
    expect(tries).toBe(20);
  });
});

describe("a request that is carried on", () => {
  test("is nothing to do where none stands, or one that was refused", async () => {
    const nothing = { outcome: "nothing-to-do" };
    expect(await check(new TestWorld())).toEqual(nothing);
    const world = await taken();
    expect(await check(world)).toEqual(nothing);
    await world.ask({ checkpoint: 1 });
    await world.stores.control.update(CONTROL_KEY, {
      conditions: [],
      set: [[path("requested", "refused"), value({ kind: "x", message: "y", atMs: 1 })]],
    });
    expect(await check(world)).toEqual(nothing);
  });

  test("is checked, recorded, and leaves no check and no pin behind", async () => {
    const world = await taken();
    const { id = "" } = await world.ask({ checkpoint: 1, ...LATER });
    expect(await check(world)).toMatchObject({ outcome: "started", id, checkpoint: 1, generation: 2, keys: 2 });
    const control = await world.control();
    expect(control.restore).toMatchObject({ token: id, checkpoint: 1, hold: LATER.until });
    expect(control.requested).toBeUndefined();
    expect(control.pins).toEqual({});
    expect(await checksOf(world, id)).toEqual([]);
  });

  test("goes on where its time was up", async () => {
    const world = await taken();
    const { id = "" } = await world.ask({ checkpoint: 1 });
    expect(await check(world, { forMs: 0 })).toEqual({ outcome: "unfinished", id, checkpoint: 1 });
    expect(await checksOf(world, id)).toEqual([]);
    const { files } = await readManifest(world.stores.storage, { app: "test-app", n: 1 });
    await noteCheck(world, id, files[0]?.name);
    const process = world.start();
    expect(await check(world, { process })).toMatchObject({ outcome: "started" });
    const read = process.log.filter((step) => step.startsWith("storage.read chk-0000000001/log"));
    expect(read).toEqual([`storage.read chk-0000000001/${files[1]?.name}`]);
  });

  test("sets its pin anew where another restore took it along", async () => {
    const world = await taken();
    const { id = "" } = await world.ask({ checkpoint: 1 });
    const pinned = world.start();
    await check(world, { forMs: 0, process: pinned });
    expect(pinned.log).not.toContain("pin");
    await world.stores.control.update(CONTROL_KEY, { conditions: [], set: [[path("pins"), value({})]] });
    await check(world, { forMs: 0 });
    expect((await world.control()).pins).toEqual({ [id]: 1 });
  });

  test("ends where another took its place, and clears up", async () => {
    const world = await taken();
    const { id = "" } = await world.ask({ checkpoint: 1 });
    const process = world.start();
    const gate = process.pauseAt(({ step }) => step.startsWith("storage.read chk-0000000001/log"));
    const checking = check(world, { process });
    await gate.reached;
    const { id: other = "" } = await world.ask({ checkpoint: 2 });
    gate.release();
    expect(await checking).toEqual({ outcome: "superseded", id, checkpoint: 1 });
    expect(await checksOf(world, id)).toEqual([]);
    expect(Object.keys((await world.control()).pins)).toEqual([other]);
  });

  test("is refused for what is wrong with its checkpoint, and says why", async () => {
    const world = await taken();
    const { id = "" } = await world.ask({ checkpoint: 1 });
    const process = world.start();
    const gate = process.pauseAt(({ step }) => step.startsWith("storage.read chk-0000000001/log"));
    const checking = check(world, { process });
    await gate.reached;
    for await (const { path: one } of world.stores.storage.list("chk-0000000001/log"))
      await world.stores.storage.remove(one);
    world.clock.ms += 3_000;
    gate.release();
    expect(await checking).toEqual({ outcome: "refused", id, checkpoint: 1 });
    const refused = { kind: "choose-another-checkpoint", message: expect.stringContaining("is missing") };
    expect(await requested(world)).toMatchObject({ refused: { ...refused, atMs: world.clock.ms } });
    expect(await checksOf(world, id)).toEqual([]);
    expect(world.ofType("restore-refused")).toMatchObject([{ checkpoint: 1, reason: refused.message }]);
    expect(await restoreStatus(world.resources())).toEqual({
      ...{ phase: "refused", id, checkpoint: 1, reason: refused.message, partsLoaded: 0, partsTotal: 0, splits: [] },
      seconds: 3,
    });
  });

  test("stays where a store failed, or a bug shows", async () => {
    const world = await taken();
    await world.ask({ checkpoint: 1 });
    const process = world.start(({ step }) =>
      step.startsWith("storage.read chk-0000000001/log") ? "refused" : undefined,
    );
    await expect(check(world, { process })).rejects.toThrow("throttled");
    expect((await requested(world))?.refused).toBeUndefined();
    expect(world.ofType("restore-refused")).toEqual([]);
  });
});

describe("the status of a restore that is asked for", () => {
  test("tells how many parts were read", async () => {
    const world = await taken();
    const { id = "" } = await world.ask({ checkpoint: 1, ...LATER });
    await noteCheck(world, id);
    world.clock.ms += 2_000;
    expect(await restoreStatus(world.resources())).toEqual({
      ...{ phase: "checking", id, checkpoint: 1, hold: LATER.until, partsChecked: 1, partsLoaded: 0, partsTotal: 2 },
      ...{ splits: [], seconds: 2 },
    });
    const plain = await taken();
    await plain.ask({ checkpoint: 1 });
    expect(await restoreStatus(plain.resources())).not.toHaveProperty("hold");
  });

  test("is told beside the one that is under way", async () => {
    const world = await taken();
    await world.request({ checkpoint: 1 });
    const { id } = await world.ask({ checkpoint: 2 });
    const status = await restoreStatus(world.resources());
    expect(status).toMatchObject({
      phase: "loading",
      checkpoint: 1,
      requested: { phase: "checking", id, checkpoint: 2 },
    });
  });
});

describe("telling a restore to go on", () => {
  test("is noted once, however often it is told", async () => {
    const world = await taken();
    const { id } = await world.request({ checkpoint: 1, ...LATER });
    const plan = { outcome: "going-on", id, checkpoint: 1, generation: 2, functions: { log: "log" } };
    const process = world.start(({ number }) => (number === 2 ? "sent twice" : undefined));
    expect(await goOnWithRestore(world.resources(process))).toEqual(plan);
    const { wentOnAtMs } = (await world.control()).restore ?? {};
    expect(wentOnAtMs).toBe(world.clock.ms);
    world.clock.ms += 1_000;
    const again = world.start();
    expect(await goOnWithRestore(world.resources(again))).toEqual(plan);
    expect(again.calls).toBe(1);
    expect((await world.control()).restore?.wentOnAtMs).toBe(wentOnAtMs);
  });

  test("is refused where none is held", async () => {
    const refused = (text: string) => ({ kind: "fix-configuration", message: expect.stringContaining(text) });
    const nothing = refused("Nothing is being restored.");
    await expect(goOnWithRestore(new TestWorld().resources())).rejects.toMatchObject(nothing);
    const world = await taken();
    await world.restore({ checkpoint: 1 });
    await expect(goOnWithRestore(world.resources())).rejects.toMatchObject(nothing);
    await world.request({ checkpoint: 1 });
    const going = refused("The restore of checkpoint 1 goes on by itself.");
    await expect(goOnWithRestore(world.resources())).rejects.toMatchObject(going);
  });

  test("fails where another restore came just before", async () => {
    const world = await taken();
    await world.request({ checkpoint: 1, ...LATER });
    const process = world.start();
    const gate = process.pauseAt(({ method }) => method === "update");
    const told = goOnWithRestore(world.resources(process));
    await gate.reached;
    await world.request({ checkpoint: 2, ...LATER });
    await goOnWithRestore(world.resources());
    gate.release();
    await expect(told).rejects.toMatchObject({ kind: "retry" });
  });
});
