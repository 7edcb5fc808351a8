import { describe, expect, test } from "vitest";
import type { AppResources } from "../../../shared/app/app-resources.ts";
import { freshAtBeginning, lookAtSplit, tailHasExpired } from "../../../shared/checkpoint/look-at-split.ts";
import { EXPIRY_MARGIN_MS } from "../../../shared/control/begin.ts";
import type { Split } from "../../../shared/control/split.ts";
import type { Source, SplitLook } from "../../../shared/source/source.ts";
import { at, HOUR_MS, START_MS, TestWorld } from "../../support/test-world.ts";

const PLACE = { function: "log", split: "s" };
const REDRIVE = { function: "log", split: "redrive" };
const NOTHING: SplitLook = { holdsRecords: false, ended: false };

/** Record 1 of s is folded, and the split was fresh at START_MS; what the source says of it is up to the test. */
async function world({ freshAt = START_MS, ...more }: Partial<Split> = {}) {
  const world = new TestWorld();
  world.split("s", "ab", { arrivalTimeMs: () => freshAt });
  await world.deliver("s", 1, 1);
  const read: Split = { ...((await world.itemOf("s")) as Split), ...more };
  world.events.length = 0;
  return { world, read };
}

function resourcesOf(world: TestWorld, look: SplitLook | Error, retentionMs?: number): AppResources {
  const answer = async (): Promise<SplitLook> => {
    if (look instanceof Error) throw look;
    return look;
  };
  const holdsAny = async () => (await answer()).holdsRecords;
  const source = { reader: { look: answer, holdsAny }, retentionMs: async () => retentionMs } as unknown as Source;
  return { ...world.resources(), sourceOf: () => source };
}

describe("a look at a split", () => {
  test("that holds nothing more keeps it fresh, and finds its end", async () => {
    for (const ended of [false, true]) {
      const { world: seen, read } = await world();
      seen.clock.ms += HOUR_MS;
      const noted = await lookAtSplit(resourcesOf(seen, { ...NOTHING, ended }), PLACE, read);
      expect(noted).toMatchObject({ freshAt: seen.clock.ms, position: at(1) });
      expect(noted.ended).toBe(ended ? true : undefined);
      expect(await seen.itemOf("s")).toEqual(noted);
      expect(seen.events).toEqual([{ type: "lag", ...PLACE, milliseconds: 0 }]);
    }
  });

  test("is not taken where the split has ended", async () => {
    const { world: seen, read } = await world({ ended: true });
    expect(await lookAtSplit(resourcesOf(seen, new Error("asked")), PLACE, read)).toBe(read);
    expect(seen.events).toEqual([]);
  });

  test("that holds more measures the lag, and notes nothing", async () => {
    const { world: seen, read } = await world();
    seen.clock.ms += HOUR_MS;
    const holding = (firstArrivalTimeMs: number) => ({ holdsRecords: true, ended: false, firstArrivalTimeMs });
    expect(await lookAtSplit(resourcesOf(seen, holding(START_MS + 1_000)), PLACE, read)).toBe(read);
    // The source's clock is not ours.
    await lookAtSplit(resourcesOf(seen, holding(seen.clock.ms + 5)), PLACE, read);
    await lookAtSplit(resourcesOf(seen, { holdsRecords: true, ended: false }), PLACE, read);
    expect(seen.events).toEqual([
      { type: "lag", ...PLACE, milliseconds: HOUR_MS - 1_000 },
      { type: "lag", ...PLACE, milliseconds: 0 },
    ]);
    expect((await seen.itemOf("s"))?.freshAt).toBe(START_MS);
  });

  test("notes nothing of a split with a tried tail", async () => {
    const { world: seen, read } = await world({ attemptedTo: at(2) });
    seen.clock.ms += HOUR_MS;
    expect(await lookAtSplit(resourcesOf(seen, NOTHING), PLACE, read)).toBe(read);
    expect((await seen.itemOf("s"))?.freshAt).toBe(START_MS);
  });

  test("that fails is told, and changes nothing", async () => {
    const { world: seen, read } = await world();
    expect(await lookAtSplit(resourcesOf(seen, new Error("out of reach")), PLACE, read)).toBe(read);
    expect(seen.events).toEqual([{ type: "look-failed", ...PLACE, error: "Error: out of reach" }]);
  });

  test("of a split that was changed meanwhile leaves it as it was read", async () => {
    const { world: seen, read } = await world();
    await seen.deliver("s", 2, 2);
    expect(await lookAtSplit(resourcesOf(seen, NOTHING), PLACE, read)).toBe(read);
    expect(await lookAtSplit(resourcesOf(seen, { ...NOTHING, ended: true }, 1), PLACE, read)).toBe(read);
    expect(seen.ofType("hole")).toEqual([]);
  });
});

describe("a look at a split in which records may have come and expired unseen", () => {
  const RETENTION_MS = 24 * HOUR_MS;
  /** The split was fresh so long ago that a record of then is just about to expire, or has been for a moment. */
  const missedAfterMs = (moment: number) => RETENTION_MS - EXPIRY_MARGIN_MS + moment;

  test("keeps it fresh as long as none can have", async () => {
    const { world: seen, read } = await world();
    seen.clock.ms += missedAfterMs(0);
    expect((await lookAtSplit(resourcesOf(seen, NOTHING, RETENTION_MS), PLACE, read)).freshAt).toBe(seen.clock.ms);
  });

  test("leaves it to the next batch to note them", async () => {
    const { world: seen, read } = await world();
    seen.clock.ms += missedAfterMs(1);
    expect(await lookAtSplit(resourcesOf(seen, NOTHING, RETENTION_MS), PLACE, read)).toBe(read);
    expect(seen.ofType("hole")).toEqual([]);
  });

  test("notes them itself where the split has ended", async () => {
    const { world: seen, read } = await world();
    seen.clock.ms += missedAfterMs(1);
    const noted = await lookAtSplit(resourcesOf(seen, { ...NOTHING, ended: true }, RETENTION_MS), PLACE, read);
    const hole = { cause: "expired", after: at(1) };
    expect(noted).toMatchObject({ ended: true, freshAt: seen.clock.ms, holes: [hole] });
    expect(seen.ofType("hole")).toEqual([{ type: "hole", ...PLACE, generation: 1, epoch: 0, hole }]);
  });

  test("cannot be one of redriven letters, which do not expire", async () => {
    const { world: seen } = await world();
    seen.split("x", "!");
    await seen.deliver("x", 1, 1);
    await seen.redriveLetters();
    await seen.deliverRedriven();
    seen.clock.ms += missedAfterMs(1);
    const read = (await seen.itemOf("redrive")) as Split;
    const noted = await lookAtSplit(resourcesOf(seen, NOTHING, RETENTION_MS), REDRIVE, read);
    expect(noted.freshAt).toBe(seen.clock.ms);
  });
});

describe("a tried tail", () => {
  test("has expired where the source holds nothing of it, and is there where nobody knows", async () => {
    const { world: seen, read } = await world({ attemptedTo: at(2) });
    const expired = (look: SplitLook | Error) => tailHasExpired(resourcesOf(seen, look), PLACE, read);
    expect(await expired(NOTHING)).toBe(true);
    expect(await expired({ ...NOTHING, holdsRecords: true })).toBe(false);
    expect(await expired(new Error("out of reach"))).toBe(false);
  });
});

describe("a split at its beginning", () => {
  const HOLDING = { holdsRecords: true, ended: false };

  test.each<[string, SplitLook | Error, number | undefined, number]>([
    ["is fresh now where the source keeps everything", HOLDING, undefined, START_MS],
    ["is fresh now where the source holds nothing", NOTHING, HOUR_MS, START_MS],
    ["is as fresh as the first record that is held", { ...HOLDING, firstArrivalTimeMs: 7 }, HOUR_MS, 7],
    ["was never fresh where nobody knows when that arrived", HOLDING, HOUR_MS, 0],
    ["was never fresh where the source is out of reach", new Error("out of reach"), HOUR_MS, 0],
  ])("%s", async (_, look, retentionMs, freshAtMs) => {
    expect(await freshAtBeginning(resourcesOf(new TestWorld(), look, retentionMs), PLACE)).toBe(freshAtMs);
  });

  test("of redriven letters is fresh now", async () => {
    expect(await freshAtBeginning(resourcesOf(new TestWorld(), new Error("asked"), 1), REDRIVE)).toBe(START_MS);
  });
});
