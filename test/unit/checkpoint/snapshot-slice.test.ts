/** One slice of a snapshot: what is written of it, by whom, and when it stops. */
import { describe, expect, test } from "vitest";
import type { CheckpointRun } from "../../../shared/checkpoint/checkpoint-run.ts";
import { readWhileOpen } from "../../../shared/checkpoint/checkpoint-run.ts";
import { abortOpenCheckpoint } from "../../../shared/checkpoint/outcome.ts";
import { readProgress, type SliceProgress, saveProgress } from "../../../shared/checkpoint/slice-progress.ts";
import { ImageGone, type SliceWork, snapshotSlice } from "../../../shared/checkpoint/snapshot-slice.ts";
import { runSnapshotWork } from "../../../shared/checkpoint/snapshot-work.ts";
import type { CheckpointRecord, Control } from "../../../shared/control/control.ts";
import { ensureControl, readControl, startSnapshot, triggerCheckpoint } from "../../../shared/control/control-steps.ts";
import { ABSENT, type StateItem } from "../../../shared/state/state-item.ts";
import { overriding } from "../../support/overriding.ts";
import { CheckpointWorld, FUNCTION } from "./checkpoint-world.ts";

const PLACE = { checkpoint: 1, function: FUNCTION, slice: 0 };
const item = (key: string, more: Partial<StateItem> = {}): StateItem => ({
  ...{ key, generation: 1, v: `v-${key}`, epoch: 0, applied: {}, state: { value: key, version: 3 } },
  ...more,
});

type Stores = Parameters<CheckpointWorld["resources"]>[0];

/** Checkpoint 1 is open in one slice over these items, two a page. */
async function opened(items: readonly StateItem[]) {
  const world = new CheckpointWorld();
  for (const one of items) await world.state.write(FUNCTION, one, undefined);
  await ensureControl(world.control, "exactly-once");
  const checkpoint: CheckpointRecord = {
    ...{ n: 1, open: true, status: "TRIGGERED", token: "t", triggeredAtMs: world.nowMs, settled: false },
  };
  await triggerCheckpoint(world.control, { epochRead: 0, checkpoint });
  await startSnapshot(world.control, checkpoint, { slices: 1 });
  const run = (stores: Stores = {}, forMs = 600_000): CheckpointRun => ({
    ...{ resources: world.resources(stores), checkpoint, generation: 1, untilMs: world.nowMs + forMs, pollMs: 1_000 },
  });
  const take = ({ forMs, stores, ...more }: Partial<SliceWork> & { forMs?: number; stores?: Stores } = {}) =>
    snapshotSlice({
      ...{ run: run(stores, forMs), place: PLACE, slices: 1, mode: "exactly-once", covered: () => true },
      ...{ signal: new AbortController().signal, ...more },
    });
  const progress = () => readProgress(world.control, PLACE);
  return { world, run, take, progress, checkpoint };
}

const abort = async (world: CheckpointWorld) =>
  abortOpenCheckpoint(world.resources(), (await readControl(world.control)) as Control);

describe("a slice", () => {
  test("is written as its keys' images at the cut, with the tombstones that may go", async () => {
    const items = [
      item("a"),
      item("b", { epoch: 1, before: { value: "b before", version: 2 } }),
      item("c", { epoch: 1, before: ABSENT }),
      item("d", { state: ABSENT }),
      item("e", { state: ABSENT }),
    ];
    const { take, progress, world } = await opened(items);
    expect(await take({ covered: (name, { key }) => name === FUNCTION && key !== "e" })).toBe("done");
    const { parts, v, ...rest } = await progress();
    expect(rest).toStrictEqual({ tombstones: ["d"], moreTombstones: false, done: true });
    expect(parts).toMatchObject([{ function: FUNCTION, items: 2 }]);
    expect(v).toEqual(expect.any(String));
    expect(await world.objects()).toEqual([`chk-0000000001/${parts[0]?.name}`]);
  });

  test("is in at-least-once mode written as it stands", async () => {
    const { take, progress } = await opened([item("c", { epoch: 1, before: ABSENT }), item("d", { epoch: 1 })]);
    expect(await take({ mode: "at-least-once" })).toBe("done");
    expect((await progress()).parts).toMatchObject([{ items: 2 }]);
  });

  test("without a key that has a state has no part", async () => {
    const { take, progress, world } = await opened(["a", "b", "c"].map((key) => item(key, { state: ABSENT })));
    expect(await take()).toBe("done");
    expect(await progress()).toMatchObject({ parts: [], tombstones: ["a", "b", "c"], done: true });
    expect(await world.objects()).toEqual([]);
  });

  test("has one part, also where its first pages hold nothing", async () => {
    const gone = ["a", "b", "c", "d"].map((key) => item(key, { state: ABSENT }));
    const { take, progress } = await opened([
      ...gone,
      item("e"),
      item("f"),
      ...["g", "h"].map((key) => item(key, { state: ABSENT })),
      item("i"),
    ]);
    expect(await take()).toBe("done");
    expect((await progress()).parts).toMatchObject([{ items: 3 }]);
  });

  test("of which an image is gone fails for that", async () => {
    const { take } = await opened([item("a", { epoch: 1 })]);
    await expect(take()).rejects.toThrow(ImageGone);
  });

  test("notes as many tombstones as an item has room for, those of earlier parts included", async () => {
    const key = (letter: string, bytes: number) => item(letter.repeat(bytes), { state: ABSENT });
    const noted = async ({ take, progress }: Awaited<ReturnType<typeof opened>>) => {
      await take();
      const { tombstones, moreTombstones } = await progress();
      return [moreTombstones, ...tombstones.map(({ length }) => length)];
    };
    expect(await noted(await opened([key("a", 20_000), key("b", 30_000)]))).toEqual([false, 20_000, 30_000]);
    const over = [key("a", 20_000), key("b", 30_001), key("c", 1)];
    expect(await noted(await opened(over))).toEqual([true, 20_000]);

    const begun = await opened([key("a", 2)]);
    const next = { parts: [], tombstones: ["x".repeat(49_999)], moreTombstones: false, done: false, v: "w" };
    await saveProgress(begun.world.control, PLACE, { read: await begun.progress(), next });
    expect(await noted(begun)).toEqual([true, 49_999]);
  });
});

describe("the time of a slice", () => {
  test("ends its part after a page, which is saved, and the next invocation goes on behind it", async () => {
    const { world, take, progress } = await opened(["a", "b", "c", "d", "e"].map((key) => item(key)));
    const cursors: (string | undefined)[] = [];
    let closed = 0;
    const scan: typeof world.state.scan = async function* (scope, slice, cursor) {
      cursors.push(cursor);
      try {
        for await (const page of world.state.scan(scope, slice, cursor)) {
          world.nowMs += 10;
          yield page;
        }
      } finally {
        closed += 1;
      }
    };
    const stores = { state: overriding(world.state, "scan", scan) };
    expect(await take({ forMs: 20, stores })).toBe("unfinished");
    expect(await progress()).toMatchObject({ parts: [{ items: 4 }], cursor: "3", done: false });
    expect(closed).toBe(1);
    expect(await take({ stores })).toBe("done");
    expect(await progress()).toMatchObject({ parts: [{ items: 4 }, { items: 1 }], done: true });
    expect(await progress()).not.toHaveProperty("cursor");
    expect(cursors).toEqual([undefined, "3"]);
    expect(await take({ stores })).toBe("done");
    expect(cursors).toHaveLength(2);
  });

  test("is over at once where none is left, or another slice failed", async () => {
    const { take, world } = await opened([item("a")]);
    expect(await take({ forMs: 0 })).toBe("unfinished");
    expect(await take({ signal: AbortSignal.abort() })).toBe("unfinished");
    expect(await world.objects()).toEqual([]);
  });

  test("is over where the checkpoint is", async () => {
    const { take, world } = await opened([item("a")]);
    await abort(world);
    expect(await take()).toBe("superseded");
    expect(await readProgress(world.control, PLACE)).toMatchObject({ done: false });
  });
});

describe("a slice that another writer is on", () => {
  const theirs = (v: string, done = false) => ({ parts: [], tombstones: [], moreTombstones: false, done, v });

  /** Another writer saves just before our own first save; `atPolls` says what happens at each of our polls. */
  async function followed(
    atPolls: (world: CheckpointWorld, poll: number, read: SliceProgress) => Promise<unknown>,
    forMs?: number,
  ) {
    const { world, take, progress } = await opened([item("a")]);
    let first = true;
    const update: typeof world.control.update = async (key, write) => {
      if (first) {
        first = false;
        await saveProgress(world.control, PLACE, { read: await progress(), next: theirs("w0") });
      }
      return world.control.update(key, write);
    };
    const begunAtMs = world.nowMs;
    const get: typeof world.control.get = async (key) => {
      const poll = (world.nowMs - begunAtMs) / 1_000;
      if (!first && poll > 0) await atPolls(world, poll, await progress());
      return world.control.get(key);
    };
    const control = overriding(overriding(world.control, "update", update), "get", get);
    const outcome = await take({ stores: { control }, ...(forMs === undefined ? {} : { forMs }) });
    return { outcome, seconds: (world.nowMs - begunAtMs) / 1_000, progress: await progress() };
  }

  test("is left to that one as long as it gets on, and done when that one is", async () => {
    const ended = await followed(async (world, poll, read) => {
      // Every 50 seconds.
      if (poll % 50 === 0 && read.v !== `w${poll}`)
        await saveProgress(world.control, PLACE, { read, next: theirs(`w${poll}`, poll === 150) });
    });
    expect(ended).toMatchObject({ outcome: "done", seconds: 150, progress: { v: "w150", parts: [] } });
  });

  test("is taken over once that one has stood still for a minute", async () => {
    const ended = await followed(async () => {});
    expect(ended).toMatchObject({ outcome: "done", seconds: 60, progress: { done: true, parts: [{ items: 1 }] } });
  });

  test("is left where the checkpoint has its outcome meanwhile", async () => {
    const ended = await followed(async (world, poll) => poll === 3 && abort(world));
    expect(ended).toMatchObject({ outcome: "superseded", seconds: 3, progress: { v: "w0" } });
  });

  test("is left where the next poll would come at the deadline", async () => {
    expect(await followed(async () => {}, 5_000)).toMatchObject({ outcome: "unfinished", seconds: 4 });
    expect(await followed(async () => {}, 5_001)).toMatchObject({ outcome: "unfinished", seconds: 5 });
  });
});

describe("a checkpoint counts as open", () => {
  test("only while control has this very one, in its epoch and generation", async () => {
    const { run, checkpoint, world } = await opened([]);
    expect(await readWhileOpen(run())).toMatchObject({ epoch: 1 });
    const control = (await readControl(world.control)) as Control;
    for (const change of [
      { checkpoint: { ...checkpoint, open: false } },
      { checkpoint: { ...checkpoint, n: 2 } },
      { checkpoint: { ...checkpoint, token: "other" } },
      { checkpoint: undefined },
      { epoch: 2 },
      { gen: 2 },
    ]) {
      const changed = { ...control, ...change };
      const get = async () => changed as never;
      const stores = { control: overriding(world.control, "get", get) };
      expect(await readWhileOpen(run(stores)), JSON.stringify(change)).toBeUndefined();
    }
    const empty = { control: overriding(world.control, "get", async () => undefined) };
    expect(await readWhileOpen(run(empty))).toBeUndefined();
  });
});

describe("a snapshot worker", () => {
  const WORK = { work: "snapshot", token: "t", ...PLACE } as const;

  test("does its slice of the open checkpoint, and of no other", async () => {
    const { world, progress } = await opened([item("a")]);
    const late = world.nowMs + 600_000;
    for (const other of [{ checkpoint: 2 }, { token: "other" }]) {
      expect(await runSnapshotWork(world.resources(), { ...WORK, ...other }, late)).toEqual({ outcome: "superseded" });
    }
    expect(await runSnapshotWork(new CheckpointWorld().resources(), WORK, late)).toEqual({ outcome: "superseded" });
    expect(await runSnapshotWork(world.resources(), WORK, late)).toEqual({ outcome: "done" });
    expect(await progress()).toMatchObject({ parts: [{ items: 1 }], done: true });
  });

  test("does nothing before the cut is known, or after the outcome", async () => {
    const world = new CheckpointWorld();
    await ensureControl(world.control, "exactly-once");
    const checkpoint = {
      n: 1,
      open: true,
      status: "TRIGGERED",
      token: "t",
      triggeredAtMs: world.nowMs,
      settled: false,
    } as const;
    await triggerCheckpoint(world.control, { epochRead: 0, checkpoint });
    expect(await runSnapshotWork(world.resources(), WORK, world.nowMs + 1_000)).toEqual({ outcome: "superseded" });
    const ended = await opened([item("a")]);
    await abort(ended.world);
    expect(await runSnapshotWork(ended.world.resources(), WORK, world.nowMs + 1_000)).toEqual({
      outcome: "superseded",
    });
  });

  test("stops at its deadline, and at the checkpoint's timeout", async () => {
    const { world } = await opened([item("a")]);
    expect(await runSnapshotWork(world.resources(), WORK, world.nowMs)).toEqual({ outcome: "unfinished" });
    world.nowMs += 600_000;
    expect(await runSnapshotWork(world.resources(), WORK, world.nowMs + 1_000)).toEqual({ outcome: "unfinished" });
  });

  test("says that an image is gone, and fails of anything else", async () => {
    const { world } = await opened([item("a", { epoch: 1 })]);
    const late = world.nowMs + 600_000;
    const answer = await runSnapshotWork(world.resources(), WORK, late);
    expect(answer).toEqual({ outcome: "image-gone", reason: expect.stringContaining('The image of key "a"') });
    const scan = () => {
      throw new Error("out of reach");
    };
    const state = overriding(world.state, "scan", scan);
    await expect(runSnapshotWork(world.resources({ state }), WORK, late)).rejects.toThrow("out of reach");
  });
});
