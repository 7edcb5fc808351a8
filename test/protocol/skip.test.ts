/** A split that stands at a record is asked to pass over it: by its next batch, as holes, exactly. */
import { describe, expect, it } from "vitest";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import type { SkipChoice } from "../../shared/dead-letter/skip.ts";
import { skipIn } from "../../shared/runtime/coordinator-handler.ts";
import { settled } from "../support/every-call.ts";
import type { Call } from "../support/faulty-stores.ts";
import { expectAllResolved, expectPromise, liveLogs, readManifestOf } from "../support/oracle.ts";
import { at, TestWorld } from "../support/test-world.ts";

const hole = (from: number, to = from) => ({
  ...{ cause: "dead-letter", from: at(from), to: at(to), records: to - from + 1 },
});

async function letters(world: TestWorld): Promise<{ position: string; cause: string; error: string }[]> {
  const found = [];
  for await (const letter of listDeadLetters(world.stores.storage)) found.push(letter);
  return found;
}

/** s1 is folded, s2 was given up, and the split has stopped at s3; s4 and s5 are good again. */
async function stopped(keys = "aaaaa", poison = ["s2", "s3"]): Promise<TestWorld> {
  const world = new TestWorld({ maxConsecutiveDeadLetters: 1, triesMax: 1 });
  world.split("s", keys);
  world.behaviour = { poison };
  await world.deliver("s", 1, keys.length);
  expect((await world.itemOf("s"))?.failing).toMatchObject({ position: at(3), stopped: true });
  return world;
}

const ask = (world: TestWorld, choice: Partial<SkipChoice> = {}, process = world.main) =>
  skipIn(world.resources(process), { function: "log", ...choice });

describe("a split that has stopped and is asked to skip", () => {
  it("passes over the record that it stands at by its next batch, as a dead letter and a hole, and goes on", async () => {
    const world = await stopped();
    expect(await ask(world)).toEqual({ skipping: [{ split: "s", at: at(3), records: 1 }] });
    expect(await world.itemOf("s")).toMatchObject({ position: at(2), skip: { after: at(2), at: at(3), records: 1 } });
    expect((await world.deliver("s", 3, 5)).failedFrom).toBeUndefined();
    expect(await world.itemOf("s")).toMatchObject({ position: at(5), holes: [hole(2, 3)] });
    expect(await world.itemOf("s")).not.toHaveProperty("skip");
    expect(await letters(world)).toMatchObject([
      { position: at(2), cause: "failed" },
      { position: at(3), cause: "skipped", error: expect.stringContaining("on request") },
    ]);
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1", "s4", "s5"] });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("is not looked at by the user's code, and costs no place in the row of failures", async () => {
    const world = await stopped("aaaaa", ["s2", "s3", "s4"]);
    await ask(world);
    expect((await world.deliver("s", 3, 5)).failedFrom?.position).toBe(at(4));
    expect(await world.itemOf("s")).toMatchObject({ consecutiveDeadLetters: 1, failing: { stopped: true } });
    await ask(world);
    expect((await world.deliver("s", 4, 5)).failedFrom).toBeUndefined();
    expect(await world.itemOf("s")).toMatchObject({ position: at(5), holes: [hole(2, 4)] });
  });

  it("passes over as many records as it was asked to, over more than one batch, and no more", async () => {
    const world = await stopped("aaaaaaaa", ["s2", "s3", "s6"]);
    await ask(world, { records: 4 });
    await world.deliver("s", 3, 4);
    expect((await world.itemOf("s"))?.skip).toEqual({ after: at(4), records: 2 });
    await world.deliver("s", 5, 8);
    expect(await world.itemOf("s")).toMatchObject({ position: at(8), holes: [hole(2, 6)] });
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1", "s7", "s8"] });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("is in a cut exactly when its place is", async () => {
    const world = await stopped();
    const before = await world.checkpoint();
    await ask(world);
    const waiting = await world.checkpoint();
    await world.deliver("s", 3, 5);
    const after = await world.checkpoint();
    const holesOf = async (n: number) => (await readManifestOf(world, n)).functions[0]?.splits[0]?.holes;
    expect(await holesOf(before)).toEqual([hole(2)]);
    expect(await holesOf(waiting)).toEqual([hole(2)]);
    expect(await holesOf(after)).toEqual([hole(2, 3)]);
    await expectPromise(world);
  });

  it("is asked twice and does it once", async () => {
    const world = await stopped();
    const first = await ask(world);
    expect(await ask(world)).toEqual(first);
    await expect(ask(world, { records: 2 })).rejects.toMatchObject({
      ...{ kind: "fix-configuration", message: expect.stringContaining("was asked to pass over 1 records") },
    });
    await world.deliver("s", 3, 5);
    await expectAllResolved(world);
    expect(await letters(world)).toHaveLength(2);
  });

  it("keeps to the first of two wishes, of which the other is written later", async () => {
    const world = await stopped();
    const slow = world.start();
    const gate = slow.pauseAt((call: Call) => call.step === "ask to skip s");
    const second = ask(world, { records: 2 }, slow);
    await gate.reached;
    await ask(world);
    gate.release();
    await expect(second).rejects.toThrow("was asked to pass over 1 records");
    expect((await world.itemOf("s"))?.skip).toMatchObject({ records: 1 });
  });

  it("crashes at any call of the batch that does it, and a later record of its key is written: one hole, one letter", async () => {
    const steps: string[] = [];
    const clean = await stopped();
    await ask(clean);
    const watching = clean.start((call) => void steps.push(call.step));
    await clean.deliver("s", 3, 5, { process: watching });
    for (let dies = 0; dies < steps.length; dies += 1) {
      for (const fault of ["dies before", "dies after"] as const) {
        const world = await stopped();
        await ask(world);
        let calls = 0;
        const dying = world.start(() => (calls++ === dies ? fault : undefined));
        await settled(world.deliver("s", 3, 5, { process: dying }));
        await world.deliverUntilDone("s", 3, 5);
        expect(await world.itemOf("s"), steps[dies]).toMatchObject({ position: at(5), holes: [hole(2, 3)] });
        expect(Object.fromEntries(await liveLogs(world)), steps[dies]).toEqual({ a: ["s1", "s4", "s5"] });
        expect(world.ofType("dead-letter").filter(({ position }) => position === at(3)).length).toBeLessThan(2);
        await world.checkpoint();
        await expectPromise(world);
      }
    }
  });

  it("forgets it once the split went on without it: what comes later is not skipped", async () => {
    const world = await stopped();
    // A batch of a repaired function has begun, and ends after the wish was written.
    world.behaviour = {};
    const slow = world.start();
    const gate = slow.pauseAt((call: Call) => call.step === "end s");
    const running = world.deliver("s", 3, 3, { process: slow });
    await gate.reached;
    await ask(world);
    gate.release();
    await running;
    expect((await world.itemOf("s"))?.skip).toMatchObject({ after: at(2) });
    await world.deliver("s", 4, 5);
    expect(await world.itemOf("s")).not.toHaveProperty("skip");
    expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1", "s3", "s4", "s5"] });
    await world.checkpoint();
    await expectPromise(world);
  });

  it("does not pass over another record where the source no longer has the one that it stood at", async () => {
    const world = await stopped();
    await ask(world);
    world.behaviour = {};
    await world.deliver("s", 4, 5);
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "s4", "s5"]);
    expect(await letters(world)).toHaveLength(1);
  });

  it("forgets it with a restore, which tries the record afresh", async () => {
    const world = await stopped();
    const n = await world.checkpoint();
    await ask(world);
    await world.restore({ checkpoint: n });
    expect(await world.itemOf("s")).not.toHaveProperty("skip");
    world.behaviour = {};
    await world.drain();
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "s3", "s4", "s5"]);
    await world.checkpoint();
    await expectPromise(world);
  });

  it("may be passed by a replay too, and then put back", async () => {
    const world = await stopped();
    await ask(world);
    await world.deliver("s", 3, 5);
    world.behaviour = {};
    await world.redriveLetters();
    await world.deliverRedriven();
    expect((await liveLogs(world)).get("a")?.toSorted()).toEqual(["s1", "s2", "s3", "s4", "s5"]);
  });

  it("is every one that stopped where none is named, and none that only tries", async () => {
    const world = await stopped();
    for (const split of ["t", "u"]) {
      world.split(split, "aaa");
      await world.deliver(split, 1, 1);
    }
    world.behaviour = { poison: ["s2", "s3", "t2", "t3", "u2"] };
    await world.deliver("t", 2, 3);
    world.app = { ...world.app, deadLetters: { ...world.app.deadLetters, triesMax: 5 } };
    await world.deliver("u", 2, 2);
    expect((await ask(world)).skipping).toEqual([
      { split: "s", at: at(3), records: 1 },
      { split: "t", at: at(3), records: 1 },
    ]);
    expect((await ask(world, { split: "u" })).skipping).toEqual([{ split: "u", at: at(2), records: 1 }]);
  });
});

describe("a wish to skip is refused, and nothing is changed", () => {
  it.each([
    ["of a split that stands at nothing", { split: "s" }, "stands at no record"],
    ["of a split that was never read", { split: "z" }, 'has read no split "z"'],
    ["of a function whose splits have not stopped", {}, "No split of log has stopped"],
    ["of a function that is none", { function: "lag" }, 'no function "lag"'],
    ["of no record", { split: "s", records: 0 }, "from 1 to 10000"],
    ["of half a record", { split: "s", records: 1.5 }, "from 1 to 10000"],
    ["of more than 10,000 records", { split: "s", records: 10_001 }, "from 1 to 10000"],
  ])("%s", async (_, choice, message) => {
    const world = new TestWorld();
    world.split("s", "aa");
    await world.deliver("s", 1, 1);
    const before = await world.itemOf("s");
    await expect(ask(world, choice)).rejects.toMatchObject({
      ...{ kind: "fix-configuration", message: expect.stringContaining(message) },
    });
    expect(await world.itemOf("s")).toEqual(before);
  });
});
