import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonValue } from "../../shared/json/json-value.ts";
import type { StateBackend, StateScope } from "../../shared/state/state-backend.ts";
import { ABSENT, type StateItem } from "../../shared/state/state-item.ts";

export interface StateBackendUnderTest {
  readonly backend: StateBackend;
  /** A function that nothing has written state for. */
  newFunction(): Promise<string>;
  close(): Promise<void>;
}

const WHOLE = { index: 0, count: 1 };

/** What every state backend owes its callers. `pageItems`: how many items the backend's scan pages hold at most. */
export function stateContract(name: string, start: () => Promise<StateBackendUnderTest>, pageItems: number): void {
  describe(`state backend contract: ${name}`, () => {
    let started: StateBackendUnderTest;
    let backend: StateBackend;
    let tokens = 0;
    const token = () => `v${tokens++}`;
    const freshScope = async (generation = 1): Promise<StateScope> => ({
      function: await started.newFunction(),
      generation,
    });
    const itemOf = (key: string, value: JsonValue, more: Partial<StateItem> = {}): StateItem => ({
      key,
      generation: 1,
      v: token(),
      epoch: 0,
      state: { value, version: 1 },
      applied: {},
      ...more,
    });
    const create = async (scope: StateScope, item: StateItem) => {
      expect(await backend.write(scope.function, { ...item, generation: scope.generation }, undefined)).toBe(true);
    };
    const loadOne = async (scope: StateScope, key: string) => (await backend.load(scope, [key])).get(key);
    const scanAll = async (scope: StateScope, slice = WHOLE, cursor?: string) => {
      const items: StateItem[] = [];
      for await (const page of backend.scan(scope, slice, cursor)) items.push(...page.items);
      return items;
    };

    beforeAll(async () => {
      started = await start();
      backend = started.backend;
    });
    afterAll(() => started.close());

    it("loads nothing where nothing was written, and asks for nothing where no key is given", async () => {
      const scope = await freshScope();
      expect(await backend.load(scope, ["a", "b"])).toEqual(new Map());
      expect(await backend.load(scope, [])).toEqual(new Map());
      expect(await scanAll(scope)).toEqual([]);
    });

    it("gives back every part of an item as it was written", async () => {
      const scope = await freshScope();
      const item = itemOf(
        "k",
        { n: 1.5, list: [1, "", null, { deep: [true, false] }], empty: {}, none: [] },
        {
          epoch: 7,
          applied: { "shard-1": "000000000000000000042", "shard-2": "" },
          before: { value: [1, 2], version: 3 },
        },
      );
      await create(scope, item);
      expect(await loadOne(scope, "k")).toEqual(item);
      expect(await scanAll(scope)).toEqual([item]);
    });

    it.each([
      ["none", undefined],
      ["absent", ABSENT],
      ["a present null", { value: null, version: 2 }],
      ["an empty string", { value: "", version: 1 }],
      ["the text of the absent image", { value: ABSENT, version: 1 }],
      ["an empty object", { value: {}, version: 1 }],
    ] as const)("keeps a before-image that is %s apart from all others", async (_, before) => {
      const scope = await freshScope();
      const item = itemOf("k", 1, before === undefined ? {} : { before });
      await create(scope, item);
      const loaded = await loadOne(scope, "k");
      expect(loaded).toEqual(item);
      expect(loaded !== undefined && "before" in loaded).toBe(before !== undefined);
    });

    it.each([[null], [false], [0], [""], [[]], [{}]] as const)("tells a tombstone from the state %j", async (state) => {
      const scope = await freshScope();
      const cleared = itemOf("cleared", 0, { state: ABSENT, applied: { s: "1" } });
      const present = itemOf("present", state);
      await create(scope, cleared);
      await create(scope, present);
      expect(await backend.load(scope, ["cleared", "present"])).toEqual(
        new Map([
          ["cleared", cleared],
          ["present", present],
        ]),
      );
    });

    it("keeps deep nesting, member names that other code treats specially, and every kind of number", async () => {
      const scope = await freshScope();
      let deep: JsonValue = "bottom";
      for (let i = 0; i < 28; i++) deep = i % 2 ? [deep] : { in: deep };
      const state = {
        deep,
        special: { constructor: 1, toString: "x", "with space.and#": 2, state: { M: { S: "x" } } },
        numbers: [0.1, -1e-130, 9.9e125, 2 ** 53, 2 ** 64, -0.1234567890123456, 1e21, 5e-7],
        // The composed letter and the composed sequence, a character beyond the first plane, a zero byte.
        text: "\u00e9 e\u0301 \u{1F9CA} \u0000 \u2028",
      };
      await create(scope, itemOf("k", state, { before: { value: state, version: 1 } }));
      const loaded = await loadOne(scope, "k");
      expect(loaded?.state).toStrictEqual({ value: state, version: 1 });
      expect(loaded?.before).toStrictEqual({ value: state, version: 1 });
    });

    it("gives back BigInts as BigInts, and doubles of the same digits as doubles, in a state and in a before-image of any size", async () => {
      const scope = await freshScope();
      const state = { total: 0n, double: 1e20, big: 10n ** 20n, all: [10n ** 38n - 1n, -(10n ** 38n) + 1n], n: 0 };
      // Beside a state of this size DynamoDB puts the before-image into an item of its own.
      const large = { text: "x".repeat(250_000), ids: [2n ** 64n, 2 ** 64] };
      await create(scope, itemOf("small", state, { before: { value: [1n, 1], version: 1 } }));
      await create(scope, itemOf("large", large, { before: { value: large, version: 1 } }));
      const items = [...(await backend.load(scope, ["small", "large"])).values(), ...(await scanAll(scope))];
      const of = (key: string) =>
        items.filter((item) => item.key === key).map(({ state: now, before }) => [now, before]);
      const smallImages = [
        { value: state, version: 1 },
        { value: [1n, 1], version: 1 },
      ];
      const largeImage = { value: large, version: 1 };
      expect(of("small")).toStrictEqual([smallImages, smallImages]);
      expect(of("large")).toStrictEqual([
        [largeImage, largeImage],
        [largeImage, largeImage],
      ]);
    });

    it("keeps keys apart that differ only in bytes, up to 2,048 of them", async () => {
      const scope = await freshScope();
      const keys = [
        "\u00e9",
        "e\u0301",
        "\u{1F9CA}",
        "a",
        "A",
        "a ",
        " a",
        "__proto__",
        "#before#",
        "x".repeat(2_048),
        "\u20ac".repeat(682),
      ];
      for (const [i, key] of keys.entries()) await create(scope, itemOf(key, i));
      const loaded = await backend.load(scope, keys);
      expect(keys.map((key) => loaded.get(key)?.state)).toEqual(keys.map((_, value) => ({ value, version: 1 })));
      expect(new Set((await scanAll(scope)).map((item) => item.key))).toEqual(new Set(keys));
    });

    it("loads 250 keys at once, and leaves out those that have no item", async () => {
      const scope = await freshScope();
      const keys = Array.from({ length: 250 }, (_, i) => `key-${i}`);
      const written = keys.filter((_, i) => i % 5 !== 0);
      await Promise.all(written.map((key) => create(scope, itemOf(key, key))));
      const loaded = await backend.load(scope, keys);
      expect([...loaded.keys()].sort()).toEqual([...written].sort());
      for (const [key, item] of loaded) expect(item.state).toEqual({ value: key, version: 1 });
    });

    it("refuses to create what exists, to replace what does not, and to replace another version; changes nothing then", async () => {
      const scope = await freshScope();
      const first = itemOf("k", 1);
      expect(await backend.write(scope.function, first, "never-written")).toBe(false);
      expect(await loadOne(scope, "k")).toBeUndefined();
      await create(scope, first);
      expect(await backend.write(scope.function, itemOf("k", 2), undefined)).toBe(false);
      expect(await backend.write(scope.function, itemOf("k", 2), "another")).toBe(false);
      expect(await loadOne(scope, "k")).toEqual(first);
      const second = itemOf("k", 2);
      expect(await backend.write(scope.function, second, first.v)).toBe(true);
      expect(await backend.write(scope.function, itemOf("k", 3), first.v)).toBe(false);
      expect(await loadOne(scope, "k")).toEqual(second);
    });

    it("replaces the whole item: nothing of the one before shines through", async () => {
      const scope = await freshScope();
      const first = itemOf("k", { a: 1 }, { applied: { s: "1" }, before: { value: 9, version: 9 }, epoch: 3 });
      await create(scope, first);
      const second = itemOf("k", 0, { state: ABSENT });
      expect(await backend.write(scope.function, second, first.v)).toBe(true);
      expect(await loadOne(scope, "k")).toEqual(second);
      const third = itemOf("k", { b: 2 });
      expect(await backend.write(scope.function, third, second.v)).toBe(true);
      expect(await loadOne(scope, "k")).toEqual(third);
    });

    it("lets one of many concurrent writers of a version win", async () => {
      const scope = await freshScope();
      const created = await Promise.all(
        Array.from({ length: 10 }, (_, i) => backend.write(scope.function, itemOf("k", i), undefined)),
      );
      expect(created.filter(Boolean)).toHaveLength(1);
      const v = (await loadOne(scope, "k"))?.v;
      const replaced = await Promise.all(
        Array.from({ length: 10 }, (_, i) => backend.write(scope.function, itemOf("k", i), v)),
      );
      expect(replaced.filter(Boolean)).toHaveLength(1);
    });

    it("loses no update of writers that load, add and write again on a conflict", async () => {
      const scope = await freshScope();
      const increment = async () => {
        for (;;) {
          const old = await loadOne(scope, "k");
          const value = old === undefined || old.state === ABSENT ? 0 : (old.state.value as number);
          if (await backend.write(scope.function, itemOf("k", value + 1), old?.v)) return;
        }
      };
      await Promise.all(
        Array.from({ length: 5 }, async () => {
          for (let i = 0; i < 6; i++) await increment();
        }),
      );
      expect((await loadOne(scope, "k"))?.state).toEqual({ value: 30, version: 1 });
    });

    it("removes an item only while it is the one named", async () => {
      const scope = await freshScope();
      const item = itemOf("k", 1);
      await create(scope, item);
      expect(await backend.remove(scope, "k", "another")).toBe(false);
      expect(await backend.remove(scope, "missing", item.v)).toBe(false);
      expect(await loadOne(scope, "k")).toEqual(item);
      expect(await backend.remove(scope, "k", item.v)).toBe(true);
      expect(await loadOne(scope, "k")).toBeUndefined();
      expect(await backend.remove(scope, "k", item.v)).toBe(false);
      expect(await backend.write(scope.function, itemOf("k", 2), item.v)).toBe(false);
      await create(scope, itemOf("k", 3));
    });

    it("keeps functions apart, and generations apart", async () => {
      const one = await freshScope(1);
      const other = await freshScope(1);
      const two = { ...one, generation: 2 };
      const ten = { ...one, generation: 10 };
      const itemOfOne = itemOf("k", "one");
      const itemOfTwo = itemOf("k", "two", { generation: 2 });
      await create(one, itemOfOne);
      await create(two, itemOfTwo);
      expect(await loadOne(one, "k")).toEqual(itemOfOne);
      expect(await loadOne(two, "k")).toEqual(itemOfTwo);
      expect(await loadOne(ten, "k")).toBeUndefined();
      expect(await loadOne(other, "k")).toBeUndefined();
      expect(await scanAll(one)).toEqual([itemOfOne]);
      expect(await scanAll(two)).toEqual([itemOfTwo]);
      expect(await scanAll(other)).toEqual([]);
      expect(await backend.write(one.function, itemOf("k", 0, { generation: 2 }), itemOfOne.v)).toBe(false);
      expect(await backend.remove(two, "k", itemOfOne.v)).toBe(false);
    });

    it("removes older generations and nothing else, page by page, to the end of every slice", async () => {
      const now = await freshScope(11);
      for (const generation of [1, 9, 10, 11, 12]) {
        for (let i = 0; i < 30; i++) await create({ ...now, generation }, itemOf(`k${i}`, i, { generation }));
      }
      for (let time = 1; time <= 2; time += 1) {
        let calls = 0;
        for (const index of [0, 1, 2]) {
          let cursor: string | undefined;
          do {
            cursor = await backend.removeOlderGenerations(now, { index, count: 3 }, cursor);
            // A cursor that is not followed stands at the first page for ever.
            expect(++calls).toBeLessThan(100);
          } while (cursor !== undefined);
        }
        const left = await Promise.all([1, 9, 10, 11, 12].map((generation) => scanAll({ ...now, generation })));
        expect(left.map((items) => items.length)).toEqual([0, 0, 0, 30, 30]);
      }
    });

    it("scans every item exactly once, over its slices, while writes go on", async () => {
      const scope = await freshScope();
      const keys = Array.from({ length: 8 * pageItems }, (_, i) => `key-${i}`);
      const versions = new Map<string, string>();
      for (const key of keys) {
        const item = itemOf(key, 0);
        await create(scope, item);
        versions.set(key, item.v);
      }
      let scanning = true;
      const writing = (async () => {
        for (let i = 0; scanning; i++) {
          const key = keys[i % keys.length] ?? "";
          const item = itemOf(key, i);
          expect(await backend.write(scope.function, item, versions.get(key))).toBe(true);
          versions.set(key, item.v);
          const passing = itemOf(`passing-${i}`, i);
          await create(scope, passing);
          await backend.remove(scope, passing.key, passing.v);
          await new Promise((resolve) => setImmediate(resolve));
        }
        return true;
      })();
      const slices = await Promise.all([0, 1, 2].map((index) => scanAll(scope, { index, count: 3 })));
      scanning = false;
      await writing;
      const seen = slices
        .flat()
        .map((item) => item.key)
        .filter((key) => key.startsWith("key-"));
      expect(seen.sort()).toEqual([...keys].sort());
    });

    it("goes on after the cursor of any page, without a gap or an overlap", async () => {
      const scope = await freshScope();
      const keys = Array.from({ length: 5 * pageItems + 1 }, (_, i) => `key-${i}`);
      await Promise.all(keys.map((key) => create(scope, itemOf(key, key))));
      for (const slice of [WHOLE, { index: 1, count: 2 }]) {
        const seen: string[] = [];
        const places: { cursor: string; seen: number }[] = [];
        for await (const page of backend.scan(scope, slice)) {
          expect(page.items.length).toBeLessThanOrEqual(pageItems);
          seen.push(...page.items.map((item) => item.key));
          if (page.cursor !== undefined) places.push({ cursor: page.cursor, seen: seen.length });
        }
        expect(places.length).toBeGreaterThan(1);
        for (const place of places) {
          const rest = (await scanAll(scope, slice, place.cursor)).map((item) => item.key);
          expect(rest).toEqual(seen.slice(place.seen));
        }
      }
    });

    it("goes on after a cursor whose item has been removed", async () => {
      const scope = await freshScope();
      const keys = Array.from({ length: 3 * pageItems }, (_, i) => `key-${i}`);
      await Promise.all(keys.map((key) => create(scope, itemOf(key, key))));
      const pages = backend.scan(scope, WHOLE)[Symbol.asyncIterator]();
      const first = (await pages.next()).value as { items: StateItem[]; cursor: string };
      await pages.return?.();
      for (const item of first.items) expect(await backend.remove(scope, item.key, item.v)).toBe(true);
      const rest = (await scanAll(scope, WHOLE, first.cursor)).map((item) => item.key);
      expect([...first.items.map((item) => item.key), ...rest].sort()).toEqual([...keys].sort());
    });
  });
}
