import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Feed } from "../../../../../examples/flights/demo/feed.ts";

let folder: string;
let feed: Feed;

const LINES = 4_000;
/** Longer than the feed's chunks, so that lines are cut by their ends. */
const text = (split: number): string =>
  Array.from({ length: LINES }, (_, row) => `${JSON.stringify({ split, row, filler: "x".repeat(row % 300) })}\n`).join(
    "",
  );

const arrivedOf = (split: number): Promise<string> => readFile(path.join(folder, "live", `${split}.jsonl`), "utf8");

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-feed-"));
  const dealt = await Promise.all(
    [0, 1].map(async (split) => {
      const file = path.join(folder, `${split}.jsonl`);
      await writeFile(file, text(split));
      return { split: `${split}.jsonl`, file, flights: LINES };
    }),
  );
  feed = await Feed.open(dealt, path.join(folder, "live"));
});

afterEach(async () => {
  await feed.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("Feed", () => {
  it("begins with empty files", async () => {
    expect(await arrivedOf(0)).toBe("");
    expect(feed).toMatchObject({ flights: 2 * LINES, arrived: 0, toCome: 2 * LINES });
  });

  it("lets in whole flights, in order, no more than an act may have", async () => {
    feed.letIn(0.02);
    feed.start(() => feed.arrived);
    await vi.waitFor(() => expect(feed.arrived).toBe(160), { timeout: 20_000 });
    await feed.stop();
    const lines = text(1).split("\n").slice(0, 80);
    expect(await arrivedOf(1)).toBe(`${lines.join("\n")}\n`);
  });

  it("does not run ahead of the functions", async () => {
    let folded = 0;
    feed.letIn(1);
    feed.start(() => folded);
    // Room is counted in whole flights of each split.
    for (const lead of [3_000, 3_500]) {
      folded = lead - 3_000;
      await vi.waitFor(() => expect(feed.arrived).toBeGreaterThanOrEqual(lead), { timeout: 20_000 });
      await sleep(300);
      expect(feed.arrived).toBeLessThanOrEqual(lead + 2);
    }
  });

  it("lets in all the rest when drained, byte for byte", async () => {
    feed.letIn(0.02);
    feed.start(() => 0);
    feed.drain();
    await vi.waitFor(() => expect(feed.toCome).toBe(0), { timeout: 20_000 });
    await feed.stop();
    expect(await arrivedOf(0)).toBe(text(0));
    expect(await arrivedOf(1)).toBe(text(1));
  });
});
