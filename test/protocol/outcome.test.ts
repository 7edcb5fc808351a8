/** A checkpoint's one outcome, what retention may do, and which checkpoint is the latest. */
import { describe, expect, it } from "vitest";
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import { recordCheckpoint, triggerCheckpoint } from "../../shared/control/control-steps.ts";
import { askForBarrier, resolveEpoch } from "../../shared/control/split-steps.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { checkpointFolder, manifestPath } from "../../shared/storage/object-paths.ts";
import { settled } from "../support/every-call.ts";
import {
  completedCheckpoints,
  expectCheckpointExact,
  expectPromise,
  liveLogs,
  readManifestOf,
} from "../support/oracle.ts";
import { MINUTE_MS, TestWorld } from "../support/test-world.ts";

const place = { function: "log", split: "s" };

async function started(options: ConstructorParameters<typeof TestWorld>[0] = {}): Promise<TestWorld> {
  const world = new TestWorld(options);
  world.split("s", "abcabcabc");
  await world.deliver("s", 1, 2);
  return world;
}

const addressOf = async (world: TestWorld, n: number): Promise<string | undefined> => {
  const found = await readWhole(world.stores.storage, manifestPath(n));
  return found && (JSON.parse(found.text) as { readonly kind: string }).kind;
};

/** A coordinator that stands before its commit of the next checkpoint. */
async function beforeCommit(world: TestWorld) {
  const process = world.start();
  const gate = process.pauseAt((call) => call.step.startsWith("storage.createExclusively chk"));
  const running = world.coordinate({ request: {}, process });
  await gate.reached;
  return { gate, running };
}

describe("manifest and abort written by two coordinators", () => {
  it("the object at the manifest's address decides: the late commit follows the abort", async () => {
    const world = await started();
    const { gate, running } = await beforeCommit(world);
    world.clock.ms += 11 * MINUTE_MS;
    expect(await world.coordinate()).toMatchObject({ outcome: "aborted", checkpoint: 1 });
    gate.release();
    expect(await running).toMatchObject({ outcome: "aborted", checkpoint: 1 });
    expect(await addressOf(world, 1)).toBe("aborted");
    expect((await world.control()).checkpoint).toMatchObject({ status: "ABORTED", open: false });
    await expectPromise(world);
  });

  it("the late abort follows the commit", async () => {
    const world = await started();
    const dying = world.start((call) => (call.step.startsWith("storage.createExclusively") ? "dies after" : undefined));
    await settled(world.coordinate({ request: {}, process: dying }));
    expect((await world.control()).checkpoint).toMatchObject({ open: true });
    world.clock.ms += 11 * MINUTE_MS;
    expect(await world.coordinate()).toMatchObject({ outcome: "completed", checkpoint: 1 });
    expect(await addressOf(world, 1)).toBe("manifest");
    await expectPromise(world);
  });

  it("one that stalls before its commit and comes back an epoch later changes nothing", async () => {
    const world = await started();
    const { gate, running } = await beforeCommit(world);
    world.clock.ms += 11 * MINUTE_MS;
    await world.coordinate();
    await world.deliver("s", 3, 4);
    expect(await world.checkpoint()).toBe(2);
    const before = await world.control();
    gate.release();
    await settled(running);
    expect(await world.control()).toEqual(before);
    expect(await completedCheckpoints(world)).toEqual([2]);
    await expectPromise(world);
  });

  it("one that stalls while it aligns and comes back an epoch later asks for no old barrier, and stops", async () => {
    for (const step of ["ask s", "move s", "status status"]) {
      const world = await started();
      const process = world.start();
      const gate = process.pauseAt((call) => call.step === step);
      const running = world.coordinate({ request: {}, process });
      await gate.reached;
      world.clock.ms += 11 * MINUTE_MS;
      await world.coordinate();
      await world.deliver("s", 3, 4);
      expect(await world.checkpoint()).toBe(2);
      const split = await world.itemOf("s");
      gate.release();
      await settled(running);
      expect(await world.itemOf("s"), step).toEqual(split);
      expect(await completedCheckpoints(world)).toEqual([2]);
      await expectPromise(world);
    }
  });

  it("one that wakes while the next is open moves no split into its own epoch: it goes on with the next", async () => {
    const world = await started();
    const asked: unknown[] = [];
    const process = world.start((call) => {
      const { set = [] } = (call.given[1] ?? {}) as ConditionalWrite;
      if (call.step === "ask s") asked.push(set.find(([[name]]) => name === "pendingEpoch")?.[1]);
      if (call.step === "move s") asked.push(set.find(([[name]]) => name === "epoch")?.[1]);
      return undefined;
    });
    const gate = process.pauseAt((call) => call.step === "control.list SPLIT#log");
    const running = world.coordinate({ request: {}, process });
    await gate.reached;
    world.clock.ms += 11 * MINUTE_MS;
    expect(await world.coordinate()).toMatchObject({ outcome: "aborted", checkpoint: 1 });
    const dying = world.start((call) => (call.step === "trigger" ? "dies after" : undefined));
    await settled(world.coordinate({ request: {}, process: dying }));
    gate.release();
    expect(await running).toMatchObject({ outcome: "completed", checkpoint: 2 });
    expect(asked).toEqual([{ value: 2 }, { value: 2 }]);
    await expectPromise(world);
  });

  it("parts of the one that lost a slice are named by nobody, and removed", async () => {
    const world = await started();
    const process = world.start();
    const gate = process.pauseAt((call) => call.step.startsWith("control.update SNAPSHOT"));
    const running = world.coordinate({ request: {}, process });
    await gate.reached;
    expect(await world.coordinate()).toMatchObject({ outcome: "completed" });
    gate.release();
    await settled(running);
    await world.checkpoint();
    const named = (await readManifestOf(world, 1)).files.map(({ name }) => `${checkpointFolder(1)}${name}`);
    const stored: string[] = [];
    for await (const { path } of world.stores.storage.list(checkpointFolder(1))) stored.push(path);
    expect(stored.toSorted()).toEqual([...named, manifestPath(1)].toSorted());
    await expectPromise(world);
  });
});

describe("control's conditions", () => {
  const checkpoint = (n: number) =>
    ({ n, open: true, status: "TRIGGERED", token: `token-${n}`, triggeredAtMs: 1, settled: false }) as const;

  it("a checkpoint is triggered only on the epoch that was read, while none is open", async () => {
    const world = await started();
    await world.checkpoint();
    const { control } = world.stores;
    expect(await triggerCheckpoint(control, { epochRead: 0, checkpoint: checkpoint(1) })).toBeUndefined();
    expect(await triggerCheckpoint(control, { epochRead: 1, checkpoint: checkpoint(2) })).toMatchObject({ epoch: 2 });
    expect(await triggerCheckpoint(control, { epochRead: 2, checkpoint: checkpoint(3) })).toBeUndefined();
  });

  it("none is triggered while control's phase is not RUNNING", async () => {
    const world = await started();
    await world.checkpoint();
    const stalled = world.start();
    const gate = stalled.pauseAt((call) => call.step === "trigger");
    const running = world.coordinate({ request: {}, process: stalled });
    await gate.reached;
    await world.request({ checkpoint: 1 });
    gate.release();
    expect(await running).toEqual({ outcome: "restoring" });
    expect((await world.control()).epoch).toBe(1);
    await world.carryOn();
    await expectPromise(world);
  });

  it("a status is written only while its checkpoint is open", async () => {
    const world = await started();
    const { gate, running } = await beforeCommit(world);
    const open = (await world.control()).checkpoint;
    if (open === undefined) throw new Error("no checkpoint is open");
    gate.release();
    await running;
    const late = await recordCheckpoint(world.stores.control, { ...open, open: false, status: "ABORTED" });
    expect(late).toBeUndefined();
    expect((await world.control()).checkpoint).toMatchObject({ status: "COMPLETED" });
  });

  it("pendingEpoch and resolved only grow, and only in the generation they were meant for", async () => {
    const world = await started();
    await world.checkpoint();
    await world.checkpoint();
    const { control } = world.stores;
    const read = await world.itemOf("s");
    if (read === undefined) throw new Error("no split");
    expect(read).toMatchObject({ pendingEpoch: 2, resolved: 2 });
    for (const n of [1, 2]) {
      expect(await askForBarrier(control, place, { generation: 1, n })).toBeUndefined();
      expect(await resolveEpoch(control, place, { n, read })).toBeUndefined();
    }
    expect(await askForBarrier(control, place, { generation: 2, n: 3 })).toBeUndefined();
    expect(await resolveEpoch(control, place, { n: 3, read: { ...read, gen: 2 } })).toBeUndefined();
    expect(await world.itemOf("s")).toEqual(read);
  });

  it("a coordinator that settles late cannot take back what writers know of a later outcome", async () => {
    const world = await started();
    const stalled = world.start();
    const gate = stalled.pauseAt((call) => call.step === "resolve s");
    const running = world.coordinate({ request: {}, process: stalled });
    await gate.reached;
    await world.coordinate();
    await world.deliver("s", 3, 4);
    await world.checkpoint();
    gate.release();
    await settled(running);
    expect(await world.itemOf("s")).toMatchObject({ resolved: 2 });
    await world.deliver("s", 5, 6);
    await world.checkpoint();
    await expectPromise(world);
  });
});

describe("retention", () => {
  it("keeps the last ones and every savepoint, and never frees an address", async () => {
    const world = await started({ retained: 2 });
    await world.checkpoint({ savepoint: "kept" });
    for (let n = 2; n <= 5; n += 1) expect(await world.checkpoint()).toBe(n);
    expect(await completedCheckpoints(world)).toEqual([1, 4, 5]);
    for (const n of [2, 3]) {
      expect(await addressOf(world, n)).toBe("deleted");
      const stored: string[] = [];
      for await (const { path } of world.stores.storage.list(checkpointFolder(n))) stored.push(path);
      expect(stored).toEqual([manifestPath(n)]);
    }
    await expectPromise(world);
  });

  it("keeps the newest one that has a function under its former name, however many come after it", async () => {
    const world = new TestWorld({ retained: 1 });
    world.split("s", "aab");
    await world.deliver("s", 1, 3);
    await world.checkpoint();
    world.describe("log", { name: "renamed", previousName: "log" });
    await world.checkpoint();
    await world.checkpoint();
    expect(await completedCheckpoints(world)).toEqual([1, 3]);
    await world.restore({ checkpoint: 1 });
    expect([...(await liveLogs(world, "renamed")).values()].flat().toSorted()).toEqual(["s1", "s2", "s3"]);
  });

  it("keeps the newest one in which no split was stuck, however many come after it", async () => {
    const world = await started({ retained: 2, triesMax: 1, maxConsecutiveDeadLetters: 1 });
    await world.checkpoint();
    world.behaviour = { poison: ["s3", "s4", "s5"] };
    await world.deliver("s", 3, 5);
    expect((await world.itemOf("s"))?.failing).toMatchObject({ stopped: true });
    for (let n = 2; n <= 5; n += 1) await world.checkpoint();
    expect(await completedCheckpoints(world)).toEqual([1, 4, 5]);
    const stuck = (await readManifestOf(world, 5)).functions[0]?.splits.find(({ split }) => split === "s");
    expect(stuck?.failing).toMatchObject({ stopped: true });

    world.behaviour = {};
    await world.drain();
    for (let n = 6; n <= 7; n += 1) await world.checkpoint();
    expect(await completedCheckpoints(world)).toEqual([6, 7]);
    await expectPromise(world);
  });

  it("takes a record that is tried for longer than the interval for one that is stuck at, and a shorter time for none", async () => {
    const world = await started({ retained: 1, triesMax: 100, intervalMs: MINUTE_MS });
    await world.checkpoint();
    world.behaviour = { poison: ["s3"] };
    await world.deliver("s", 3, 3);
    world.clock.ms += MINUTE_MS / 2;
    expect(await world.checkpoint()).toBe(2);
    expect(await completedCheckpoints(world)).toEqual([2]);
    world.clock.ms += MINUTE_MS;
    await world.deliver("s", 3, 3);
    for (let n = 3; n <= 4; n += 1) expect(await world.checkpoint()).toBe(n);
    expect(await completedCheckpoints(world)).toEqual([2, 4]);
    await expectPromise(world);
  });

  it("takes a split whose source cannot be read for one that is stuck", async () => {
    const world = await started({ retained: 1 });
    await world.checkpoint();
    const { sourceOf } = world;
    world.sourceOf = (name, process) => {
      const source = sourceOf.call(world, name, process);
      const look = async () => {
        throw new TidemarkError("fix-configuration", "The file was replaced.");
      };
      return { ...source, reader: { ...source.reader, look } };
    };
    for (let n = 2; n <= 4; n += 1) await world.checkpoint();
    expect(await completedCheckpoints(world)).toEqual([1, 4]);
    world.sourceOf = sourceOf;
    await world.checkpoint();
    expect(await completedCheckpoints(world)).toEqual([5]);
  });

  it("against a coordinator that stalled before its commit: the address of the aborted one is not freed", async () => {
    const world = await started({ retained: 1 });
    const { gate, running } = await beforeCommit(world);
    world.clock.ms += 11 * MINUTE_MS;
    await world.coordinate();
    for (let n = 2; n <= 4; n += 1) expect(await world.checkpoint()).toBe(n);
    gate.release();
    await settled(running);
    expect(await addressOf(world, 1)).toBe("aborted");
    expect(await completedCheckpoints(world)).toEqual([4]);
  });

  it("against one that stalled before its commit of what another committed and retention deleted since", async () => {
    const world = await started({ retained: 1 });
    const { gate, running } = await beforeCommit(world);
    expect(await world.coordinate()).toMatchObject({ outcome: "completed", checkpoint: 1 });
    for (let n = 2; n <= 3; n += 1) expect(await world.checkpoint()).toBe(n);
    expect(await addressOf(world, 1)).toBe("deleted");
    gate.release();
    await settled(running);
    expect(await addressOf(world, 1)).toBe("deleted");
    expect(await world.request({ dryRun: true })).toMatchObject({ checkpoint: 3 });
  });

  it("against a restore at any of its calls: the parts it reads stay, or it is refused with nothing changed", async () => {
    for (let at = 1; ; at += 1) {
      const world = await started({ retained: 1 });
      await world.checkpoint();
      await world.deliver("s", 3, 4);
      const process = world.start();
      const gate = process.pauseAt((call) => call.number === at);
      const requested = world.request({ checkpoint: 1 }, { process }).then(
        () => "started" as const,
        (thrown: { kind?: string }) => thrown.kind,
      );
      if (!(await Promise.race([gate.reached.then(() => true), requested.then(() => false)]))) break;
      await settled(world.coordinate({ request: {} }));
      await settled(world.coordinate({ request: {} }));
      gate.release();
      const answer = await requested;
      const control = await world.control();
      if (answer === "started") await world.carryOn();
      else expect(answer).toBe("choose-another-checkpoint");
      expect(answer === "started" || control.phase === "RUNNING", `${process.log[at - 1]}: ${answer}`).toBe(true);
      await world.drain();
      await world.checkpoint();
      await expectPromise(world);
    }
  });

  it("that had decided before a restore pinned its checkpoint decides again", async () => {
    const world = await started({ retained: 1 });
    await world.checkpoint();
    const coordinator = world.start();
    const deciding = coordinator.pauseAt((call) => call.step === "announce deletions");
    const running = world.coordinate({ request: {}, process: coordinator });
    await deciding.reached;
    const restorer = world.start();
    const checked = restorer.pauseAt((call) => call.step === "record restore");
    const requested = world.request({ checkpoint: 1 }, { process: restorer });
    await checked.reached;
    deciding.release();
    await running;
    expect(await addressOf(world, 1)).toBe("manifest");
    checked.release();
    expect(await requested).toMatchObject({ outcome: "started", checkpoint: 1 });
    await world.carryOn();
    await world.drain();
    await expectPromise(world);
  });

  it("leaves what the live generation was restored from until that has a checkpoint of its own", async () => {
    const world = await started({ retained: 1 });
    await world.checkpoint({ savepoint: "base" });
    const n = await world.checkpoint();
    await world.restore({ checkpoint: n });
    world.clock.ms += MINUTE_MS;
    expect(await addressOf(world, n)).toBe("manifest");
    await world.checkpoint();
    await world.checkpoint();
    expect(await addressOf(world, n)).toBe("deleted");
    await expectPromise(world);
  });
});

describe("a restore of 2 after 3 and 4 were taken", () => {
  it("then latest is never 3 or 4: it is 2 until the new generation has one of its own", async () => {
    const world = await started();
    for (let n = 1; n <= 4; n += 1) {
      await world.deliver("s", n + 2, n + 2);
      expect(await world.checkpoint()).toBe(n);
    }
    await world.restore({ checkpoint: 2 });
    expect(await world.request({ dryRun: true })).toMatchObject({ checkpoint: 2 });
    await world.restore();
    expect((await world.control()).restoredFrom).toMatchObject({ checkpoint: 2 });
    await expectPromise(world);
    await world.drain();
    expect(await world.checkpoint()).toBe(5);
    expect(await world.request({ dryRun: true })).toMatchObject({ checkpoint: 5 });
    const before = new Date(Date.parse((await readManifestOf(world, 4)).completedAt));
    expect(await world.request({ before, dryRun: true })).toMatchObject({ checkpoint: 2 });
    for (const n of await completedCheckpoints(world)) await expectCheckpointExact(world, n);
  });
});
