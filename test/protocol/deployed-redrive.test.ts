/**
 * Dead letters of a deployment that are put back: the coordinator has the event function fold them, whatever dies, runs
 * twice, restores meanwhile or is behind.
 */
import { describe, expect, it } from "vitest";
import { type DeadLetter, listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import type { RedriveInvoker } from "../../shared/dead-letter/deliver-redriven.ts";
import { redrive } from "../../shared/dead-letter/redrive.ts";
import { describeThrown } from "../../shared/errors.ts";
import { goOnWithRestore } from "../../shared/restore/ask-for-restore.ts";
import { everyCall, everyPause, settled } from "../support/every-call.ts";
import type { Fault, FaultyProcess } from "../support/faulty-stores.ts";
import { liveLogs } from "../support/oracle.ts";
import { MINUTE_MS, TestWorld, type WorldOptions } from "../support/test-world.ts";

/** s2 is a dead letter that was put back, and all of s is resolved; checkpoint 1 is from before it. */
async function withRedriven(options: WorldOptions = {}): Promise<DeployedWorld> {
  const world = new DeployedWorld({ triesMax: 1, intervalMs: MINUTE_MS, ...options });
  world.split("s", "aabb");
  await world.deliver("s", 1, 1);
  await world.checkpoint();
  world.behaviour = { poison: ["s2"] };
  await world.deliverUntilDone("s", 2, 4);
  world.behaviour = {};
  await world.redriveLetters();
  return world;
}

/** One whose coordinator invokes its function, as Lambda's API does: the event is JSON, a throw has a text. */
class DeployedWorld extends TestWorld {
  readonly invocations: { readonly records: number; readonly bytes: number }[] = [];

  async run(process: FaultyProcess = this.main, redrive?: RedriveInvoker) {
    return this.runCoordinator({ process, redrive: redrive ?? this.invoker(process) });
  }

  invoker(process: FaultyProcess = this.main): RedriveInvoker {
    return async (_name, event) => {
      const text = JSON.stringify(event);
      const { records } = this.sourceOf("log", process).events.parse(JSON.parse(text));
      this.invocations.push({ records: records.length, bytes: Buffer.byteLength(text) });
      const { error } = await this.deliverRecords("redrive", records, { process });
      return error === undefined ? {} : { reason: describeThrown(error) };
    };
  }
}

const logOf = async (world: TestWorld, key = "a") => (await liveLogs(world)).get(key) ?? [];

async function expectFoldedOnce(world: TestWorld): Promise<void> {
  const deployed = world as DeployedWorld;
  await deployed.run();
  await deployed.run();
  expect(await logOf(world)).toEqual(["s1", "s2"]);
  expect(await logOf(world, "b")).toEqual(["s3", "s4"]);
  // In the cut as well, and once more after a restore of it.
  const n = await world.checkpoint();
  await world.restore({ checkpoint: n });
  await deployed.run();
  expect(await logOf(world)).toEqual(["s1", "s2"]);
}

const CALLS = 30;

describe("a coordinator that delivers redriven letters and takes a checkpoint", () => {
  const act = (world: TestWorld, process: FaultyProcess) => {
    world.clock.ms += MINUTE_MS;
    return (world as DeployedWorld).run(process);
  };

  it.each(["dies before", "dies after", "refused", "answer lost", "sent twice"] satisfies Fault[])(
    "%s, at every call: a letter is folded once, and in a cut exactly when its place is",
    async (fault) => {
      const after = (world: TestWorld) => expectFoldedOnce(world);
      expect(await everyCall(fault, { setup: withRedriven, act, after })).toBeGreaterThan(CALLS);
    },
  );

  it.each([0, 2])("what it sent arrives late, %i moments on: the same", async (moment) => {
    const after = async (world: TestWorld, arrive: () => Promise<void>) => {
      await arrive();
      await act(world, world.main);
      await arrive();
      await world.redriveLetters();
      await arrive();
      await expectFoldedOnce(world);
      await arrive();
      expect(await logOf(world)).toEqual(["s1", "s2"]);
    };
    expect(await everyCall("dies, delayed", { setup: withRedriven, act, after }, [moment])).toBeGreaterThan(CALLS);
  });

  it("held at every call while another does all of it: the same", async () => {
    const calls = await everyPause({ setup: withRedriven, stalled: act, other: act, after: expectFoldedOnce });
    expect(calls).toBeGreaterThan(CALLS);
  });

  it("held at every call while a checkpoint from before the letter is restored: the same", async () => {
    const other = (world: TestWorld, process: FaultyProcess) => world.restore({ checkpoint: 1 }, { process });
    const calls = await everyPause({ setup: withRedriven, stalled: act, other, after: expectFoldedOnce });
    expect(calls).toBeGreaterThan(CALLS);
  });
});

describe("redriven letters of a deployment", () => {
  it("are delivered by one run, and by no other", async () => {
    const world = await withRedriven();
    await world.run();
    expect(await logOf(world)).toEqual(["s1", "s2"]);
    await world.run();
    expect(world.invocations).toHaveLength(1);
    expect(world.ofType("redriven")).toEqual([{ type: "redriven", function: "log", position: "000000000001" }]);
    expect(world.ofType("redrive-failed")).toEqual([]);
  });

  it("cost a run that finds none one read of the split and one of the storage", async () => {
    const world = await withRedriven({ intervalMs: 60 * MINUTE_MS });
    await world.run();
    const [looking, other] = [world.start(), world.start()];
    await world.run(looking);
    await world.runCoordinator({ process: other });
    const left = [...looking.log];
    for (const call of other.log) left.splice(left.indexOf(call), 1);
    expect(left).toEqual(["control.get SPLIT#log/redrive", "storage.read redrive/log/000000000002.json"]);
    expect(world.invocations).toHaveLength(1);
  });

  it("are not looked for before the app has begun", async () => {
    const world = new DeployedWorld();
    const process = world.start();
    await world.run(process);
    expect(process.log.filter((call) => call.includes("redrive"))).toEqual([]);
  });

  it("wait while a restore runs or is held, which replays them itself, and go on after it", async () => {
    const world = await withRedriven();
    await world.run();
    await world.redriveLetters();
    await world.ask({ checkpoint: 1, until: { arrivedByMs: world.clock.now() - 1 } });
    await world.run(world.start(({ step }) => (step === "flip control" ? "dies before" : undefined))).catch(() => {});
    expect(await world.control()).toMatchObject({ phase: "REPLAYING" });
    await world.run();
    await world.run();
    expect(await world.control()).toMatchObject({ phase: "REPLAYING", restore: { heldAtMs: expect.any(Number) } });
    expect(world.invocations).toHaveLength(1);
    await goOnWithRestore(world.resources());
    await world.run();
    expect(await world.control()).toMatchObject({ phase: "RUNNING", gen: 2 });
    // The entry that the restore did not replay, since no batch had tried it.
    await world.run();
    expect(world.invocations).toHaveLength(2);
    await expectFoldedOnce(world);
  });

  it("are refused by the function while a restore that came in between runs, and nothing is lost", async () => {
    const world = await withRedriven();
    const deliver = world.invoker();
    await world.run(world.main, async (name, event) => {
      if ((await world.control()).phase === "RUNNING") {
        await world.request({ checkpoint: 1 });
        await world.carryOn({ deadlineMs: world.clock.now() });
      }
      return deliver(name, event);
    });
    expect(world.ofType("redrive-failed").map(({ error }) => error)).toContainEqual(
      expect.stringContaining("a restore is under way"),
    );
    expect(world.invocations).toHaveLength(1);
    await expectFoldedOnce(world);
  });

  it("go on after a restore whose last look at the splits came before the split of theirs was born", async () => {
    const world = await withRedriven();
    const deliver = world.invoker();
    const restorer = world.start();
    const gate = restorer.pauseAt(({ step }) => step === "finish restore");
    let restoring: Promise<unknown> | undefined;
    await world.run(world.main, async (name, event) => {
      if (restoring === undefined) {
        world.behaviour = { poison: ["s2"] };
        restoring = world.restore({ checkpoint: 1 }, { process: restorer });
        await gate.reached;
      }
      return deliver(name, event);
    });
    expect(await world.itemOf("redrive")).toMatchObject({ phase: "REPLAYING", position: "" });
    gate.release();
    await restoring;
    expect((await world.control()).phase).toBe("RUNNING");
    world.behaviour = {};
    expect(await logOf(world)).toEqual(["s1"]);
    await world.run();
    expect(await world.itemOf("redrive")).toMatchObject({ phase: "RUNNING", position: "000000000001" });
    await expectFoldedOnce(world);
  });

  it("wait for their own split, without a batch that a checkpoint would wait for", async () => {
    const old = await withRedriven();
    // The tables are gone, the bucket is not, and nothing is restored.
    const world = new DeployedWorld({ stores: { storage: old.stores.storage }, triesMax: 1, intervalMs: MINUTE_MS });
    world.split("s", "aabb");
    await world.deliver("s", 1, 1);
    expect(await world.run()).toMatchObject({ checkpoint: { outcome: "completed" } });
    expect(world.ofType("redrive-waits")).toEqual([
      { type: "redrive-waits", function: "log", position: "000000000001" },
    ]);
    expect(world.invocations).toEqual([]);
    world.behaviour = { poison: ["s2"] };
    await world.deliverUntilDone("s", 2, 4);
    world.behaviour = {};
    await expectFoldedOnce(world);
  });

  it("that fail again are dead letters again within one run, and hold nothing up behind them", async () => {
    const world = new DeployedWorld({ triesMax: 10 });
    world.split("s", "aabb");
    world.behaviour = { poison: ["s2", "s4"] };
    await world.deliverUntilDone("s", 1, 4);
    await world.redriveLetters();
    world.behaviour = { poison: ["s2"] };
    await world.run();
    expect((await world.itemOf("redrive"))?.holes).toHaveLength(1);
    expect(await logOf(world)).toEqual(["s1"]);
    expect(await logOf(world, "b")).toEqual(["s3", "s4"]);
    const error = expect.stringContaining("cannot fold s2");
    expect(world.ofType("dead-letter").at(-1)).toMatchObject({ split: "redrive", error });
    expect(world.ofType("redrive-failed")).toEqual([]);
  });

  it("that kill their invocation are given up, one at a time, and the others are folded", async () => {
    const world = new DeployedWorld({ triesMax: 3 });
    world.split("s", "aabb");
    world.behaviour = { poison: ["s2", "s3", "s4"] };
    await world.deliverUntilDone("s", 1, 4);
    await world.redriveLetters();
    world.behaviour = { killers: ["s3"] };
    // Each invocation is a process of its own.
    const invoke: RedriveInvoker = (name, event) => world.invoker(world.start())(name, event);
    for (let run = 0; run < 3; run += 1) await world.run(world.main, invoke);
    expect((await world.itemOf("redrive"))?.holes).toHaveLength(1);
    expect(await logOf(world)).toEqual(["s1", "s2"]);
    expect(await logOf(world, "b")).toEqual(["s4"]);
  });

  it("whose function cannot be invoked are left to the next run, after as many tries as a record has", async () => {
    const world = await withRedriven({ triesMax: 4 });
    let invoked = 0;
    const failing: RedriveInvoker = async () => {
      invoked += 1;
      throw new Error("throttled");
    };
    world.clock.ms += MINUTE_MS;
    expect(await world.run(world.main, failing)).toMatchObject({ checkpoint: { outcome: "completed" } });
    expect(invoked).toBe(5);
    expect(world.ofType("redrive-failed")).toHaveLength(5);
    await expectFoldedOnce(world);
  });

  it("are begun for half a minute at the most, and not after the run's deadline", async () => {
    for (const [forMs, expected] of [
      [60 * MINUTE_MS, 2],
      [1_000, 1],
      [0, 0],
    ] as const) {
      const world = await withRedriven({ triesMax: 100 });
      let invoked = 0;
      const slow: RedriveInvoker = async () => {
        invoked += 1;
        world.clock.ms += 20_000;
        return {};
      };
      await world.runCoordinator({ forMs, redrive: slow });
      expect(invoked, `with ${forMs} ms left`).toBe(expected);
    }
  });

  it("come in batches that an invocation takes: of a hundred, and of less than 6 MB", async () => {
    const world = await withRedriven();
    const letters: DeadLetter[] = [];
    for await (const letter of listDeadLetters(world.stores.storage)) letters.push(letter);
    const again = async (error: string) => {
      const [letter] = letters;
      if (letter === undefined) throw new Error("there is no letter");
      await redrive(world.stores.storage, { ...letter, error }, { clock: world.clock, source: "letters" });
    };
    for (let n = 0; n < 130; n += 1) await again("");
    for (let n = 0; n < 4; n += 1) await again("é".repeat(900_000));
    await world.run();
    expect(world.invocations.map(({ records }) => records)).toEqual([100, 33, 2]);
    for (const { bytes } of world.invocations) expect(bytes).toBeLessThan(6_000_000);
    expect((await world.itemOf("redrive"))?.position).toBe("000000000135");
    expect(await logOf(world)).toEqual(["s1", "s2"]);
  });
});

describe("putting letters back at the coordinator", () => {
  async function withLetters(): Promise<DeployedWorld> {
    const world = new DeployedWorld({ triesMax: 1, intervalMs: MINUTE_MS });
    world.split("s", "aab");
    world.split("t", "ba");
    world.behaviour = { poison: ["s2", "s3", "t2"] };
    await world.deliverUntilDone("s", 1, 3);
    await world.deliverUntilDone("t", 1, 2);
    world.behaviour = {};
    return world;
  }
  const ask = (world: DeployedWorld, redrive: { readonly [name: string]: unknown }, forMs?: number) =>
    world.runCoordinator({ ...(forMs === undefined ? {} : { forMs }), invocation: { redrive: redrive as never } });

  it("puts back all, those of a split, or one, and leaves alone what was folded since", async () => {
    const world = await withLetters();
    const position = "000003";
    const did = "redrive";
    expect(await ask(world, { function: "log", split: "s", position })).toEqual({ did, function: "log", redriven: 1 });
    await world.run();
    expect(await logOf(world, "b")).toEqual(["t1", "s3"]);
    expect(await ask(world, { function: "log", split: "s" })).toMatchObject({ redriven: 1 });
    await world.run();
    expect(await ask(world, { function: "log" })).toMatchObject({ redriven: 1 });
    await world.run();
    expect(await logOf(world)).toEqual(["s1", "s2", "t2"]);
    expect(await ask(world, { function: "log" })).toMatchObject({ redriven: 0 });
    expect(await ask(world, { function: "log", all: true })).toMatchObject({ redriven: 3 });
    await world.run();
    expect(await logOf(world)).toEqual(["s1", "s2", "t2"]);
    expect(await logOf(world, "b")).toEqual(["t1", "s3"]);
  });

  it("does nothing else: no checkpoint that is due, nothing of a restore; and looks for its place once", async () => {
    const world = await withLetters();
    const before = await world.control();
    const process = world.start();
    await world.runCoordinator({ process, invocation: { redrive: { function: "log" } } });
    expect(process.log.filter((call) => call === "storage.list redrive/log/")).toHaveLength(1);
    expect(await world.control()).toEqual(before);
    expect((await world.items()).has("redrive")).toBe(false);
  });

  it("says that it is unfinished at its deadline", async () => {
    const world = await withLetters();
    expect(await ask(world, { function: "log" }, 0)).toEqual({
      ...{ did: "redrive", function: "log", redriven: 0, unfinished: true },
    });
  });

  it.each([
    [{ function: "lag" }, /no function "lag"; it has log/],
    [{ function: "log", split: "s", position: "000001" }, /no dead letter of log in split s at position 000001/],
    [{ function: "log", position: "000001" }, /name the split/],
  ])("refuses %j", async (redrive, message) => {
    const world = await withLetters();
    await expect(ask(world, redrive)).rejects.toThrow(message);
    await settled(world.run());
    expect((await world.items()).has("redrive")).toBe(false);
  });
});
