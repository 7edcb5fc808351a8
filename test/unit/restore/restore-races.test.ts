/** Restores against each other, against handlers and against the source (protocol §8). */
import { describe, expect, it } from "vitest";
import { processBatch } from "../../../shared/batch/process-batch.ts";
import { ensureControl, readControl } from "../../../shared/control/control-steps.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { birth, readSplit, runSplit } from "../../../shared/control/split-steps.ts";
import { carryOnRestore } from "../../../shared/restore/carry-on.ts";
import { requestRestore } from "../../../shared/restore/restore.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { interleaved } from "../../support/failing-stores.ts";
import { at } from "../../support/list-source.ts";
import { logFunction, RestoreWorld, type Stores } from "../../support/restore-world.ts";

const FOREVER = Number.POSITIVE_INFINITY;

const carryOn = (world: RestoreWorld, stores: Partial<Stores> = {}) =>
  carryOnRestore(world.resources(stores), { deadlineMs: FOREVER, replay: world.replayer(stores) });

/** Checkpoints 1 (s4, tt2) and 2 (s8, tt5), and then some. */
async function twoCheckpoints(): Promise<RestoreWorld> {
  const world = new RestoreWorld();
  await world.deliver("s", 1, 4);
  await world.deliver("tt", 1, 2);
  await world.checkpoint();
  await world.deliver("s", 5, 8);
  await world.deliver("tt", 3, 5);
  await world.checkpoint();
  await world.deliver("s", 9, 10);
  return world;
}

async function emptyAccountOf(old: RestoreWorld): Promise<RestoreWorld> {
  const stores = { storage: old.stores.storage, control: new HeapControlStore(), state: new HeapStateBackend() };
  return new RestoreWorld({ stores, source: old.source });
}

async function goOn(world: RestoreWorld): Promise<void> {
  for (const split of world.source.splits.keys()) await world.deliver(split, 1, 12);
  await world.expectPromise();
}

type Call = readonly [name: string, given: readonly unknown[]];
const isUpdateOf = ([name, given]: Call, attribute: string): boolean =>
  name === "update" &&
  ((given[1] as { set?: readonly (readonly [readonly string[], unknown])[] }).set ?? []).some(
    ([path]) => path[0] === attribute,
  );

describe("two restores at once", () => {
  it("of the same checkpoint are one: both carry it on, and it ends once", async () => {
    const world = await twoCheckpoints();
    expect(await requestRestore(world.resources())).toMatchObject({ outcome: "started", generation: 3 - 1 });
    expect(await requestRestore(world.resources())).toMatchObject({
      outcome: "under-way",
      checkpoint: 2,
      generation: 2,
    });
    const outcomes = await Promise.all([carryOn(world), carryOn(world), carryOn(world)]);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(["finished", "finished", "finished"]);
    await world.expectRunning(2);
    await goOn(world);
  });

  it.each(["load", "flip control", "flip a split", "finish"] as const)(
    "of different checkpoints leave the later one live when the slower one stalls at its %s",
    async (stalledAt) => {
      const world = await twoCheckpoints();
      await requestRestore(world.resources(), { checkpoint: 2 });
      const later = async () => {
        expect(await requestRestore(world.resources(), { checkpoint: 1 })).toMatchObject({
          outcome: "started",
          generation: 3,
        });
        expect(await carryOn(world)).toMatchObject({ outcome: "finished", checkpoint: 1 });
      };
      const { control, state } = world.stores;
      const marks = { "flip control": "sweep", "flip a split": "until", finish: "phase" } as const;
      const stalled: Partial<Stores> =
        stalledAt === "load"
          ? { state: interleaved(state, (name) => name === "write", later) }
          : {
              control: interleaved(
                control,
                (...call) =>
                  isUpdateOf(call, marks[stalledAt]) &&
                  (stalledAt !== "finish" || (call[1][0] as { partition: string }).partition === "CONTROL"),
                later,
              ),
            };
      expect(await carryOn(world, stalled)).toMatchObject({ outcome: "superseded", checkpoint: 2 });
      await world.expectRunning(3);
      expect((await readControl(control))?.restoredFrom).toEqual({ generation: 1, checkpoint: 1 });
      await goOn(world);
    },
  );

  it("refuse a record that arrives late, after another restore was recorded and done", async () => {
    const world = await twoCheckpoints();
    const other = async () => {
      await requestRestore(world.resources(), { checkpoint: 1 });
      await carryOn(world);
    };
    const control = interleaved(world.stores.control, (...call) => isUpdateOf(call, "maxGen"), other);
    // Met again, it is recorded as the later restore that it is, in a generation of its own.
    expect(await requestRestore(world.resources({ control }), { checkpoint: 2 })).toMatchObject({ generation: 3 });
    await carryOn(world);
    await world.expectRunning(3);
    await goOn(world);
  });
});

describe("a handler beside a restore", () => {
  it("cannot begin while the restore is under way, and a zombie's writes and End go nowhere", async () => {
    const world = await twoCheckpoints();
    const zombieWrites = async () => {
      await requestRestore(world.resources(), { checkpoint: 1 });
      const replay = world.replayer();
      let refused = 0;
      await carryOnRestore(world.resources(), {
        deadlineMs: FOREVER,
        replay: async (request) => {
          await expect(world.deliver(request.split, 11, 11)).rejects.toMatchObject({ kind: "retry" });
          refused += 1;
          return replay(request);
        },
      });
      expect(refused).toBeGreaterThan(2);
    };
    // It has begun in generation 1, and stalls before its first write.
    const state = interleaved(world.stores.state, (name) => name === "write", zombieWrites);
    const zombie = processBatch(
      { resources: world.resources({ state }), definition: logFunction("log"), source: world.source },
      { split: "s", records: world.source.records("s", 11, 12), role: { phase: "RUNNING" }, deadlineMs: FOREVER },
    );
    await expect(zombie).rejects.toMatchObject({ kind: "retry" });
    await world.expectRunning(2);
    expect((await world.splitOf("s")).position).toBe(at(12));
    await goOn(world);
  });

  it("births a split of the checkpoint only into the generation before, or its events are folded twice", async () => {
    const world = await emptyAccountOf(await twoCheckpoints());
    await requestRestore(world.resources(), { checkpoint: 2 });
    // The mapping's first event comes right after control's flip; the split's item must be there by then.
    let metByHandler: unknown;
    const afterFlip = new Proxy(world.stores.control, {
      get(target, name) {
        const member = Reflect.get(target, name) as (...given: unknown[]) => unknown;
        if (name !== "update") return member.bind(target);
        return async (...given: unknown[]) => {
          const answer = await Reflect.apply(member, target, given);
          if (isUpdateOf(["update", given], "sweep")) {
            metByHandler = await readSplit(world.stores.control, { function: "log", split: "s" });
            await expect(world.deliver("s", 1, 3)).rejects.toMatchObject({ kind: "retry" });
          }
          return answer;
        };
      },
    });
    expect(await carryOn(world, { control: afterFlip })).toMatchObject({ outcome: "finished" });
    expect(metByHandler).toMatchObject({ phase: "REPLAYING", gen: 1 });
    expect((await world.splitOf("s")).position).toBe(at(8));
    await world.expectPromise();
    await goOn(world);
  });

  it("births a split as the restore ends: it is met, or its next Begin runs it", async () => {
    const world = await twoCheckpoints();
    world.addSplit("uuu", 12);
    await requestRestore(world.resources());
    const control = interleaved(
      world.stores.control,
      (...call) => isUpdateOf(call, "phase") && (call[1][0] as { partition: string }).partition === "CONTROL",
      () => birth(world.stores.control, { function: "log", split: "uuu" }, { mode: "exactly-once", freshAtMs: 0 }),
    );
    await carryOn(world, { control });
    expect(await world.splitOf("uuu")).toMatchObject({ phase: "REPLAYING", gen: 2 });
    await goOn(world);
    await world.expectRunning(2);
  });

  it("left a split unborn: the restore births it, and it starts at its beginning", async () => {
    const world = await twoCheckpoints();
    world.addSplit("uuu", 12);
    await world.stores.control.update(
      { partition: "SPLIT#log", sort: "uuu" },
      { conditions: [], set: [[["attempt"], { value: 0 }]] },
    );
    await requestRestore(world.resources());
    await carryOn(world);
    expect(await world.splitOf("uuu")).toMatchObject({ phase: "RUNNING", gen: 2, position: "" });
    await goOn(world);
  });
});

describe("the replay", () => {
  it("runs a split only after its parents have run, and the redriven letters last", async () => {
    const world = new RestoreWorld({ splits: { s: 12 } });
    world.addSplit("tt", 12, ["s"]);
    world.addSplit("redrive", 12);
    for (const split of ["s", "tt", "redrive"]) await world.deliver(split, 1, 2);
    await world.checkpoint();
    for (const split of ["redrive", "tt", "s"]) await world.deliver(split, 3, 9);
    await requestRestore(world.resources());
    const replayed: string[] = [];
    const replay = world.replayer();
    await carryOnRestore(world.resources(), {
      deadlineMs: FOREVER,
      replay: async (request) => {
        if (replayed.at(-1) !== request.split) replayed.push(request.split);
        if (request.split === "tt") expect((await world.splitOf("s")).phase).toBe("RUNNING");
        return replay(request);
      },
    });
    expect(replayed).toEqual(["s", "tt", "redrive"]);
    await world.expectPromise();
  });

  it("asks again after failures with pauses between, and gives up in the end without losing anything", async () => {
    const world = await twoCheckpoints();
    await requestRestore(world.resources());
    let failures = 0;
    const before = world.clock.now();
    const broken = carryOnRestore(world.resources(), {
      deadlineMs: FOREVER,
      replay: () => {
        failures += 1;
        return Promise.reject(new Error("out of reach"));
      },
    });
    await expect(broken).rejects.toMatchObject({ kind: "retry", message: expect.stringContaining("out of reach") });
    expect(failures).toBe(8);
    expect(world.clock.now()).toBeGreaterThan(before);
    expect(await carryOn(world)).toMatchObject({ outcome: "finished" });
    await goOn(world);
  });

  it("says which split does not get on, and where", async () => {
    const world = await twoCheckpoints();
    await requestRestore(world.resources());
    const stuck = carryOnRestore(world.resources(), {
      deadlineMs: FOREVER,
      replay: async ({ split }) => ({ position: (await world.splitOf(split)).position, done: false }),
    });
    await expect(stuck).rejects.toMatchObject({
      kind: "fix-function",
      message: expect.stringContaining("split s of function log"),
    });
  });

  it("never runs a split that has not reached until", async () => {
    const world = await twoCheckpoints();
    await requestRestore(world.resources());
    const stop = carryOnRestore(world.resources(), {
      deadlineMs: FOREVER,
      replay: async ({ split, generation }) => {
        expect(await runSplit(world.stores.control, { function: "log", split }, generation)).toBeUndefined();
        return world.replayer()({ function: "log", split, generation });
      },
    });
    expect(await stop).toMatchObject({ outcome: "finished" });
  });
});

it("a control that a handler made in an empty account before the restore does not hide what storage knows", async () => {
  const old = await twoCheckpoints();
  await requestRestore(old.resources(), { checkpoint: 1 });
  await carryOn(old);
  const world = await emptyAccountOf(old);
  await ensureControl(world.stores.control, "exactly-once");
  await world.deliver("s", 1, 3);
  expect(await requestRestore(world.resources())).toMatchObject({ checkpoint: 1, generation: 3 });
  await carryOn(world);
  await world.expectRunning(3);
  await goOn(world);
});
