import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { forEach } from "../../shared/for-each.ts";

describe("work for each item, so many at a time", () => {
  test("begins no more at a time, and takes an item only when there is room for it", async () => {
    const taken: number[] = [];
    let running = 0;
    let most = 0;
    function* items(): Generator<number> {
      for (let item = 0; item < 7; item += 1) {
        taken.push(item);
        yield item;
      }
    }
    await forEach(items(), 3, async (item) => {
      expect(taken.length - item).toBeLessThanOrEqual(3);
      running += 1;
      most = Math.max(most, running);
      await turn();
      running -= 1;
    });
    expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(most).toBe(3);
  });

  test.each([
    ["an array", (items: readonly number[]) => items],
    ["a generator", (items: readonly number[]) => items.values()],
  ])("takes no more of %s once one has failed, and throws what it failed with", async (_, from) => {
    const done: number[] = [];
    const work = forEach(from([0, 1, 2, 3, 4, 5]), 2, async (item) => {
      await turn();
      if (item === 2) throw new Error("no");
      done.push(item);
    });
    await expect(work).rejects.toThrow("no");
    await turn();
    await turn();
    expect(done).toEqual([0, 1, 3]);
  });

  test("throws what the items themselves fail with", async () => {
    function* items(): Generator<number> {
      yield 1;
      throw new Error("no more");
    }
    await expect(forEach(items(), 2, async () => {})).rejects.toThrow("no more");
  });

  test("has nothing to do for no items", async () => {
    await forEach([], 4, () => Promise.reject(new Error("never")));
  });
});
