/** Sources that forget by age: what expired is written down as a hole, what did not is none. */
import { describe, expect, it } from "vitest";
import { path } from "../../shared/control/conditional-write.ts";
import { splitKey } from "../../shared/control/item-keys.ts";
import { BEGINNING } from "../../shared/source/position.ts";
import { settled } from "../support/every-call.ts";
import { expectPromise, readManifestOf } from "../support/oracle.ts";
import { at, HOUR_MS, MINUTE_MS, START_MS, TestWorld } from "../support/test-world.ts";

const RETENTION_MS = 24 * HOUR_MS;

/** One record an hour, kept for a day; the clock stands `hours` after the first. */
function hourly(letters: string): TestWorld {
  const world = new TestWorld();
  world.source.retention = RETENTION_MS;
  world.split("s", letters, { arrivalTimeMs: (number) => START_MS + number * HOUR_MS });
  return world;
}

function moveTo(world: TestWorld, hours: number): void {
  world.clock.ms = START_MS + hours * HOUR_MS + MINUTE_MS;
  const split = world.source.splits.get("s");
  if (split !== undefined) split.trimmedTo = Math.max(0, hours - 24);
}

/** Writes its keys and dies before its End. */
async function dieIn(world: TestWorld, from: number, to: number): Promise<void> {
  const dying = world.start((call) => (call.step === "end s" ? "dies before" : undefined));
  await settled(world.deliver("s", from, to, { process: dying }));
}

describe("a tried batch expires", () => {
  it("in part: the hole is noted up to what is left, and B comes after it", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    await dieIn(world, 3, 6);
    moveTo(world, 28);
    await world.deliverUntilDone("s", 5, 6);
    const hole = { cause: "expired", after: at(2), before: at(5) };
    expect((await world.itemOf("s"))?.holes).toEqual([hole]);
    expect(world.ofType("hole")).toMatchObject([{ hole }]);
    const n = await world.checkpoint();
    expect((await readManifestOf(world, n)).functions[0]?.splits[0]?.holes).toEqual([hole]);
    await expectPromise(world);
  });

  it("whole: the hole reaches to the next record that is there", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    await dieIn(world, 3, 4);
    moveTo(world, 30);
    await world.deliverUntilDone("s", 7, 8);
    expect(await world.itemOf("s")).toMatchObject({
      position: at(8),
      holes: [{ cause: "expired", after: at(2), before: at(7) }],
    });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("whole while a checkpoint waits: the cut where the batch had ended has its part of the hole", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    await dieIn(world, 3, 4);
    moveTo(world, 30);
    const asking = world.start((call) => (call.step === "ask s" ? "dies after" : undefined));
    await settled(world.coordinate({ request: {}, process: asking }));
    await world.deliver("s", 7, 8);
    expect(await world.coordinate()).toMatchObject({ outcome: "completed", checkpoint: 1 });
    expect((await readManifestOf(world, 1)).functions[0]?.splits[0]).toMatchObject({
      position: at(4),
      holes: [{ cause: "expired", after: at(2), to: at(4) }],
    });
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: at(2), before: at(7) }]);
    await expectPromise(world);
  });

  it("with nothing after it: the coordinator notes it, and checkpoints go on", async () => {
    const world = hourly("abcab");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    await dieIn(world, 3, 5);
    moveTo(world, 40);
    const n = await world.checkpoint();
    expect((await readManifestOf(world, n)).functions[0]?.splits[0]).toMatchObject({
      position: at(5),
      holes: [{ cause: "dropped", after: at(2), to: at(5) }],
    });
    await expectPromise(world);
  });

  it("that was never tried, unseen: a hole of unknown size with an alarm", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    moveTo(world, 30);
    await world.deliver("s", 7, 9);
    const hole = { cause: "expired", after: at(2), before: at(7) };
    expect((await world.itemOf("s"))?.holes).toEqual([hole]);
    expect(world.ofType("hole")).toHaveLength(1);
    await world.checkpoint();
    await expectPromise(world);
  });
});

describe("records come and expire unseen, and then the coordinator looks", () => {
  /** Records 3 to 5 came after the last batch and are gone; nothing follows them yet. */
  async function looked(more: { readonly ended?: boolean } = {}): Promise<TestWorld> {
    const world = hourly("abcab");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    moveTo(world, 40);
    Object.assign(world.source.splits.get("s") ?? {}, more);
    await world.checkpoint();
    return world;
  }

  it("finding nothing: the next batch notes the hole all the same", async () => {
    const world = await looked();
    world.split("s", "c");
    Object.assign(world.source.splits.get("s") ?? {}, { arrivalTimeMs: () => world.clock.ms, trimmedTo: 5 });
    await world.deliver("s", 6, 6);
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: at(2), before: at(6) }]);
    expect(world.ofType("hole")).toHaveLength(1);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("finding nothing by the time that it is answered, though what came was there when it was asked for: the same", async () => {
    const world = hourly("abcab");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    moveTo(world, 20);
    const { look } = world.source.reader;
    const late: typeof look = (...asked) => {
      moveTo(world, 40);
      return look(...asked);
    };
    Object.assign(world.source.reader, { look: late });
    // It outlasts its time.
    await world.coordinate({ request: {} });
    Object.assign(world.source.reader, { look });
    world.split("s", "c");
    Object.assign(world.source.splits.get("s") ?? {}, { arrivalTimeMs: () => world.clock.ms, trimmedTo: 5 });
    await world.deliver("s", 6, 6);
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: at(2), before: at(6) }]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("finding the split's end: the look notes the hole, which reaches to the end", async () => {
    const world = await looked({ ended: true });
    const hole = { cause: "expired", after: at(2) };
    expect(await world.itemOf("s")).toMatchObject({ position: at(2), ended: true, holes: [hole] });
    expect(world.ofType("hole")).toMatchObject([{ hole }]);
    // It lies after the cut, so it is none of the checkpoint's.
    expect((await readManifestOf(world, 1)).functions[0]?.splits[0]).toMatchObject({ position: at(2), holes: [] });
    await world.checkpoint();
    expect(world.ofType("hole")).toHaveLength(1);
  });
});

describe("records that were there before their split was born expire unread", () => {
  it("after its first batch: the next one notes the hole", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 20);
    await world.deliver("s", 1, 2);
    expect((await world.itemOf("s"))?.holes).toEqual([]);
    moveTo(world, 30);
    await world.deliver("s", 7, 9);
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: at(2), before: at(7) }]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("before its first batch, the coordinator having born it: that batch notes the hole", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 20);
    const dying = world.start((call) => (call.step === "birth put s" ? "dies after" : undefined));
    await settled(world.deliver("s", 1, 2, { process: dying }));
    await world.checkpoint();
    moveTo(world, 30);
    await world.deliver("s", 7, 9);
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: BEGINNING, before: at(7) }]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("before its first batch, the coordinator having born it while the source was out of reach: the same", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 20);
    const dying = world.start((call) => (call.step === "birth put s" ? "dies after" : undefined));
    await settled(world.deliver("s", 1, 2, { process: dying }));
    const { look } = world.source.reader;
    Object.assign(world.source.reader, { look: () => Promise.reject(new Error("out of reach")) });
    await world.checkpoint();
    Object.assign(world.source.reader, { look });
    moveTo(world, 30);
    await world.deliver("s", 7, 9);
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: BEGINNING, before: at(7) }]);
    await expectPromise(world);
  });

  it("after a restore to before the split was there: the first batch after its replay notes the hole", async () => {
    const world = hourly("abcabcabc");
    world.split("t", "a");
    await world.deliver("t", 1, 1);
    await world.checkpoint();
    moveTo(world, 20);
    await world.deliver("s", 1, 2);
    await world.restore();
    moveTo(world, 30);
    await world.deliver("s", 7, 9);
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: at(2), before: at(7) }]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("that was folded before a restore to before the split was there: the replay notes the hole", async () => {
    const world = hourly("abcabcabcabcabcabcabc");
    world.split("t", "a");
    await world.deliver("t", 1, 1);
    await world.checkpoint();
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    moveTo(world, 20);
    await world.deliver("s", 3, 20);
    // The split is fresh where it stands. Its beginning, at which the restore puts it, is not.
    moveTo(world, 21);
    await world.request();
    moveTo(world, 31);
    await world.carryOn();
    const hole = { cause: "expired", after: BEGINNING, before: at(8) };
    expect(await world.itemOf("s")).toMatchObject({ position: at(20), holes: [hole] });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("and an earlier version wrote the split's item, which does not say how fresh its beginning was: the same", async () => {
    const world = hourly("abcabcabcabcabcabcabc");
    world.split("t", "a");
    await world.deliver("t", 1, 1);
    await world.checkpoint();
    moveTo(world, 20);
    await world.deliver("s", 1, 20);
    await world.stores.control.update(splitKey("log", "s"), { conditions: [], remove: [path("beginningFreshAt")] });
    moveTo(world, 21);
    await world.request();
    moveTo(world, 31);
    await world.carryOn();
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: BEGINNING, before: at(8) }]);
    await expectPromise(world);
  });

  it("after a hole was noted by a batch that died: the next one widens it", async () => {
    const world = hourly("abcabcabcabcabcabcabcabc");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    moveTo(world, 30);
    await dieIn(world, 7, 7);
    moveTo(world, 40);
    await world.deliver("s", 17, 18);
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: at(2), before: at(17) }]);
    await world.checkpoint();
    await expectPromise(world);
  });
});

describe("no hole is noted", () => {
  it("for a split that was born empty, at which the coordinator has looked meanwhile", async () => {
    const world = hourly("");
    const dying = world.start((call) => (call.step === "birth put s" ? "dies after" : undefined));
    world.split("s", "a");
    await settled(world.deliver("s", 1, 1, { process: dying }));
    moveTo(world, 30);
    for (const hours of [40, 50, 60]) {
      moveTo(world, hours);
      await world.checkpoint();
    }
    expect((await world.itemOf("s"))?.freshAt).toBe(world.clock.ms - MINUTE_MS);
  });

  it("for a quiet shard older than the retention, at which the coordinator has looked meanwhile", async () => {
    const world = hourly("ab");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    for (let hours = 10; hours <= 70; hours += 10) {
      moveTo(world, hours);
      await world.checkpoint();
    }
    world.source.splits
      .get("s")
      ?.values.push(...Array.from({ length: 70 }, (_, i) => ({ key: "c", id: `s${i + 3}`, clear: false })));
    moveTo(world, 72);
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 70 });
    // Numbers 3 to 70 were never written: the source goes on at 71, as Kinesis' numbers have gaps.
    await world.deliver("s", 71, 72);
    expect((await world.itemOf("s"))?.holes).toEqual([]);
    expect(world.ofType("hole")).toEqual([]);
  });

  it("after a restore to before the split was there, which was quiet for longer than the retention before its first record", async () => {
    const world = hourly("");
    world.split("t", "a");
    await world.deliver("t", 1, 1);
    await world.checkpoint();
    const dying = world.start((call) => (call.step === "birth s" ? "dies after" : undefined));
    world.split("s", "a");
    await settled(world.deliver("s", 1, 1, { process: dying }));
    Object.assign(world.source.splits.get("s") ?? {}, { values: [] });
    for (let hours = 10; hours <= 70; hours += 10) {
      moveTo(world, hours);
      await world.checkpoint();
    }
    world.source.splits
      .get("s")
      ?.values.push(...Array.from({ length: 71 }, (_, i) => ({ key: "c", id: `s${i + 1}`, clear: false })));
    moveTo(world, 72);
    await world.deliver("s", 71, 71);
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 0 });
    await world.request({ checkpoint: 1 });
    // Numbers 1 to 70 were never written.
    Object.assign(world.source.splits.get("s") ?? {}, { trimmedTo: 70 });
    await world.carryOn();
    expect(await world.itemOf("s")).toMatchObject({ position: at(71), holes: [] });
  });

  it("for a batch that is late, but younger than the retention", async () => {
    const world = hourly("abcabc");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    moveTo(world, 25);
    await world.deliver("s", 3, 5);
    expect((await world.itemOf("s"))?.holes).toEqual([]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("twice, where the Begin that noted it was sent twice", async () => {
    const world = hourly("abcabcabc");
    moveTo(world, 3);
    await world.deliver("s", 1, 2);
    moveTo(world, 30);
    const process = world.start((call) => (call.step === "begin s" ? "sent twice" : undefined));
    await world.deliverUntilDone("s", 7, 9, { process });
    expect((await world.itemOf("s"))?.holes).toEqual([{ cause: "expired", after: at(2), before: at(7) }]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("by a look that was answered before a batch got on", async () => {
    const world = hourly("abc");
    moveTo(world, 3);
    await world.deliver("s", 1, 1);
    const coordinator = world.start();
    Object.assign(world.source.splits.get("s")?.values ?? {}, { length: 1 });
    const gate = coordinator.pauseAt((call) => call.step === "look s");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    world.split("s", "bc");
    await world.deliver("s", 2, 2);
    const before = await world.itemOf("s");
    gate.release();
    await running;
    expect((await world.itemOf("s"))?.freshAt).toBe(before?.freshAt);
    await expectPromise(world);
  });
});
