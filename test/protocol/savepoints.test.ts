/** A savepoint's name is had by one of them, whatever dies and whoever asks at once. */
import { describe, expect, it } from "vitest";
import { listCheckpoints } from "../../shared/checkpoint/lineage.ts";
import type { CheckpointRequest } from "../../shared/checkpoint/savepoints.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { everyCall, everyPause } from "../support/every-call.ts";
import type { FaultyProcess } from "../support/faulty-stores.ts";
import { expectPromise } from "../support/oracle.ts";
import { TestWorld } from "../support/test-world.ts";

async function started(): Promise<TestWorld> {
  const world = new TestWorld({ retained: 1 });
  world.split("s", "abcabc");
  await world.deliver("s", 1, 2);
  return world;
}

/** Completed savepoints of the name, by number. */
async function named(world: TestWorld, name = "base"): Promise<number[]> {
  const found: number[] = [];
  for await (const one of listCheckpoints(world.stores.storage, world.resources().app.name)) {
    if (one.status === "completed" && one.savepoint === name) found.push(one.checkpoint);
  }
  return found;
}

/** Asks; a refusal of the name is an answer as well. */
async function ask(world: TestWorld, request: CheckpointRequest, process?: FaultyProcess): Promise<unknown> {
  try {
    return await world.coordinate({ request, ...(process === undefined ? {} : { process }) });
  } catch (thrown) {
    if (thrown instanceof TidemarkError && thrown.kind === "fix-configuration") return "refused";
    throw thrown;
  }
}

describe("a savepoint's name", () => {
  it("is had by one of two that ask at once, wherever one is held while the other asks", async () => {
    const calls = await everyPause({
      setup: started,
      stalled: (world, process) => ask(world, { savepoint: "base", token: "one" }, process),
      other: (world, process) => ask(world, { savepoint: "base", token: "two" }, process),
      after: async (world) => {
        expect(await named(world)).toHaveLength(1);
        await expectPromise(world);
      },
    });
    expect(calls).toBeGreaterThan(10);
  });

  it("is had by one when its request dies, or is answered late, at any call, and is made again", async () => {
    for (const fault of ["dies before", "dies after", "answer lost"] as const) {
      await everyCall(fault, {
        setup: started,
        act: (world, process) => ask(world, { savepoint: "base", token: "mine" }, process),
        after: async (world) => {
          await ask(world, { savepoint: "base", token: "mine" });
          expect(await named(world)).toEqual([1]);
          expect(await ask(world, { savepoint: "base", token: "another" })).toBe("refused");
          expect((await world.control()).epoch).toBe(1);
        },
      });
    }
  });

  it("leads to the new one once it was replaced, wherever that dies, and the old one goes by retention", async () => {
    for (const fault of ["dies before", "dies after"] as const) {
      await everyCall(fault, {
        setup: async () => {
          const world = await started();
          await world.checkpoint({ savepoint: "base" });
          await world.deliver("s", 3, 4);
          return world;
        },
        act: (world, process) => ask(world, { savepoint: "base", replace: true, token: "mine" }, process),
        after: async (world) => {
          // The old one has the name until the new one is there.
          expect(await named(world)).toContain(1);
          await ask(world, { savepoint: "base", replace: true, token: "mine" });
          expect((await named(world)).at(-1)).toBe(2);
          await world.checkpoint();
          expect(await named(world)).toEqual([2]);
          await expectPromise(world);
        },
      });
    }
  });

  it("stays with a savepoint, which no retention deletes, until it is replaced", async () => {
    const world = await started();
    await world.checkpoint({ savepoint: "base" });
    for (let n = 2; n <= 4; n += 1) await world.checkpoint();
    expect(await named(world)).toEqual([1]);
  });
});
