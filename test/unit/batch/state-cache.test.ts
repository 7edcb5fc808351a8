import { describe, expect, test } from "vitest";
import { StateCache } from "../../../shared/batch/state-cache.ts";
import type { JsonValue } from "../../../shared/json/json-value.ts";
import type { StateItem } from "../../../shared/state/state-item.ts";

const item = (key: string, v = "v", generation = 1): StateItem => ({
  ...{ key, generation, v, epoch: 0, applied: {} },
  state: { value: null, version: 1 },
});

function cacheOf(itemsMax: number, ...keys: string[]): StateCache {
  const cache = new StateCache({ itemsMax });
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

  test("take a bounded share of memory, whatever an item's size: those put longest ago go", () => {
    const cache = new StateCache({ bytesMax: 1_000_000 });
    cache.enter(1);
    const large = (key: string, value: JsonValue): StateItem => ({ ...item(key), state: { value, version: 1 } });
    for (const key of ["a", "b", "c"]) cache.put(large(key, { text: "x".repeat(200_000) }));
    expect(heldBy(cache)).toEqual(["b", "c"]);
    cache.put(large("a", Array(200_000).fill(1)));
    expect(heldBy(cache)).toEqual([]);
    cache.put(item("b"));
    expect(heldBy(cache)).toEqual(["b"]);
  });

  test("count an item once however often it is put, and nothing of what was forgotten", () => {
    const cache = new StateCache({ bytesMax: 1_000_000 });
    cache.enter(1);
    const large = { ...item("a"), state: { value: "x".repeat(400_000), version: 1 } };
    for (let times = 0; times < 10; times++) cache.put(large);
    cache.put(item("b"));
    expect(heldBy(cache)).toEqual(["a", "b"]);
    cache.forget("a");
    cache.enter(2);
    cache.enter(1);
    cache.put(large);
    cache.put(item("b"));
    expect(heldBy(cache)).toEqual(["a", "b"]);
  });

  test("are, by default, some hundred where each is of 100 KB", () => {
    const cache = new StateCache();
    cache.enter(1);
    const keys = Array.from({ length: 2_000 }, (_, n) => `k${n}`);
    for (const key of keys) {
      const value = { log: Array.from({ length: 2_000 }, (_, index) => `${key}-${index}`) };
      cache.put({ ...item(key), state: { value, version: 1 } });
    }
    const held = keys.filter((key) => cache.get(key) !== undefined).length;
    expect(held).toBeGreaterThan(100);
    expect(held).toBeLessThan(500);
  });
});
