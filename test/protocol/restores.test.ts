/** Restores against each other, against checkpoints, and against sources that forget. */
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { finishRestore, flipControl, pinCheckpoint, recordRestore } from "../../shared/control/control-steps.ts";
import { endBatch, flipSplit } from "../../shared/control/split-steps.ts";
import { partsOfLoad } from "../../shared/restore/load.ts";
import { recordChecked } from "../../shared/restore/restore.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { checkpointFolder, manifestPath } from "../../shared/storage/object-paths.ts";
import { settled } from "../support/every-call.ts";
import { expectAllResolved, expectOneLiveGeneration, expectPromise, liveLogs } from "../support/oracle.ts";
import { at, HOUR_MS, TestWorld } from "../support/test-world.ts";

async function started(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abcabcab");
  world.split("t", "bcbc");
  await world.deliver("s", 1, 3);
  await world.deliver("t", 1, 1);
  await world.checkpoint();
  await world.deliver("s", 4, 6);
  await world.checkpoint();
  await world.deliver("t", 2, 3);
  return world;
}

describe("two restores at once", () => {
  it("of two checkpoints, the slower one finishing last: the later one holds", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "flip control");
    const carried = world.carryOn({ process: slow });
    await gate.reached;
    expect(await world.request({ checkpoint: 2 })).toMatchObject({ outcome: "started", generation: 3 });
    await world.carryOn();
    gate.release();
    expect(await carried).toMatchObject({ outcome: "superseded" });
    await expectOneLiveGeneration(world, 3);
    expect((await world.control()).restoredFrom).toMatchObject({ checkpoint: 2 });
    await world.drain();
    await expectAllResolved(world);
    await expectPromise(world);
  });

  it("the slower one held before control's last write: control does not run for it while the other replays", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "finish restore");
    const carried = world.carryOn({ process: slow });
    await gate.reached;
    await world.request({ checkpoint: 2 });
    gate.release();
    expect(await carried).toMatchObject({ outcome: "superseded" });
    expect(await world.control()).toMatchObject({ phase: "REPLAYING", maxGen: 3 });
    await world.carryOn();
    await expectOneLiveGeneration(world, 3);
    await expectPromise(world);
  });

  it("of one checkpoint by two carriers, each split is flipped once and each key loaded once", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const [one, two] = [world.start(), world.start()];
    await Promise.all([settled(world.carryOn({ process: one })), settled(world.carryOn({ process: two }))]);
    await world.carryOn();
    await expectOneLiveGeneration(world, 2);
    await expectPromise(world);
  });

  it("a restore record that arrives late is refused: the generation that it counts on was passed", async () => {
    const world = await started();
    const dying = world.start((call) => (call.step === "record restore" ? "dies, delayed" : undefined));
    await settled(world.request({ checkpoint: 1 }, { process: dying }));
    await world.restore({ checkpoint: 2 });
    await world.drain();
    const before = await world.control();
    await dying.releaseDelayed();
    expect(await world.control()).toEqual(before);
    await expectPromise(world);
  });

  it("a restore record that arrives late on a control where nothing else happened begins that restore, whole", async () => {
    const world = await started();
    const dying = world.start((call) => (call.step === "record restore" ? "dies, delayed" : undefined));
    await settled(world.request({ checkpoint: 1 }, { process: dying }));
    await world.drain();
    await dying.releaseDelayed();
    expect(await world.carryOn()).toMatchObject({ outcome: "finished", checkpoint: 1 });
    await world.drain();
    await expectAllResolved(world);
    await expectPromise(world);
  });

  it("a finish that arrives late, when the next restore of another checkpoint is being prepared, ends nothing", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const dying = world.start((call) => (call.step === "finish restore" ? "dies, delayed" : undefined));
    await settled(world.carryOn({ process: dying }));
    await world.carryOn();
    const preparing = world.start();
    const gate = preparing.pauseAt((call) => call.step === "record restore");
    const requested = world.request({ checkpoint: 2 }, { process: preparing });
    await gate.reached;
    const pins = (await world.control()).pins;
    await dying.releaseDelayed();
    expect((await world.control()).pins).toEqual(pins);
    gate.release();
    await requested;
    await world.carryOn();
    await expectOneLiveGeneration(world, 3);
    await expectPromise(world);
  });

  it("every restore, a rerun of the same checkpoint too, has a generation and a token of its own", async () => {
    const world = await started();
    const plans = [];
    for (let i = 0; i < 3; i += 1) {
      await world.restore({ checkpoint: 1 });
      plans.push((await world.control()).restore);
    }
    expect(plans.map((plan) => plan?.target)).toEqual([2, 3, 4]);
    expect(new Set(plans.map((plan) => plan?.token)).size).toBe(3);
    await expectPromise(world);
  });
});

describe("a restore during a checkpoint", () => {
  it("aborts it by the marker, and its coordinator can neither commit nor move a split any more", async () => {
    for (const step of ["move s", "storage.createExclusively chk-0000000003/manifest.json"]) {
      const world = await started();
      const coordinator = world.start();
      const gate = coordinator.pauseAt((call) => call.step === step);
      const running = world.coordinate({ request: {}, process: coordinator });
      await gate.reached;
      expect(await world.request({ checkpoint: 1 })).toMatchObject({ outcome: "started", interrupted: 3 });
      expect((await world.control()).checkpoint).toMatchObject({ n: 3, open: false, status: "ABORTED" });
      const marker = await readWhole(world.stores.storage, manifestPath(3));
      expect(JSON.parse(marker?.text ?? "{}")).toMatchObject({ kind: "aborted", reason: "a restore began" });
      await world.carryOn();
      gate.release();
      await settled(running);
      await expectPromise(world);
      await world.drain();
      expect(await world.checkpoint()).toBe(4);
      await expectPromise(world);
    }
  });

  it("is not recorded while one is open, whoever opened it between the restore's look and its write", async () => {
    const world = await started();
    const restorer = world.start();
    const gate = restorer.pauseAt((call) => call.step === "record restore");
    const requested = world.request({ checkpoint: 1 }, { process: restorer });
    await gate.reached;
    const coordinator = world.start((call) => (call.step === "move s" ? "dies before" : undefined));
    await settled(world.coordinate({ request: {}, process: coordinator }));
    gate.release();
    expect(await requested).toMatchObject({ outcome: "started", interrupted: 3 });
    await world.carryOn();
    await expectPromise(world);
  });
});

describe("the restored generation", () => {
  it("is loaded only where a key has no item, so that a stalled carrier takes nothing back", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const slow = world.start();
    const gate = slow.pauseAt((call) => call.step === "state.write a");
    const carried = world.carryOn({ process: slow });
    await gate.reached;
    await world.carryOn();
    await world.drain();
    const before = await liveLogs(world);
    gate.release();
    await settled(carried);
    expect(await liveLogs(world)).toEqual(before);
    await expectPromise(world);
  });

  it("is not made live where a part was altered under another load and put back since: what is there is compared", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const before = await liveLogs(world);
    const slow = world.start();
    const isPart = (given: readonly unknown[]) => String(given[0]).includes("/log-");
    const gate = slow.pauseAt(({ step, given }) => step.startsWith("storage.read") && isPart(given));
    const stalled = world.carryOn({ process: slow }).catch((thrown: unknown) => thrown);
    await gate.reached;

    const putBack = await alterParts(world, 1);
    await expect(world.carryOn()).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    await putBack();
    gate.release();
    expect(await stalled).toMatchObject({ kind: "choose-another-checkpoint" });
    expect((await world.control()).gen).toBe(1);
    expect(await liveLogs(world)).toEqual(before);

    await world.restore();
    expect((await world.control()).gen).toBe(3);
    await world.drain();
    await expectPromise(world);
  });

  it("is not made live where a deadline came in the middle of an altered part that was put back since", async () => {
    const world = new TestWorld();
    world.split("s", "abcd");
    await world.deliver("s", 1, 4);
    await world.checkpoint();
    await world.request();
    const putBack = await alterParts(world, 1);
    // Time is up after the first item.
    const hasty = world.start(({ step }) => {
      if (step.startsWith("state.write")) world.clock.ms += HOUR_MS;
      return undefined;
    });
    const deadlineMs = world.clock.now() + 1;
    expect(await world.carryOn({ process: hasty, deadlineMs })).toMatchObject({ outcome: "unfinished" });
    expect([...(await partsOfLoad(world.stores.control, 2)).values()]).toEqual([{ written: 1, done: false }]);
    await putBack();
    await expect(world.carryOn()).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    expect((await world.control()).gen).toBe(1);
    await world.restore();
    await expectPromise(world);
  });

  it("is not carried on by code that does not have a function of it, as from before a function was renamed", async () => {
    const world = await started();
    const folded = await liveLogs(world);
    const before = world.app;
    world.app = { ...before, functions: [{ name: "book", previousName: "log", source: "letters", stateVersion: 1 }] };
    await world.request({ checkpoint: 1 });
    const now = world.app;
    world.app = before;
    await expect(world.carryOn()).rejects.toMatchObject({ kind: "fix-configuration" });
    await expect(world.carryOn()).rejects.toThrow(
      /restores the function book, which this code .* does not have; it has log/,
    );
    expect(await world.control()).toMatchObject({ gen: 1, phase: "REPLAYING" });
    world.app = now;
    expect(await world.carryOn()).toMatchObject({ outcome: "finished" });
    const sorted = (logs: Awaited<ReturnType<typeof liveLogs>>) =>
      [...logs].map(([key, ids]) => [key, ids.toSorted()]).toSorted();
    expect(sorted(await liveLogs(world, "book"))).toEqual(sorted(folded));
    await expectOneLiveGeneration(world);
  });

  it("is live although a load that was slower, and read an altered part, says afterwards what it has found", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const slow = world.start();
    const gate = slow.pauseAt(({ step }) => step.startsWith("state.write"));
    const putBack = await alterParts(world, 1);
    const stalled = world.carryOn({ process: slow }).catch((thrown: unknown) => thrown);
    await gate.reached;
    await putBack();
    const dying = world.start(({ step }) => (step === "finish restore" ? "dies before" : undefined));
    await settled(world.carryOn({ process: dying }));
    expect((await world.control()).gen).toBe(2);
    gate.release();
    expect(await stalled).toMatchObject({ kind: "choose-another-checkpoint" });
    expect(await world.carryOn()).toMatchObject({ outcome: "finished" });
    await world.drain();
    await expectPromise(world);
  });

  it("carries no applied marks and no before-images: replayed events are folded again", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const restorer = world.start();
    const gate = restorer.pauseAt((call) => call.step === "flip control");
    const carried = world.carryOn({ process: restorer });
    await gate.reached;
    const loaded = await world.stores.state.load({ function: "log", generation: 2 }, ["a", "b", "c"]);
    expect([...loaded.keys()].toSorted()).toEqual(["a", "b", "c"]);
    for (const item of loaded.values()) {
      expect(item).toMatchObject({ applied: {}, epoch: 0 });
      expect(item).not.toHaveProperty("before");
    }
    gate.release();
    await carried;
    await expectPromise(world);
  });

  it("flips a split in one write, once: position and attemptedTo at the cut, until as far as was tried", async () => {
    const world = await started();
    const dying = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
    await settled(world.deliver("s", 7, 8, { process: dying }));
    world.behaviour = { poison: ["t4"] };
    await world.deliver("t", 4, 4);
    // Control is an epoch ahead of the splits: the flip takes them along, and no old barrier stays.
    const triggering = world.start((call) => (call.step === "trigger" ? "dies after" : undefined));
    await settled(world.coordinate({ request: {}, process: triggering }));
    await world.request({ checkpoint: 1 });
    const restorer = world.start();
    const gate = restorer.pauseAt((call) => call.step === "begin s" || call.step === "begin t");
    const carried = world.carryOn({ process: restorer });
    await gate.reached;
    expect(await world.itemOf("s")).toMatchObject({
      ...{ gen: 2, phase: "REPLAYING", position: at(3), attemptedTo: at(3), until: at(8), begun: 0 },
      ...{ epoch: 3, pendingEpoch: 3, resolved: 3, barriers: {} },
    });
    expect(await world.itemOf("t")).toMatchObject({ position: at(1), until: at(3) });
    expect((await world.itemOf("t"))?.failing).toBeUndefined();
    gate.release();
    await carried;
    expect(await world.itemOf("s")).toMatchObject({ position: at(8) });
    await expectPromise(world);
  });

  it("keeps the farther until when another restore comes before its replay: the mapping will not deliver that again", async () => {
    const world = await started();
    await world.deliver("s", 7, 8);
    await world.request({ checkpoint: 2 });
    const restorer = world.start((call) => (call.step === "begin s" ? "dies before" : undefined));
    await settled(world.carryOn({ process: restorer }));
    expect(await world.itemOf("s")).toMatchObject({ attemptedTo: at(6), until: at(8) });
    await world.request({ checkpoint: 1 });
    await world.carryOn();
    expect(await world.itemOf("s")).toMatchObject({ position: at(8), gen: 3 });
    await expectPromise(world);
  });

  it("is not flipped again, run, or ended by what is older than it", async () => {
    const world = await started();
    await world.restore({ checkpoint: 1 });
    await world.restore({ checkpoint: 1 });
    const { control } = world.stores;
    const read = await world.control();
    const flip = { from: { generation: 1, checkpoint: 1 }, mode: "exactly-once", epochAtLeast: 0 } as const;
    expect(await flipControl(control, { ...flip, target: 2, epochRead: read.epoch })).toBeUndefined();
    expect(await flipControl(control, { ...flip, target: 9, epochRead: read.epoch - 1 })).toBeUndefined();
    expect(await finishRestore(control, { target: 2, atMs: 1 })).toBeUndefined();
    const place = { function: "log", split: "s" };
    const step = {
      ...{ target: 3, position: "", freshAt: 0, holes: { inline: [], items: [] }, ended: false, epoch: 2 },
      mode: "exactly-once",
    } as const;
    expect(await flipSplit(control, place, step)).toBeUndefined();
    const item = await world.itemOf("s");
    if (item === undefined) throw new Error("no split");
    const end = { position: "", attemptedTo: "", freshAt: 0, consecutiveDeadLetters: 0, phase: "RUNNING" } as const;
    expect(await endBatch(control, place, { ...end, attempt: item.attempt - 1, generation: 3 })).toBeUndefined();
    expect(await endBatch(control, place, { ...end, attempt: item.attempt, generation: 2 })).toBeUndefined();
    const late = { checkpoint: 1, startedAtMs: 0, functions: {}, token: "late" };
    await pinCheckpoint(control, "late", 1);
    expect(await recordRestore(control, { maxGenRead: 2, plan: { ...late, target: 4 } })).toBeUndefined();
    expect(await world.itemOf("s")).toEqual(item);
  });

  it("is not recorded once its pin is gone and retention has deleted its checkpoint", async () => {
    const world = new TestWorld({ retained: 1 });
    world.split("s", "ab");
    await world.deliver("s", 1, 2);
    await world.checkpoint();
    await world.restore({ checkpoint: 1 });
    await world.checkpoint();
    const read = await world.control();
    const functions = { log: "log" };
    const checked = { functions, startEmpty: [], leftBehind: [], files: 1, keys: 2, bytes: 1, splits: 1 };
    // Checked while the checkpoint was there; the restore that finished took the pin with it.
    const recording = recordChecked(world.resources(), { checkpoint: 1, token: "late", checked });
    await expect(recording).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    const plan = { checkpoint: 1, startedAtMs: 0, functions, token: "later", target: read.maxGen + 1 };
    expect(await recordRestore(world.stores.control, { maxGenRead: read.maxGen, plan })).toBeUndefined();
    expect(await world.control()).toMatchObject({ phase: "RUNNING", maxGen: read.maxGen });
  });

  it("tries records afresh that were dead letters after the cut, and keeps those from before it as holes", async () => {
    const world = new TestWorld({ triesMax: 1 });
    world.split("s", "abab");
    world.behaviour = { poison: ["s1", "s3"] };
    await world.deliverUntilDone("s", 1, 2);
    await world.checkpoint();
    await world.deliverUntilDone("s", 3, 4);
    world.behaviour = {};
    await world.restore({ checkpoint: 1 });
    expect((await world.itemOf("s"))?.holes).toMatchObject([{ from: at(1), to: at(1) }]);
    expect((await liveLogs(world)).get("a")).toEqual(["s3"]);
    await expectPromise(world);
  });
});

describe("a source that no longer has the records", () => {
  it("is refused by name before anything changed, and the checkpoint that would do is named", async () => {
    const world = await started();
    await world.checkpoint();
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 5 });
    const { pinned: _count, ...before } = await world.control();
    const splits = await world.items();
    await expect(world.request({ checkpoint: 1 })).rejects.toMatchObject({
      kind: "choose-another-checkpoint",
      message: expect.stringContaining("cannot read split s again after 000003"),
    });
    const { pinned: _later, ...after } = await world.control();
    expect(after).toEqual(before);
    expect(await world.items()).toEqual(splits);
    await world.restore({ checkpoint: 2 });
    await world.drain();
    await expectPromise(world);
  });

  it("loses them during the replay: the hole is noted, and the restore comes to its end", async () => {
    const world = await started();
    await world.request({ checkpoint: 1 });
    const restorer = world.start();
    const gate = restorer.pauseAt((call) => call.step === "begin s");
    const carried = world.carryOn({ process: restorer });
    await gate.reached;
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 6 });
    restorer.kill();
    gate.release();
    await settled(carried);
    await world.carryOn();
    await expectOneLiveGeneration(world, 2);
    const hole = { cause: "dropped", after: at(3), to: at(6) };
    expect((await world.itemOf("s"))?.holes).toEqual([hole]);
    expect(world.ofType("hole")).toMatchObject([{ function: "log", split: "s", hole }]);
    await world.drain();
    await world.checkpoint();
    await expectPromise(world);
  });
});

it("a restore that nobody carries on for hours is carried on all the same", async () => {
  const world = await started();
  const dying = world.start((call) => (call.step === "flip t" ? "dies before" : undefined));
  await settled(world.restore({ checkpoint: 1 }, { process: dying }));
  world.clock.ms += 9 * HOUR_MS;
  expect(await world.coordinate({ request: {} })).toEqual({ outcome: "restoring" });
  expect(await world.carryOn()).toMatchObject({ outcome: "finished" });
  await expectPromise(world);
});

/** Other events than were folded, in parts that can be read to their end. @returns puts them back as they were */
async function alterParts({ stores: { storage } }: TestWorld, checkpoint: number): Promise<() => Promise<void>> {
  const parts: (readonly [string, Buffer])[] = [];
  for await (const { path: name } of storage.list(checkpointFolder(checkpoint))) {
    if (name === manifestPath(checkpoint)) continue;
    const chunks: Uint8Array[] = [];
    for await (const chunk of (await storage.read(name))?.body ?? []) chunks.push(chunk);
    parts.push([name, Buffer.concat(chunks)]);
  }
  const write = (name: string, body: Buffer) =>
    storage.write(
      name,
      (async function* () {
        yield body;
      })(),
    );
  for (const [name, body] of parts) {
    await write(name, gzipSync(gunzipSync(body).toString().replaceAll(/"s\d"/g, '"s9"')));
  }
  return async () => {
    for (const [name, body] of parts) await write(name, body);
  };
}
