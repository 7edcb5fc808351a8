/** What a replay answers, where it ends, how it waits, and what it asks the source for. */
import { describe, expect, test } from "vitest";
import { REPLAY_BATCH_RECORDS, type ReplayRequest, replaySplit } from "../../../shared/batch/replay-split.ts";
import { flipSplit, setReplaying } from "../../../shared/control/split-steps.ts";
import type { ReadPage, Source } from "../../../shared/source/source.ts";
import { at, HOUR_MS, numberAt, TestWorld } from "../../support/test-world.ts";

const GENERATION = 2;
const PLACE = { function: "log", split: "s" };

class ReplayWorld extends TestWorld {
  readonly asked: Parameters<Source["reader"]["read"]>[0][] = [];
  pages = 0;
  lookedForMore = 0;
  /** Runs before the source gives a page. */
  beforePage: (number: number) => Promise<void> | void = () => {};

  replay(request: Partial<ReplayRequest> = {}) {
    const engine = this.engine();
    const { reader } = engine.source;
    const read = (asked: Parameters<typeof reader.read>[0]) => this.#told(asked, reader.read(asked));
    const holdsAny: typeof reader.holdsAny = (...given) => {
      this.lookedForMore += 1;
      return reader.holdsAny(...given);
    };
    const source = { ...engine.source, reader: { ...reader, read, holdsAny } };
    return replaySplit(
      { ...engine, source },
      { split: "s", generation: GENERATION, deadlineMs: this.clock.ms + HOUR_MS, batchRecords: 2, ...request },
    );
  }

  async *#told(
    asked: Parameters<Source["reader"]["read"]>[0],
    pages: AsyncIterable<ReadPage>,
  ): AsyncGenerator<ReadPage> {
    this.asked.push(asked);
    for await (const page of pages) {
      this.pages += 1;
      await this.beforePage(this.pages);
      yield page;
    }
  }

  async position(): Promise<number> {
    return numberAt((await this.itemOf("s"))?.position ?? "");
  }
}

/** Ten records, six of them folded before a restore to record 1: the replay goes from 2 to 6. */
async function flipped({ letters = "ababababab", tried = 6, to = 1, triesMax = 3 } = {}): Promise<ReplayWorld> {
  const world = new ReplayWorld({ triesMax });
  world.split("s", letters);
  await world.deliverUntilDone("s", 1, tried);
  const { control } = world.stores;
  await setReplaying(control, PLACE, GENERATION);
  await flipSplit(control, PLACE, {
    ...{ target: GENERATION, position: at(to), freshAt: 0, holes: { inline: [], items: [] }, ended: false },
    ...{ mode: "exactly-once", epoch: 0 },
  });
  world.events.length = 0;
  return world;
}

describe("a replay", () => {
  test("folds up to where the split had come, no further, and says how much that was", async () => {
    const world = await flipped();
    expect(await world.replay()).toEqual({ position: at(6), done: true, replayedRecords: 5 });
    expect(await world.position()).toBe(6);
    expect(world.lookedForMore).toBe(0);
    expect(world.ofType("batch").map(({ records, replay }) => [records, replay])).toEqual([
      [2, true],
      [2, true],
      [1, true],
    ]);
  });

  test("asks for what comes after the position, 500 records a page, without waiting for more", async () => {
    const world = await flipped();
    await world.replay({ batchRecords: REPLAY_BATCH_RECORDS });
    expect(world.asked).toEqual([{ split: "s", after: at(1), pageRecords: 500, follow: false }]);
  });

  test("reads no page beyond its end", async () => {
    const world = await flipped();
    await world.replay();
    expect(world.pages).toBe(3);
    const even = await flipped({ tried: 5 });
    await even.replay();
    expect(even.pages).toBe(2);
  });

  test("of records that the source no longer has all of ends at the page that goes past its end", async () => {
    const world = await flipped({ tried: 4 });
    world.beforePage = () => {
      world.beforePage = () => {};
      const split = world.source.splits.get("s");
      if (split !== undefined) split.trimmedTo = 4;
    };
    expect(await world.replay()).toEqual({ position: at(4), done: true, replayedRecords: 2 });
    // Records 2 and 3; then 5 and 6, which are past the end; then again, from 3 on.
    expect(world.pages).toBe(3);
    expect(world.ofType("hole")).toMatchObject([{ hole: { cause: "dropped", after: at(3), to: at(4) } }]);
  });

  test("of records that are all gone gives them up, and says so", async () => {
    const world = await flipped();
    (world.source.splits.get("s") as { trimmedTo: number }).trimmedTo = 8;
    expect(await world.replay()).toEqual({ position: at(6), done: true, replayedRecords: 0 });
    expect(world.ofType("hole")).toMatchObject([{ hole: { cause: "dropped", after: at(1), to: at(6) } }]);
    expect(world.clock.slept).toEqual([]);
  });

  test("says of no hole that another replay noted", async () => {
    const world = await flipped();
    (world.source.splits.get("s") as { trimmedTo: number }).trimmedTo = 8;
    world.beforePage = async () => {
      world.beforePage = () => {};
      await world.replay();
      world.events.length = 0;
    };
    expect(await world.replay()).toMatchObject({ position: at(6), done: true });
    expect(world.ofType("hole")).toEqual([]);
  });
});

describe("a replay of a split that has nothing to replay", () => {
  test("is done where the split runs, or is of another generation", async () => {
    const world = await flipped();
    expect(await world.replay({ generation: 3 })).toEqual({ position: at(1), done: true, replayedRecords: 0 });
    const running = new ReplayWorld();
    running.split("s", "ab");
    await running.deliver("s", 1, 2);
    expect(await running.replay({ generation: 1 })).toEqual({ position: at(2), done: true, replayedRecords: 0 });
    expect([...world.asked, ...running.asked]).toEqual([]);
  });

  test("is done where the split is unknown or unborn", async () => {
    const world = new ReplayWorld();
    world.split("s", "ab");
    const nothing = { position: "", done: true, replayedRecords: 0 };
    expect(await world.replay()).toEqual(nothing);
    const process = world.start(({ step }) => (step === "birth s" ? "dies before" : undefined));
    await expect(world.deliver("s", 1, 1, { process })).rejects.toThrow("died");
    expect(await world.replay()).toEqual(nothing);
  });

  test("is done where the split was born without anything behind it", async () => {
    const world = new ReplayWorld();
    world.split("s", "ab");
    await world.deliver("s", 1, 1);
    await world.checkpoint();
    world.split("t", "ab");
    await world.request();
    await expect(world.deliver("t", 1, 1)).rejects.toThrow("a restore is under way");
    const { gen } = (await world.itemOf("t")) as { gen: number };
    expect(await world.replay({ split: "t", generation: gen })).toEqual({
      position: "",
      done: true,
      replayedRecords: 0,
    });
    expect(world.asked).toEqual([]);
  });
});

describe("the deadline of a replay", () => {
  test("is kept before it reads anything", async () => {
    const world = await flipped();
    const answer = { position: at(1), done: false, replayedRecords: 0 };
    expect(await world.replay({ deadlineMs: world.clock.ms })).toEqual(answer);
    expect(world.asked).toEqual([]);
  });

  test("is kept after each batch", async () => {
    const world = await flipped();
    world.beforePage = () => {
      world.clock.ms += 10;
    };
    const answer = await world.replay({ deadlineMs: world.clock.ms + 20 });
    expect(answer).toEqual({ position: at(5), done: false, replayedRecords: 4 });
    expect(world.pages).toBe(2);
  });
});

describe("a replay that does not get on", () => {
  test("waits longer from try to try, and afresh after it got on", async () => {
    const world = await flipped({ triesMax: 4 });
    // No batch has another record that is taken, until record 4 is tried beside record 5.
    world.behaviour = { poison: ["s2", "s3", "s4"] };
    expect(await world.replay()).toMatchObject({ position: at(6), done: true });
    // Four failures of record 2, at the last of which it is given up and record 3 tried; then three more of that.
    const longest = [100, 200, 400, 100, 200];
    expect(world.clock.slept).toHaveLength(longest.length);
    for (const [index, ms] of world.clock.slept.entries()) {
      expect(ms).toBeGreaterThanOrEqual((longest[index] ?? 0) / 2);
      expect(ms).toBeLessThanOrEqual(longest[index] ?? 0);
    }
  });

  test("waits ten seconds at the most", async () => {
    const world = await flipped({ tried: 2, triesMax: 15 });
    world.behaviour = { poison: ["s2", "s3"] };
    await world.replay({ deadlineMs: Number.POSITIVE_INFINITY });
    const last = world.clock.slept.at(-1) ?? 0;
    expect(last).toBeGreaterThanOrEqual(5_000);
    expect(last).toBeLessThanOrEqual(10_000);
  });
});

describe("a replay that is held", () => {
  test("at a position stops there, also past the split's own end", async () => {
    const world = await flipped();
    const held = { done: false, stopped: true };
    expect(await world.replay({ stop: { position: at(3) } })).toEqual({ position: at(3), ...held, replayedRecords: 2 });
    expect(await world.replay({ stop: { position: at(8) } })).toEqual({ position: at(8), ...held, replayedRecords: 5 });
    expect(await world.replay({ stop: { position: at(8) } })).toEqual({ position: at(8), ...held, replayedRecords: 0 });
  });

  test("at a time stops before the first record that arrived later", async () => {
    const world = await flipped();
    // Record n arrives at n.
    const answer = await world.replay({ stop: { arrivedByMs: 4 } });
    expect(answer).toEqual({ position: at(4), done: false, stopped: true, replayedRecords: 3 });
    expect(await world.position()).toBe(4);
    expect(world.pages).toBe(2);
  });

  test("has not stopped where its deadline came first, or a record failed", async () => {
    const world = await flipped();
    world.beforePage = () => {
      world.clock.ms += 10;
    };
    const stop = { arrivedByMs: 1_000 };
    const answer = await world.replay({ stop, deadlineMs: world.clock.ms + 10 });
    expect(answer).toEqual({ position: at(3), done: false, replayedRecords: 2 });
    world.beforePage = () => {};
    world.behaviour = { poison: ["s4"] };
    expect(await world.replay({ stop })).toMatchObject({ position: at(10), stopped: true });
  });

  test("at a time that the source has not come to stops at its last record", async () => {
    const world = await flipped();
    const answer = await world.replay({ stop: { arrivedByMs: 1_000 } });
    expect(answer).toEqual({ position: at(10), done: false, stopped: true, replayedRecords: 9 });
  });
});
