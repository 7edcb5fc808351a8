/** How a carrier asks for a split's replay, waits, and gives up. */
import { describe, expect, test } from "vitest";
import type { ReplayAnswer } from "../../../shared/batch/replay-split.ts";
import { path, value } from "../../../shared/control/conditional-write.ts";
import { splitKey } from "../../../shared/control/item-keys.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import type { Carrier } from "../../../shared/restore/carrier.ts";
import type { ReplayRequest } from "../../../shared/restore/replay-invoker.ts";
import { replaySplit } from "../../../shared/restore/replay-split.ts";
import type { FaultyProcess } from "../../support/faulty-stores.ts";
import { at, HOUR_MS, MINUTE_MS, TestWorld } from "../../support/test-world.ts";

class ReplayedWorld extends TestWorld {
  readonly asked: ReplayRequest[] = [];

  /** With the middle of every jitter. */
  override resources(process: FaultyProcess = this.main) {
    return { ...super.resources(process), randomness: { fraction: () => 0.5, token: () => this.randomness.token() } };
  }

  /** Carries the restore on; the replayer answers, throws or replays, one after the other, the last of these for ever. */
  carryOnWith(
    answers: readonly (Partial<ReplayAnswer> | Error | "replay")[],
    deadlineMs = this.clock.ms + 24 * HOUR_MS,
  ) {
    return this.carryOn({
      deadlineMs,
      replay: async (request) => {
        const answer = answers[Math.min(this.asked.length, answers.length - 1)];
        this.asked.push(request);
        if (answer instanceof Error || answer === undefined) throw answer;
        if (answer !== "replay") return { position: "", done: false, replayedRecords: 0, ...answer };
        await this.deliverReplayed(request);
        return { position: "", done: true };
      },
    });
  }

  private async deliverReplayed({ split, generation }: ReplayRequest): Promise<void> {
    const { processBatch } = await import("../../../shared/batch/process-batch.ts");
    const role = { phase: "REPLAYING", generation } as const;
    const records = this.source.records(split, 2, 3);
    await processBatch(this.engine(), { split, records, role, deadlineMs: Number.POSITIVE_INFINITY });
  }
}

/** A restore to record 1 of s, which was read up to 3; triesMax is 3. */
async function restoring(): Promise<ReplayedWorld> {
  const world = new ReplayedWorld();
  world.split("s", "aaa");
  await world.deliver("s", 1, 1);
  await world.checkpoint();
  await world.deliver("s", 2, 3);
  await world.request();
  world.clock.slept.length = 0;
  return world;
}

const died = new TidemarkError("retry", "it died");

describe("a split's replay", () => {
  test("is asked for, two minutes at a time or for what is left, until the split itself says that it is done", async () => {
    const world = await restoring();
    const request = { function: "log", split: "s", generation: 2 };
    expect(await world.carryOnWith(["replay"])).toMatchObject({ outcome: "finished" });
    expect(world.asked).toEqual([{ ...request, milliseconds: 2 * MINUTE_MS }]);
    expect(world.ofType("split-replayed")).toEqual([
      { type: "split-replayed", function: "log", split: "s", position: at(3) },
    ]);

    const short = await restoring();
    await short.carryOnWith(["replay"], short.clock.ms + MINUTE_MS);
    expect(short.asked).toEqual([{ ...request, milliseconds: MINUTE_MS }]);
  });

  test("is given up where its position stays, after more tries than halving and dead letters take", async () => {
    const world = await restoring();
    await expect(world.carryOnWith([{}])).rejects.toMatchObject({
      ...{ kind: "fix-function" },
      message: expect.stringMatching(/stays at position "000001" and has to reach "000003"\. Repair/),
    });
    expect(world.asked).toHaveLength(18);
    expect(world.clock.slept).toEqual([200, 400, 800, 1_600, 3_200, ...Array<number>(12).fill(5_000)]);
  });

  test("that is given up names what the record after it fails with", async () => {
    const world = await restoring();
    world.behaviour = { poison: ["s2", "s3"] };
    await world.carryOnWith(["replay", new TidemarkError("fix-function", "enough")]).catch(() => undefined);
    await expect(world.carryOnWith([{}])).rejects.toThrow("fails with: Error: cannot fold s2");
  });

  test("is asked for again after an invocation that died, eight times in a row at the most", async () => {
    for (const failure of [died, new Error("socket hang up")]) {
      const world = await restoring();
      await expect(world.carryOnWith([failure])).rejects.toMatchObject({
        ...{ kind: "retry", cause: failure, message: expect.stringContaining("failed 8 times in a row") },
      });
      expect(world.clock.slept).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }
  });

  test("counts deaths afresh after an answer, and standing still after a death", async () => {
    const world = await restoring();
    expect(await world.carryOnWith([{}, died, died, {}, died, "replay"])).toMatchObject({ outcome: "finished" });
    expect(world.clock.slept).toEqual([200, 200, 400, 200, 200]);
  });

  test("is not this restore's where the split is of another generation, unborn or gone", async () => {
    const world = await restoring();
    const { restore } = await world.control();
    await world.stores.control.update(splitKey("log", "u"), { conditions: [], set: [[path("attempt"), value(0)]] });
    const carrier = { resources: world.resources(), plan: { ...restore, target: 2 } } as unknown as Carrier;
    for (const split of ["s", "u", "gone"]) {
      expect(await replaySplit(carrier, { function: "log", split })).toBe("superseded");
    }
  });

  test("ends with what the replayer refuses", async () => {
    const world = await restoring();
    const refusal = new TidemarkError("fix-configuration", "of another mode");
    await expect(world.carryOnWith([refusal])).rejects.toBe(refusal);
    expect(world.clock.slept).toEqual([]);
  });

  test("is not asked for any more at the deadline, or once another restore was recorded", async () => {
    const world = await restoring();
    expect(await world.carryOnWith([{}], world.clock.ms + 1_000)).toMatchObject({ outcome: "unfinished" });
    const other = await restoring();
    const replaced = other.carryOn({
      replay: async () => {
        // The same checkpoint, but held: another restore.
        await other.request({ checkpoint: 1, until: { arrivedByMs: other.clock.ms + HOUR_MS } });
        return { position: "", done: false };
      },
    });
    expect(await replaced).toMatchObject({ outcome: "superseded" });
  });
});
