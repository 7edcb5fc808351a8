/** How a restore's parts are loaded, by its own process or by workers, and how it was recorded before. */
import { describe, expect, test } from "vitest";
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import type { WorkAnswer, WorkRequest } from "../../../shared/checkpoint/work.ts";
import { path, value } from "../../../shared/control/conditional-write.ts";
import { CONTROL_KEY, loadPartition, splitKey } from "../../../shared/control/item-keys.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import type { Carrier } from "../../../shared/restore/carrier.ts";
import { forgetLoad, isDamaged, loadPart, loadParts, partsOfLoad, runLoadWork } from "../../../shared/restore/load.ts";
import { recordChecked } from "../../../shared/restore/restore.ts";
import { restoredFunctions } from "../../../shared/restore/restored-functions.ts";
import { restoreStatus } from "../../../shared/restore/status.ts";
import type { FaultyProcess } from "../../support/faulty-stores.ts";
import { overriding } from "../../support/overriding.ts";
import { HOUR_MS, TestWorld } from "../../support/test-world.ts";

/** A restore of checkpoint 1 into generation 2 is recorded: three parts of a key or two. */
async function recorded() {
  const world = new TestWorld();
  world.split("s", "abcde");
  await world.deliver("s", 1, 5);
  await world.coordinate({ request: {}, slices: 3 });
  await world.request({ checkpoint: 1 });
  const { restore: plan } = await world.control();
  if (plan === undefined) throw new Error("no restore is recorded");
  const manifest = await readManifest(world.stores.storage, { app: "test-app", n: 1 });
  const carrier = (more: Partial<Carrier> & { process?: FaultyProcess } = {}): Carrier => ({
    ...{ resources: world.resources(more.process), plan, manifest },
    ...{ functions: restoredFunctions(world.app, manifest, plan.functions), deadlineMs: world.clock.ms + HOUR_MS },
    ...{ partConcurrency: 1, writeConcurrency: 1, splitConcurrency: 1 },
    replay: () => Promise.reject(new Error("not asked")),
    ...more,
  });
  const noted = () => partsOfLoad(world.stores.control, 2);
  const parts = manifest.files.map((file) => ({ file, function: "log" }));
  return { world, carrier, noted, parts, plan };
}

const writes = ({ log }: FaultyProcess): string[] => log.filter((step) => step.startsWith("state.write"));

describe("loading parts", () => {
  test("writes every key once, and notes each part", async () => {
    const { world, carrier, noted, parts } = await recorded();
    const process = world.start();
    expect(await loadParts(carrier({ process }))).toBe("done");
    expect(writes(process)).toHaveLength(5);
    expect([...(await noted())].sort()).toEqual(
      parts.map(({ file }) => [file.name, { written: file.items, done: true }]).sort(),
    );
    const again = world.start();
    expect(await loadParts(carrier({ process: again }))).toBe("done");
    expect(again.log.filter((step) => /write|read/.test(step))).toEqual([]);
  });

  test("goes on behind what was noted", async () => {
    const { world, carrier, parts } = await recorded();
    const part = parts.find(({ file }) => file.items === 2);
    if (part === undefined) throw new Error("no part has two items");
    let left = 1;
    const process = world.start(({ step }) => {
      if (step.startsWith("state.write") && --left === 0) world.clock.ms += 2 * HOUR_MS;
      return undefined;
    });
    expect(await loadPart(carrier({ process }), part)).toBe("unfinished");
    expect(writes(process)).toHaveLength(1);
    expect((await partsOfLoad(world.stores.control, 2)).get(part.file.name)).toEqual({ written: 1, done: false });
    const next = world.start();
    expect(await loadPart(carrier({ process: next, deadlineMs: world.clock.ms + HOUR_MS }), part)).toBe("done");
    expect(writes(next)).toHaveLength(1);
    const done = world.start();
    expect(await loadPart(carrier({ process: done, deadlineMs: world.clock.ms + HOUR_MS }), part)).toBe("done");
    expect(done.log.filter((step) => /write|storage/.test(step))).toEqual([]);
  });

  test("stops at its deadline, and where another restore was recorded", async () => {
    const { world, carrier, parts, plan } = await recorded();
    const process = world.start();
    expect(await loadParts(carrier({ process, deadlineMs: world.clock.ms }))).toBe("unfinished");
    expect(process.log.filter((step) => step.startsWith("storage"))).toEqual([]);
    const replaced = carrier({ plan: { ...plan, token: "other" } });
    expect(await loadPart(replaced, parts[0] as (typeof parts)[0])).toBe("superseded");
    expect(await loadParts(replaced)).toBe("superseded");
  });

  test("notes a part that was altered, and nothing of a store that failed", async () => {
    const { world, carrier, noted } = await recorded();
    const { control, storage } = world.stores;
    const throttled = world.start(({ step }) => (step.startsWith("storage.read") ? "refused" : undefined));
    await expect(loadParts(carrier({ process: throttled }))).rejects.toThrow("throttled");
    const broken = { ...world.resources(), storage: { ...storage, read: () => Promise.reject(new Error("reset")) } };
    await expect(loadParts(carrier({ resources: broken as never }))).rejects.toThrow("reset");
    expect(await isDamaged(control, 2)).toBe(false);
    for await (const { path: one } of storage.list("chk-0000000001/log")) await storage.remove(one);
    await expect(loadParts(carrier())).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    expect(await isDamaged(control, 2)).toBe(true);
    expect([...(await noted()).keys()]).toEqual([]);
    await forgetLoad(control, 2);
    expect(await isDamaged(control, 2)).toBe(false);
  });

  test("forgets everything of a load, and of no other", async () => {
    const { world, carrier, noted } = await recorded();
    await loadParts(carrier());
    await world.stores.control.update(
      { partition: loadPartition(3), sort: "x" },
      { conditions: [], set: [[path("written"), value(1)]] },
    );
    await forgetLoad(world.stores.control, 2);
    expect([...(await noted()).keys()]).toEqual([]);
    expect((await partsOfLoad(world.stores.control, 3)).size).toBe(1);
  });
});

describe("loading parts by workers", () => {
  const workers = (answer: (request: WorkRequest, call: number) => Promise<WorkAnswer>) => {
    const asked: WorkRequest[] = [];
    const invoke = async (request: WorkRequest): Promise<WorkAnswer> => {
      asked.push(request);
      return answer(request, asked.length);
    };
    return { asked, workers: { invoke, count: 1 } };
  };
  const load = (world: TestWorld) => (request: WorkRequest) => {
    if (request.work !== "load") throw new Error("not a load");
    return runLoadWork(world.resources(), request, world.clock.ms + HOUR_MS);
  };

  test("gives each part out, and is done once every one is noted", async () => {
    const { world, carrier, noted, parts } = await recorded();
    const { asked, workers: some } = workers(load(world));
    expect(await loadParts(carrier({ workers: some }))).toBe("done");
    const work = { work: "load", checkpoint: 1, target: 2, function: "log" };
    expect(asked).toMatchObject(parts.map(({ file }) => ({ ...work, file })));
    expect([...(await noted()).values()].every(({ done }) => done)).toBe(true);
  });

  test("is not done where a worker only said so", async () => {
    const { world, carrier } = await recorded();
    const none = workers(async () => ({ outcome: "done" }));
    expect(await loadParts(carrier({ workers: none.workers }))).toBe("unfinished");
    const all = workers(load(world));
    const but = workers(async (request, call) => (call === 2 ? { outcome: "done" } : load(world)(request)));
    expect(await loadParts(carrier({ workers: but.workers }))).toBe("unfinished");
    expect(await loadParts(carrier({ workers: all.workers }))).toBe("done");
    expect(all.asked).toHaveLength(1);
  });

  test("ends with the worst that a worker said, and gives no further part out", async () => {
    const { carrier } = await recorded();
    for (const [outcome, ends] of [
      ["superseded", "superseded"],
      ["image-gone", "unfinished"],
    ] as const) {
      const { asked, workers: some } = workers(async () => ({ outcome }));
      expect(await loadParts(carrier({ workers: some }))).toBe(ends);
      expect(asked).toHaveLength(1);
    }
    // Two at a time: the first says that its time is up, the second what is worse, or the other way round.
    for (const order of [
      ["image-gone", "superseded"],
      ["superseded", "image-gone"],
    ] as const) {
      const { workers: two } = workers(async (_, call) => ({ outcome: order[call - 1] ?? "done" }));
      expect(await loadParts(carrier({ workers: { ...two, count: 2 } }))).toBe("superseded");
    }
  });

  test("fails with what a worker refuses", async () => {
    const { carrier } = await recorded();
    const refusal = new TidemarkError("choose-another-checkpoint", "altered");
    const { workers: some } = workers(() => Promise.reject(refusal));
    await expect(loadParts(carrier({ workers: some }))).rejects.toBe(refusal);
  });
});

describe("the status of a load", () => {
  test("counts keys and parts, and leaves unborn splits out", async () => {
    const { world, carrier, parts } = await recorded();
    const part = parts.find(({ file }) => file.items === 2) as (typeof parts)[0];
    await loadPart(carrier(), part);
    const { control } = world.stores;
    await control.update(splitKey("log", "u"), { conditions: [], set: [[path("attempt"), value(0)]] });
    await control.update(
      { partition: loadPartition(2), sort: "begun" },
      {
        conditions: [],
        set: [
          [path("written"), value(1)],
          [path("done"), value(false)],
        ],
      },
    );
    await control.update(CONTROL_KEY, { conditions: [], set: [[path("mappingsOff"), value({ log: true })]] });
    const status = await restoreStatus(world.resources());
    expect(status).toMatchObject({ phase: "loading", partsLoaded: 1, partsTotal: 3, keysLoaded: 3, keysTotal: 5 });
    expect(status.mappingsOff).toEqual(["log"]);
    expect(status.splits).toStrictEqual([{ function: "log", split: "s", phase: "WAITING", position: "000005" }]);
    expect(status).not.toHaveProperty("hold");
  });

  test("is none where nothing was ever restored, also where the app has begun", async () => {
    const world = new TestWorld();
    const none = { phase: "none", partsLoaded: 0, partsTotal: 0, splits: [] };
    expect(await restoreStatus(world.resources())).toEqual(none);
    world.split("s", "a");
    await world.deliver("s", 1, 1);
    expect(await restoreStatus(world.resources())).toEqual(none);
  });

  test("of a held restore is held until it was told to go on", async () => {
    const { world } = await recorded();
    const phase = async () => (await restoreStatus(world.resources())).phase;
    const set = (name: string) =>
      world.stores.control.update(CONTROL_KEY, { conditions: [], set: [[path("restore", name), value(1)]] });
    await world.stores.control.update(CONTROL_KEY, { conditions: [], set: [[path("gen"), value(2)]] });
    expect(await phase()).toBe("replaying");
    await set("heldAtMs");
    expect(await phase()).toBe("held");
    await set("wentOnAtMs");
    expect(await phase()).toBe("replaying");
  });
});

describe("recording a restore", () => {
  test("that is under way already changes nothing, and one with another matching of functions is another", async () => {
    const { world, plan } = await recorded();
    const before = await world.control();
    const underWay = { outcome: "under-way", id: plan.token, checkpoint: 1, generation: 2, functions: { log: "log" } };
    expect(await world.request({ checkpoint: 1 })).toEqual(underWay);
    expect(await world.control()).toEqual(before);
    world.app = { ...world.app, functions: [{ name: "new", previousName: "log", source: "letters", stateVersion: 1 }] };
    expect(await world.request({ checkpoint: 1 })).toMatchObject({ outcome: "started", generation: 3 });
  });

  test("leaves it to another that recorded the same while its checkpoint was checked, and pins it anew", async () => {
    for (const same of [true, false]) {
      const world = new TestWorld();
      world.split("s", "ab");
      await world.deliver("s", 1, 2);
      await world.checkpoint();
      const process = world.start();
      const gate = process.pauseAt(({ step }) => step.startsWith("storage.read chk-0000000001/log"));
      const asking = world.request({ checkpoint: 1 }, { process });
      await gate.reached;
      if (same) await world.request({ checkpoint: 1 });
      else await world.stores.control.update(CONTROL_KEY, { conditions: [], set: [[path("pins"), value({})]] });
      const { restore } = await world.control();
      gate.release();
      if (same) expect(await asking).toMatchObject({ outcome: "under-way", id: restore?.token });
      else expect(await asking).toMatchObject({ outcome: "started", generation: 2 });
      expect(process.log.filter((step) => step === "pin")).toHaveLength(same ? 1 : 2);
    }
  });

  test("forgets the load of the one that it replaces", async () => {
    const { world, carrier, noted } = await recorded();
    await loadParts(carrier());
    const report = await world.request({ checkpoint: 1, until: { arrivedByMs: world.clock.ms + HOUR_MS } });
    expect(report).toMatchObject({ outcome: "started", generation: 3 });
    expect(report).not.toHaveProperty("interrupted");
    expect([...(await noted()).keys()]).toEqual([]);
  });

  test("whose answer was lost and that was sent again is one restore", async () => {
    const { world } = await recorded();
    await world.carryOn();
    const process = world.start(({ step }) => (step === "record restore" ? "sent twice" : undefined));
    expect(await world.request({ checkpoint: 1 }, { process })).toMatchObject({ outcome: "started", generation: 3 });
    expect(process.log.filter((step) => step === "pin")).toHaveLength(1);
    expect(await world.control()).toMatchObject({ maxGen: 3, pins: {} });
  });

  test("is given up after twenty times that another came between", async () => {
    const { world, carrier } = await recorded();
    await world.carryOn();
    let tries = 0;
    const { control } = world.stores;
    const refusing = overriding(control, "update", async (...given) => {
      if (given[1].set?.some(([[one]]) => one === "maxGen") !== true) return control.update(...given);
      tries += 1;
      return { applied: false };
    });
    const checked = { files: 0, keys: 0, bytes: 0, splits: 0, functions: {}, startEmpty: [], leftBehind: [] };
    const resources = { ...carrier().resources, control: refusing };
    await expect(recordChecked(resources, { checkpoint: 1, token: "t", checked })).rejects.toMatchObject({
      kind: "retry",
    });
    expect(tries).toBe(20);
  });

  test("that was asked for is superseded once its request is gone", async () => {
    const { world } = await recorded();
    const checked = { files: 0, keys: 0, bytes: 0, splits: 0, functions: {}, startEmpty: [], leftBehind: [] };
    const gone = { checkpoint: 1, token: "t", checked, requested: true };
    expect(await recordChecked(world.resources(), gone)).toEqual({ outcome: "superseded", checkpoint: 1 });
  });

  test("chooses by the time that was named rather than by its hold's", async () => {
    const world = new TestWorld();
    world.split("s", "aa");
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    const between = new Date(world.clock.ms - 1);
    await world.deliver("s", 2, 2);
    await world.checkpoint();
    const until = { arrivedByMs: world.clock.ms + HOUR_MS };
    expect(await world.request({ before: between, until, dryRun: true })).toMatchObject({ checkpoint: 1 });
    expect(await world.request({ until, dryRun: true })).toMatchObject({ checkpoint: 2 });
  });
});
