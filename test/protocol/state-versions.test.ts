/** Code of two versions at once, and images of two versions in one item. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { readPart } from "../../shared/checkpoint/part-file.ts";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { defineFunction } from "../../shared/function/define-function.ts";
import { settled } from "../support/every-call.ts";
import { readManifestOf } from "../support/oracle.ts";
import { at, logFunction, TestWorld } from "../support/test-world.ts";

/** Version 2 keeps the ids under another name, and says which it upgraded. */
const upgraded = defineFunction({
  name: "log",
  event: logFunction("log").event,
  key: (event) => event.key,
  state: {
    version: 2,
    initial: () => ({ ids: [] as string[] }),
    upgrade: { 1: (old: { log: string[] }) => ({ ids: old.log }) },
  },
  handle: (state, event) => (event.clear ? null : { ids: [...state.ids, event.id] }),
});

const itemOf = async (world: TestWorld, key: string) =>
  (await world.stores.state.load({ function: "log", generation: 1 }, [key])).get(key);

const image = (version: number, ids: readonly string[]) =>
  version === 1 ? { version, value: { log: ids } } : { version, value: { ids } };

async function stateIn(world: TestWorld, n: number): Promise<Record<string, unknown>> {
  const states: Record<string, unknown> = {};
  for (const file of (await readManifestOf(world, n)).files) {
    for await (const { key, state, stateVersion } of readPart(world.stores.storage, n, file)) {
      states[key] = { version: stateVersion, value: state };
    }
  }
  return states;
}

async function versionOne(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "abaaaa");
  world.split("t", "aaaa");
  await world.deliver("s", 1, 2);
  return world;
}

/** From here on the app is the new code's. */
const deploy = (world: TestWorld): void => world.describe("log", { stateVersion: 2 });

describe("state of an older version", () => {
  it("is upgraded when a batch folds into it, and left alone until then", async () => {
    const world = await versionOne();
    deploy(world);
    await world.deliver("s", 3, 3, { definition: upgraded });
    expect((await itemOf(world, "a"))?.state).toEqual(image(2, ["s1", "s3"]));
    expect((await itemOf(world, "b"))?.state).toEqual(image(1, ["s2"]));
    const n = await world.checkpoint();
    expect(await stateIn(world, n)).toEqual({ a: image(2, ["s1", "s3"]), b: image(1, ["s2"]) });
  });

  it("restored under the newer code is upgraded by its own version", async () => {
    const world = await versionOne();
    const n = await world.checkpoint();
    deploy(world);
    await world.deliver("s", 3, 3, { definition: upgraded });
    await world.request({ checkpoint: n });
    // The world's own function is of version 1: the replay takes the new one.
    await world.carryOn({
      replay: async ({ split, generation }) => {
        const { replaySplit } = await import("../../shared/batch/replay-split.ts");
        const engine = world.engine({ definition: upgraded });
        return replaySplit(engine, { split, generation, deadlineMs: Number.POSITIVE_INFINITY });
      },
    });
    const items = await world.stores.state.load({ function: "log", generation: 2 }, ["a", "b"]);
    expect(items.get("a")?.state).toEqual(image(2, ["s1", "s3"]));
    expect(items.get("b")?.state).toEqual(image(1, ["s2"]));
  });
});

describe("a before-image older than its state", () => {
  it("is cut as the version that it is of", async () => {
    const world = await versionOne();
    deploy(world);
    const coordinator = world.start();
    const gate = coordinator.pauseAt((call) => call.step === "state.scan ");
    const running = world.coordinate({ request: {}, process: coordinator });
    await gate.reached;
    await world.deliver("s", 3, 3, { definition: upgraded });
    expect(await itemOf(world, "a")).toMatchObject({ state: image(2, ["s1", "s3"]), before: image(1, ["s1"]) });
    gate.release();
    await running;
    expect(await stateIn(world, 1)).toEqual({ a: image(1, ["s1"]), b: image(1, ["s2"]) });
  });

  it("is upgraded by its own version where an event of the old epoch is folded into both", async () => {
    const world = await versionOne();
    deploy(world);
    const dying = world.start((call) => (call.step.startsWith("state.write") ? "dies before" : undefined));
    await settled(world.deliver("t", 1, 1, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliver("s", 3, 3, { definition: upgraded });
    expect(await itemOf(world, "a")).toMatchObject({ epoch: 1, before: image(1, ["s1"]) });
    await world.deliverUntilDone("t", 1, 1, { definition: upgraded });
    expect(await itemOf(world, "a")).toMatchObject({
      ...{ epoch: 1, state: image(2, ["s1", "s3", "t1"]), before: image(2, ["s1", "t1"]) },
    });
    await world.coordinate();
    expect((await stateIn(world, 1)).a).toEqual(image(2, ["s1", "t1"]));
  });
});

describe("old code beside new state", () => {
  it("fails the batch, writes nothing, counts no try, and says which version it met", async () => {
    const world = await versionOne();
    deploy(world);
    await world.deliver("t", 1, 1, { definition: upgraded });
    const before = await itemOf(world, "a");
    world.describe("log", { stateVersion: 1 });
    for (let i = 0; i < 20; i += 1) {
      await expect(world.deliver("s", 3, 5)).rejects.toMatchObject({
        kind: "fix-configuration",
        message: expect.stringContaining("met state of version 2, but its code knows versions up to 1"),
      });
    }
    expect(await itemOf(world, "a")).toEqual(before);
    expect(await world.itemOf("s")).toMatchObject({ position: at(2), holes: [] });
    expect((await world.itemOf("s"))?.failing?.tries ?? 0).toBe(0);
    deploy(world);
    await world.deliverUntilDone("s", 3, 5, { definition: upgraded });
    expect((await itemOf(world, "a"))?.state).toEqual(image(2, ["s1", "t1", "s3", "s4", "s5"]));
  });

  it("also where only its write meets it: a rival of the new version was faster", async () => {
    const world = await versionOne();
    const old = world.start();
    const gate = old.pauseAt((call) => call.step === "state.write a");
    const running = world.deliver("s", 3, 4, { process: old });
    await gate.reached;
    deploy(world);
    await world.deliver("t", 1, 1, { definition: upgraded });
    gate.release();
    await expect(running).rejects.toMatchObject({ kind: "fix-configuration" });
    expect((await itemOf(world, "a"))?.state).toEqual(image(2, ["s1", "t1"]));
    await world.deliverUntilDone("s", 3, 4, { definition: upgraded });
    expect((await itemOf(world, "a"))?.state).toEqual(image(2, ["s1", "t1", "s3", "s4"]));
  });

  it("touches no before-image of the newer version either", async () => {
    const world = await versionOne();
    const dying = world.start((call) => (call.step.startsWith("state.write") ? "dies before" : undefined));
    await settled(world.deliver("t", 1, 1, { process: dying }));
    deploy(world);
    await world.deliver("s", 3, 3, { definition: upgraded });
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliver("s", 4, 4, { definition: upgraded });
    const before = await itemOf(world, "a");
    await expect(world.deliver("t", 1, 1)).rejects.toMatchObject({ kind: "fix-configuration" });
    expect(await itemOf(world, "a")).toEqual(before);
  });
});

/** What was version 1's state, and code that keeps another without saying so. */
const shape = z.object({ log: z.array(z.string()) });
const checked = defineFunction({ ...logFunction("log"), state: { ...logFunction("log").state, schema: shape } });
const forgotten = defineFunction({
  name: "log",
  event: logFunction("log").event,
  key: (event) => event.key,
  state: { schema: z.object({ trail: z.string() }), initial: () => ({ trail: "" }) },
  handle: (state, event) => ({ trail: `${state.trail}/${event.id}` }),
});

describe("a state that the function's schema refuses", () => {
  it("as it is loaded fails the batch, writes nothing, counts no try, and asks whether a version was not raised", async () => {
    const world = await versionOne();
    const before = await itemOf(world, "a");
    for (let i = 0; i < 20; i += 1) {
      await expect(world.deliver("s", 3, 5, { definition: forgotten })).rejects.toMatchObject({
        kind: "fix-configuration",
        message: expect.stringMatching(
          /met a state that its state\.schema refuses: state\.trail: .* was the state's shape changed, and state\.version not raised\?/,
        ),
      });
    }
    expect(await itemOf(world, "a")).toEqual(before);
    expect(await world.itemOf("s")).toMatchObject({ position: at(2), holes: [] });
    expect((await world.itemOf("s"))?.failing?.tries ?? 0).toBe(0);
    await world.deliverUntilDone("s", 3, 5, { definition: checked });
    expect((await itemOf(world, "a"))?.state).toEqual(image(1, ["s1", "s3", "s4", "s5"]));
  });

  it("as a before-image does the same", async () => {
    const world = await versionOne();
    const dying = world.start((call) => (call.step.startsWith("state.write") ? "dies before" : undefined));
    await settled(world.deliver("t", 1, 1, { process: dying }));
    await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
    await world.deliver("s", 3, 3);
    const before = await itemOf(world, "a");
    expect(before).toMatchObject({ epoch: 1, before: image(1, ["s1"]) });
    await expect(world.deliver("t", 1, 1, { definition: forgotten })).rejects.toMatchObject({
      kind: "fix-configuration",
    });
    expect(await itemOf(world, "a")).toEqual(before);
  });

  it("as `upgrade` made it is said to be of that", async () => {
    const world = await versionOne();
    deploy(world);
    const wrong = defineFunction({
      ...forgotten,
      state: { ...forgotten.state, version: 2, upgrade: { 1: (old: object) => old } },
    });
    await expect(world.deliver("s", 3, 3, { definition: wrong })).rejects.toThrow(
      /was made by state\.upgrade of one of version 1\. .*Deploy code whose state\.upgrade makes/,
    );
  });

  it("as `handle` returns it is a throw at that record, whatever comes after it in the batch", async () => {
    const world = await versionOne();
    const wrongAt4 = defineFunction({
      ...checked,
      handle: (state, event, context) =>
        event.id === "s4"
          ? ({ log: 4 } as never)
          : checked.handle(Array.isArray(state.log) ? state : { log: [] }, event, context),
    });
    await world.deliverUntilDone("s", 3, 5, { definition: wrongAt4 });
    const letters: unknown[] = [];
    for await (const letter of listDeadLetters(world.stores.storage)) letters.push(letter);
    const error = expect.stringMatching(
      /handle of log returned a state for key "a" that state\.schema refuses: state\.log: Invalid input: expected array, received number\./,
    );
    expect(letters).toMatchObject([{ position: at(4), cause: "failed", error }]);
    expect((await itemOf(world, "a"))?.state).toEqual(image(1, ["s1", "s3", "s5"]));
  });
});

describe("a state with BigInts", () => {
  const counted = defineFunction({
    name: "log",
    event: logFunction("log").event,
    key: (event) => event.key,
    state: {
      schema: z.object({ total: z.bigint(), double: z.number() }),
      initial: () => ({ total: 0n, double: 1e20 }),
    },
    handle: ({ total, double }) => ({ total: total === 0n ? 10n ** 20n : total + 1n, double }),
  });

  it("is cut, restored and folded on as it was, beside doubles of the same digits", async () => {
    const world = new TestWorld();
    world.split("s", "aaab");
    await world.deliver("s", 1, 2, { definition: counted });
    const n = await world.checkpoint();
    const value = { total: 10n ** 20n + 1n, double: 1e20 };
    expect(await stateIn(world, n)).toEqual({ a: { version: 1, value } });
    await world.deliver("s", 3, 4, { definition: counted });
    await world.request({ checkpoint: n });
    await world.carryOn({
      replay: async ({ split, generation }) => {
        const { replaySplit } = await import("../../shared/batch/replay-split.ts");
        const engine = world.engine({ definition: counted });
        return replaySplit(engine, { split, generation, deadlineMs: Number.POSITIVE_INFINITY });
      },
    });
    const items = await world.stores.state.load({ function: "log", generation: 2 }, ["a", "b"]);
    expect(items.get("a")?.state).toEqual({ version: 1, value: { ...value, total: value.total + 1n } });
    expect(items.get("b")?.state).toEqual({ version: 1, value: { total: 10n ** 20n, double: 1e20 } });
  });
});

it("a step that is missing fails at the record, by name, and loses nothing", async () => {
  const world = await versionOne();
  deploy(world);
  const forgetful = defineFunction({
    name: "log",
    event: upgraded.event,
    key: (event) => event.key,
    state: { version: 2, initial: () => ({ ids: [] as string[] }), upgrade: { 1: () => Number.NaN as never } },
    handle: (state, event) => ({ ids: [...state.ids, event.id] }),
  });
  const result = await world.deliver("s", 3, 4, { definition: forgetful });
  expect(result.failedFrom?.position).toBe(at(3));
  expect(result.error?.message).toContain("state.upgrade[1] of log returned what is not JSON");
  await world.deliver("s", 3, 4, { definition: upgraded });
  expect((await itemOf(world, "a"))?.state).toEqual(image(2, ["s1", "s3", "s4"]));
});
