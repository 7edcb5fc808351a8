/** Checkpoints and restores by workers: 1, 4 and 16 of them, one killed at any of its calls, end with equal counts. */
import { describe, expect, it } from "vitest";
import { runCoordinator } from "../../shared/checkpoint/coordinator.ts";
import type { Workers, WorkInvoker, WorkRequest } from "../../shared/checkpoint/work.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { createWorkerHandler } from "../../shared/runtime/worker-handler.ts";
import { expectAllResolved, expectOneLiveGeneration, expectPromise, readManifestOf } from "../support/oracle.ts";
import { HOUR_MS, TestWorld } from "../support/test-world.ts";

const KEYS = 24;

async function setup(): Promise<TestWorld> {
  const world = new TestWorld();
  const letters = Array.from({ length: KEYS }, (_, index) => String.fromCharCode("a".charCodeAt(0) + index)).join("");
  world.split("s", letters);
  await world.deliverUntilDone("s", 1, KEYS);
  return world;
}

interface Fleet extends Workers {
  readonly asked: WorkRequest[];
  deaths: number;
}

/** Each invocation is a process of its own; `killAt`: the one invocation, and its call, at which that process dies. */
function fleetOf(
  world: TestWorld,
  count: number,
  killAt?: { readonly invocation: number; readonly call: number },
): Fleet {
  const asked: WorkRequest[] = [];
  const fleet: Fleet = { count, asked, deaths: 0, invoke: (request) => invoke(request) };
  const invoke: WorkInvoker = async (request) => {
    asked.push(request);
    const dies = asked.length === killAt?.invocation;
    const process = world.start((call) => (dies && call.number === killAt?.call ? "dies before" : undefined));
    const work = createWorkerHandler(world.resources(process));
    // As it would travel.
    return work(JSON.parse(JSON.stringify(request)), { deadlineMs: world.clock.now() + 60_000 }).finally(() => {
      if (process.dead) fleet.deaths += 1;
    });
  };
  return fleet;
}

async function checkpointAndRestore(world: TestWorld, workers: Workers): Promise<void> {
  await runCoordinator(world.resources(), { deadlineMs: world.clock.now() + HOUR_MS, request: {}, workers });
  const { epoch, checkpoint } = await world.control();
  expect(checkpoint).toMatchObject({ status: "COMPLETED", keys: KEYS });
  const { files } = await readManifestOf(world, epoch);
  expect(files.reduce((sum, { items }) => sum + items, 0)).toBe(KEYS);
  await world.ask({ checkpoint: epoch });
  for (let run = 0; run < 10; run += 1) {
    await world.runCoordinator({ workers });
    if ((await world.control()).phase === "RUNNING" && (await world.control()).requested === undefined) break;
  }
  await expectOneLiveGeneration(world);
  await expectAllResolved(world);
  await world.checkpoint();
  await expectPromise(world);
}

describe("work that is handed out", () => {
  it.each([1, 4, 16])("by %i workers: every slice and part is done once, none by the coordinator", async (count) => {
    const world = await setup();
    const fleet = fleetOf(world, count);
    await checkpointAndRestore(world, fleet);
    const kinds = (kind: string) => fleet.asked.filter(({ work }) => work === kind).length;
    expect(kinds("snapshot")).toBe(count);
    expect(kinds("check")).toBe(kinds("load"));
    expect(kinds("load")).toBeGreaterThan(0);
  });

  it.each([1, 4, 16])("by %i workers, one of which dies at one of its calls: the counts are equal", async (count) => {
    let deaths = 0;
    // Among the first is a snapshot's; then come checks, and then loads.
    for (const invocation of [1, count, count + 1, 2 * count, 2 * count + 1]) {
      for (const call of [1, 3, 6]) {
        const world = await setup();
        const fleet = fleetOf(world, count, { invocation, call });
        await checkpointAndRestore(world, fleet);
        deaths += fleet.deaths;
      }
    }
    expect(deaths).toBeGreaterThan(8);
  });

  it("is given out again when a worker stops at its deadline, and goes on at its cursor", async () => {
    const world = await setup();
    const fleet = fleetOf(world, 1);
    let stopped = 0;
    const invoke: WorkInvoker = async (request) => {
      if (request.work !== "load" || stopped++ > 0) return fleet.invoke(request);
      // Time is up after half of the part's items.
      const process = world.start((call) => {
        if (call.step.startsWith("state.write")) world.clock.ms += 5_000;
        return undefined;
      });
      const work = createWorkerHandler(world.resources(process));
      return work(request, { deadlineMs: world.clock.now() + 60_000 });
    };
    await checkpointAndRestore(world, { invoke, count: 1 });
    expect(stopped).toBe(2);
  });

  it("is given up, with what to do, when every worker dies; the next run of the coordinator goes on", async () => {
    const world = await setup();
    const dying: Workers = { invoke: () => Promise.reject(new Error("killed")), count: 4 };
    await expect(world.coordinate({ request: {}, workers: dying })).rejects.toThrow(
      /failed 6 times in a row.*snapshot function's log/,
    );
    expect(await world.coordinate({ workers: fleetOf(world, 4) })).toMatchObject({ outcome: "completed", keys: KEYS });
  });

  it("is refused when it is none of the coordinator's", async () => {
    const world = await setup();
    const work = createWorkerHandler(world.resources());
    const refused = work({ savepoint: "x" }, { deadlineMs: Number.POSITIVE_INFINITY });
    await expect(refused).rejects.toThrow(TidemarkError);
    await expect(refused).rejects.toThrow(/no work of the coordinator's/);
  });

  it("of a checkpoint that is over, or of a restore that was replaced, is superseded and writes nothing", async () => {
    const world = await setup();
    const fleet = fleetOf(world, 1);
    await checkpointAndRestore(world, fleet);
    for (const request of fleet.asked) {
      const process = world.start();
      const answer = await createWorkerHandler(world.resources(process))(request, {
        deadlineMs: Number.POSITIVE_INFINITY,
      });
      expect(answer, request.work).toEqual({ outcome: "superseded" });
      expect(process.log.filter((step) => /write|update|put/.test(step))).toEqual([]);
    }
  });
});
