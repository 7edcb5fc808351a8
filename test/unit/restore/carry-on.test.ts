/** What carrying a restore on tells, skips and ends with, and what a checking worker answers. */
import { describe, expect, test } from "vitest";
import { replaySplit } from "../../../shared/batch/replay-split.ts";
import { writeGenerationRecord } from "../../../shared/checkpoint/lineage.ts";
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import type { WorkAnswer, WorkRequest } from "../../../shared/checkpoint/work.ts";
import { path, value } from "../../../shared/control/conditional-write.ts";
import type { Control } from "../../../shared/control/control.ts";
import { CONTROL_KEY, checkPartition, splitKey } from "../../../shared/control/item-keys.ts";
import { goOnWithRestore } from "../../../shared/restore/ask-for-restore.ts";
import { checkedParts, checkStretch, forgetChecks, runCheckWork } from "../../../shared/restore/check-parts.ts";
import type { ReplayRequest } from "../../../shared/restore/replay-invoker.ts";
import { lineageForRestore, nextGeneration } from "../../../shared/restore/restore-lineage.ts";
import { settled } from "../../support/every-call.ts";
import { at, HOUR_MS, TestWorld } from "../../support/test-world.ts";

/** Checkpoint 1 of records 1 and 2; 3 and 4 were folded since, and split t was born. */
async function taken(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abab");
  await world.deliver("s", 1, 2);
  await world.checkpoint();
  await world.deliver("s", 3, 4);
  world.split("t", "ab");
  await world.deliver("t", 1, 1);
  world.events.length = 0;
  return world;
}

const LATER = { until: { arrivedByMs: Date.parse("2027-01-01T00:00:00Z") } };
const setControl = (world: TestWorld, name: string, member: string, literal: number) =>
  world.stores.control.update(CONTROL_KEY, { conditions: [], set: [[path(name, member), value(literal)]] });

describe("carrying a restore on", () => {
  test("is nothing to do where none is under way", async () => {
    const nothing = { outcome: "nothing-to-do" };
    expect(await new TestWorld().carryOn()).toEqual(nothing);
    const world = await taken();
    expect(await world.carryOn()).toEqual(nothing);
    await world.restore();
    expect(await world.carryOn()).toEqual(nothing);
  });

  test("tells what it loaded, how long it took, and that it is done", async () => {
    const world = await taken();
    await world.request();
    world.events.length = 0;
    world.clock.ms += 5_000;
    const report = await world.carryOn();
    const restore = { checkpoint: 1, generation: 2 };
    expect(report).toEqual({ outcome: "finished", ...restore, functions: { log: "log" } });
    const told = world.events.filter(({ type }) => type.startsWith("restore"));
    expect(told).toEqual([
      { type: "restore-carried-on", ...restore },
      { type: "restore-loaded", ...restore, keys: 2, milliseconds: 5_000 },
      { type: "restore-finished", ...restore, milliseconds: 5_000 },
    ]);
  });

  test("holds every split before it loads anything, also one that came after the checkpoint", async () => {
    const world = await taken();
    await world.request();
    const process = world.start(({ step }) => (step.startsWith("state.write") ? "dies before" : undefined));
    await settled(world.carryOn({ process }));
    for (const split of ["s", "t"]) expect(await world.itemOf(split)).toMatchObject({ phase: "REPLAYING", gen: 1 });
  });

  test("holds and loads nothing again once control is in the restored generation", async () => {
    const world = await taken();
    await world.request();
    const dying = world.start(({ step }) => (step.startsWith("run") ? "dies before" : undefined));
    await settled(world.carryOn({ process: dying }));
    const process = world.start();
    expect(await world.carryOn({ process })).toMatchObject({ outcome: "finished" });
    expect(process.log.filter((step) => /^hold|^record loaded|^flip control|^storage.read .*log-/.test(step))).toEqual(
      [],
    );
    expect(world.ofType("restore-loaded")).toHaveLength(1);
  });

  /** Replays up to where the restore is held. */
  const held = (world: TestWorld) => ({
    replay: ({ function: name, ...request }: ReplayRequest) =>
      replaySplit(world.engine({ function: name }), { ...request, deadlineMs: Number.POSITIVE_INFINITY }),
  });

  test("tells of a load once, also where it died before the flip", async () => {
    const world = await taken();
    await world.request();
    const process = world.start(({ step }) => (step === "flip control" ? "dies before" : undefined));
    await settled(world.carryOn({ process }));
    expect(await world.carryOn()).toMatchObject({ outcome: "finished" });
    expect(world.ofType("restore-loaded")).toHaveLength(1);
  });

  test("of a restore that is held does nothing, and tells once that it is", async () => {
    const world = await taken();
    await world.request(LATER);
    expect(await world.carryOn(held(world))).toMatchObject({ outcome: "held", checkpoint: 1, generation: 2 });
    const process = world.start();
    expect(await world.carryOn({ process, ...held(world) })).toMatchObject({ outcome: "held" });
    expect(process.calls).toBe(1);
    expect(world.ofType("restore-held")).toHaveLength(1);
    expect(world.ofType("restore-carried-on")).toHaveLength(1);
    await goOnWithRestore(world.resources());
    expect(await world.carryOn(held(world))).toMatchObject({ outcome: "finished" });
  });

  test("is unfinished where it was told to go on just as it came to its hold", async () => {
    const world = await taken();
    await world.request(LATER);
    const process = world.start();
    const gate = process.pauseAt(
      ({ given, method }) => method === "update" && JSON.stringify(given).includes("heldAtMs"),
    );
    const carrying = world.carryOn({ process, ...held(world) });
    await gate.reached;
    await goOnWithRestore(world.resources());
    gate.release();
    expect(await carrying).toMatchObject({ outcome: "unfinished" });
    expect(world.ofType("restore-held")).toEqual([]);
  });

  test("is finished where another carrier was faster, and superseded by another restore", async () => {
    for (const other of ["carrier", "restore"]) {
      const world = await taken();
      await world.request();
      const process = world.start();
      const gate = process.pauseAt(({ step }) => step.startsWith("state.write"));
      const carrying = world.carryOn({ process });
      await gate.reached;
      if (other === "carrier") await world.carryOn();
      else await world.request({ checkpoint: 1, ...LATER });
      gate.release();
      expect(await carrying).toMatchObject({ outcome: other === "carrier" ? "finished" : "superseded" });
    }
  });

  test("begins a split that the checkpoint does not have at its beginning, and not as one that has ended", async () => {
    const world = await taken();
    await world.request();
    world.source.retention = 24 * HOUR_MS;
    const process = world.start(({ step }) => (/^begin/.test(step) ? "dies before" : undefined));
    await settled(world.carryOn({ process }));
    const split = await world.itemOf("t");
    // As fresh as the first record that the source holds, which arrived at 1.
    expect(split).toMatchObject({ gen: 2, phase: "REPLAYING", position: "", until: at(1), freshAt: 1 });
    expect(split).not.toHaveProperty("ended");
    const { functions } = await readManifest(world.stores.storage, { app: "test-app", n: 1 });
    expect((await world.itemOf("s"))?.freshAt).toBe(Date.parse(functions[0]?.splits[0]?.freshAt ?? ""));
  });
});

describe("the lineage that a restore follows", () => {
  const of = async (world: TestWorld, control?: Partial<Control>) =>
    lineageForRestore(world.resources(), control && ({ ...(await world.control()), ...control } as Control));

  test("is control's own", async () => {
    const world = await taken();
    expect(await of(world, {})).toStrictEqual({ generation: 1 });
    await world.restore();
    const restoredFrom = { generation: 1, checkpoint: 1 };
    expect(await of(world, {})).toStrictEqual({ generation: 2, restoredFrom });
    expect(await of(world, { phase: "REPLAYING" })).toStrictEqual({ generation: 2, restoredFrom });
  });

  test("is that of the restore that is under way", async () => {
    const world = await taken();
    await world.request();
    expect(await of(world, {})).toEqual({ generation: 2, restoredFrom: { generation: 1, checkpoint: 1 } });
    // What a restore that ended long ago was to, is nothing to one that runs.
    expect(await of(world, { phase: "RUNNING" })).toEqual({ generation: 1 });
  });

  test("is storage's alone where that has seen later generations than control, or there is no control", async () => {
    const world = await taken();
    expect(await of(world)).toBeUndefined();
    const record = { restoredFrom: { generation: 1, checkpoint: 1 }, at: "2026-01-01T00:00:00.000Z" };
    await writeGenerationRecord(world.stores.storage, { generation: 2, ...record });
    expect(await of(world, {})).toBeUndefined();
    expect(await of(world, { maxGen: 2 })).toEqual({ generation: 1 });
  });

  test("goes on with a generation that neither has used", async () => {
    const world = await taken();
    const next = async (control?: Control) => nextGeneration(world.resources(), control);
    const control = await world.control();
    expect([await next(), await next(control), await next({ ...control, maxGen: 7 })]).toEqual([2, 2, 8]);
    const record = { restoredFrom: { generation: 1, checkpoint: 1 }, at: "2026-01-01T00:00:00.000Z" };
    await writeGenerationRecord(world.stores.storage, { generation: 9, ...record });
    expect([await next(), await next(control)]).toEqual([10, 10]);
    expect(await nextGeneration(new TestWorld().resources(), undefined)).toBe(2);
  });
});

describe("the parts of a request", () => {
  async function asked() {
    const world = await taken();
    const { id: token = "" } = await world.ask();
    const manifest = await readManifest(world.stores.storage, { app: "test-app", n: 1 });
    const stretch = (more: object = {}) =>
      checkStretch(world.resources(), manifest, {
        ...{ token, deadlineMs: world.clock.ms + HOUR_MS, allowNonRestoredState: false, partConcurrency: 1, ...more },
      });
    const work = { work: "check", checkpoint: 1, token, stateVersionMax: 1 } as const;
    const [file] = manifest.files;
    if (file === undefined) throw new Error("the checkpoint has no part");
    return { world, token, manifest, stretch, work: { ...work, file } };
  }
  const workers = (answer: (request: WorkRequest) => Promise<WorkAnswer>) => {
    const requests: WorkRequest[] = [];
    const invoke = (request: WorkRequest) => {
      requests.push(request);
      return answer(request);
    };
    return { requests, workers: { invoke, count: 1 } };
  };

  test("are read by workers, and checked once every one is noted", async () => {
    const { world, stretch, token, manifest } = await asked();
    const done = workers((request) => runCheckWork(world.resources(), request as never, Number.POSITIVE_INFINITY));
    expect(await stretch({ workers: done.workers })).toMatchObject({ files: 2, keys: 2 });
    expect(done.requests).toMatchObject(manifest.files.map((file) => ({ work: "check", checkpoint: 1, token, file })));
    const again = workers(async () => ({ outcome: "done" }));
    expect(await stretch({ workers: again.workers })).toMatchObject({ files: 2 });
    expect(again.requests).toEqual([]);
    await forgetChecks(world.stores.control, token);
    expect((await checkedParts(world.stores.control, token)).size).toBe(0);
    expect(await stretch({ workers: again.workers })).toBe("unfinished");
  });

  test("are left where a worker stops, and given out no more", async () => {
    const { stretch } = await asked();
    for (const [outcome, ends] of [
      ["superseded", "superseded"],
      ["image-gone", "unfinished"],
    ] as const) {
      const { requests, workers: some } = workers(async () => ({ outcome }));
      expect(await stretch({ workers: some })).toBe(ends);
      expect(requests).toHaveLength(1);
    }
  });

  test("are unfinished while one alone is noted", async () => {
    const { world, stretch, token, manifest } = await asked();
    await world.stores.control.update(
      { partition: checkPartition(token), sort: manifest.files[0]?.name ?? "" },
      { conditions: [], set: [[path("problem"), value(null)]] },
    );
    expect(await stretch({ workers: workers(async () => ({ outcome: "done" })).workers })).toBe("unfinished");
  });

  test("are not read at the deadline, nor for a request that is gone or was refused", async () => {
    const { world, work } = await asked();
    const check = (deadlineMs: number, more: object = {}) =>
      runCheckWork(world.resources(), { ...work, ...more }, deadlineMs);
    expect(await check(world.clock.ms)).toEqual({ outcome: "unfinished" });
    expect(await check(world.clock.ms + 1)).toEqual({ outcome: "done" });
    expect(await check(world.clock.ms + 1, { token: "other" })).toEqual({ outcome: "superseded" });
    await setControl(world, "requested", "refused", 1);
    expect(await check(world.clock.ms + 1)).toEqual({ outcome: "superseded" });
  });

  test("say nothing of a split of which nothing was ever read, whatever the source has lost of it", async () => {
    const { world } = await asked();
    await world.stores.control.update(splitKey("log", "u"), { conditions: [], set: [[path("attempt"), value(0)]] });
    world.split("u", "ab", { trimmedTo: 1 });
    await world.stores.control.update(CONTROL_KEY, { conditions: [], remove: [path("requested")] });
    await world.checkpoint();
    expect(await world.itemOf("u")).toMatchObject({ position: "" });
    expect(await world.ask({ checkpoint: 1 })).toMatchObject({ outcome: "requested" });
  });

  test("ask for a split that another restore has put back to its beginning, as far as it was read before", async () => {
    const world = await taken();
    await world.request();
    const process = world.start(({ step }) => (/^begin/.test(step) ? "dies before" : undefined));
    await settled(world.carryOn({ process }));
    expect(await world.itemOf("t")).toMatchObject({ position: "", attemptedTo: "", until: at(1) });
    (world.source.splits.get("t") as { trimmedTo: number }).trimmedTo = 1;
    await expect(world.ask({ checkpoint: 1, ...LATER })).rejects.toThrow(
      /cannot read split t again from its beginning/,
    );
  });
});
