import { describe, expect, test } from "vitest";
import { StateCache } from "../../../shared/batch/state-cache.ts";
import type { StateItem } from "../../../shared/state/state-item.ts";

const item = (key: string, v = "v", generation = 1): StateItem => ({
  ...{ key, generation, v, epoch: 0, applied: {} },
  state: { value: null, version: 1 },
});

function cacheOf(itemsMax: number, ...keys: string[]): StateCache {
  const cache = new StateCache(itemsMax);
  cache.enter(1);
  for (const key of keys) cache.put(item(key));
  return cache;
}

const heldBy = (cache: StateCache): string[] => ["a", "b", "c"].filter((key) => cache.get(key) !== undefined);

describe("a worker's copies", () => {
  test("are what was put last, until it is forgotten", () => {
    const cache = cacheOf(10, "a");
    cache.put(item("a", "w"));
    expect(cache.get("a")).toEqual(item("a", "w"));
    cache.forget("a");
    expect(cache.get("a")).toBeUndefined();
  });

  test("are of one generation: another one empties them, the same one does not", () => {
    const cache = cacheOf(10, "a");
    cache.enter(1);
    expect(heldBy(cache)).toEqual(["a"]);
    cache.enter(2);
    expect(heldBy(cache)).toEqual([]);
  });

  test("take no item of another generation", () => {
    const cache = cacheOf(10);
    cache.put(item("a", "v", 2));
    expect(heldBy(cache)).toEqual([]);
  });

  test("are as many as they may be: the one put longest ago goes", () => {
    expect(heldBy(cacheOf(2, "a", "b"))).toEqual(["a", "b"]);
    expect(heldBy(cacheOf(2, "a", "b", "c"))).toEqual(["b", "c"]);
    expect(heldBy(cacheOf(2, "a", "b", "a", "c"))).toEqual(["a", "c"]);
  });
});
