import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  anyOf,
  attribute,
  type Condition,
  type ConditionalWrite,
  compare,
  compareAttributes,
  exists,
  missing,
  path,
  value,
} from "../../shared/control/conditional-write.ts";
import type { ControlAttributes, ControlStore, ItemKey } from "../../shared/control/control-store.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";

export interface ControlStoreUnderTest {
  /** One that may hold items of other tests: each test uses partitions of its own. */
  readonly store: ControlStore;
  close(): Promise<void>;
}

/** What every control store owes the protocol's steps. */
export function controlContract(name: string, start: () => Promise<ControlStoreUnderTest>): void {
  describe(`control store contract: ${name}`, () => {
    let started: ControlStoreUnderTest;
    let store: ControlStore;
    let keys = 0;
    const newKey = (): ItemKey => ({ partition: `P#${keys++}`, sort: "s" });
    const putting = (attributes: ControlAttributes): ConditionalWrite => ({
      conditions: [],
      set: Object.entries(attributes).map(([at, literal]) => [path(at), value(literal)] as const),
    });
    const stored = async (attributes: ControlAttributes) => {
      const key = newKey();
      await store.update(key, putting(attributes));
      return key;
    };

    beforeAll(async () => {
      started = await start();
      store = started.store;
    });
    afterAll(() => started.close());

    it("finds nothing where nothing was written", async () => {
      expect(await store.get(newKey())).toBeUndefined();
      for await (const item of store.list("P#none")) expect.fail(`found ${item.sort}`);
    });

    it("creates a missing item, and tells so by having no item before", async () => {
      const key = newKey();
      const attributes = { phase: "RUNNING", n: 0, on: false, none: null, text: "", map: {}, list: [1, "a", [{}]] };
      expect(await store.update(key, putting(attributes))).toEqual({
        applied: true,
        before: undefined,
        after: attributes,
      });
      expect(await store.get(key)).toEqual(attributes);
    });

    it("creates an item without attributes, and tells it from none", async () => {
      const key = newKey();
      expect(await store.update(key, { conditions: [] })).toEqual({ applied: true, before: undefined, after: {} });
      expect(await store.get(key)).toEqual({});
      expect(await store.update(key, { conditions: [] })).toEqual({ applied: true, before: {}, after: {} });
    });

    it("answers with the item before and after; what it does not write stays", async () => {
      const key = await stored({ a: 1, b: "old", c: { x: 1, y: 2 }, d: true });
      const before = { a: 1, b: "old", c: { x: 1, y: 2 }, d: true };
      const after = { a: 3, b: "new", c: { y: 2, z: "in" } };
      const answer = await store.update(key, {
        conditions: [compare("a", "=", 1)],
        set: [
          [path("b"), value("new")],
          [path("c", "z"), value("in")],
        ],
        add: [[path("a"), 2]],
        remove: [path("d"), path("c", "x")],
      });
      expect(answer).toEqual({ applied: true, before, after });
      expect(await store.get(key)).toEqual(after);
    });

    it("takes values from the attributes as they were before the write", async () => {
      const key = await stored({ position: "7", attempt: 4, barriers: { "1": "3" }, pendingEpoch: 2, x: 1, y: 2 });
      await store.update(key, {
        conditions: [],
        set: [
          [path("position"), value("9")],
          [path("barriers", 2), attribute("position")],
          [path("x"), attribute("y")],
          [path("y"), attribute("x")],
          [path("epoch"), attribute("pendingEpoch")],
          [path("attemptBefore"), attribute("attempt")],
          [path("first"), { attribute: path("barriers", 1) }],
        ],
        add: [[path("attempt"), 1]],
        remove: [path("pendingEpoch")],
      });
      expect(await store.get(key)).toEqual({
        position: "9",
        attempt: 5,
        attemptBefore: 4,
        barriers: { "1": "3", "2": "7" },
        x: 2,
        y: 1,
        epoch: 2,
        first: "3",
      });
    });

    it("counts a missing number as 0 when adding, at the top and in a map", async () => {
      const key = await stored({ counts: { b: 5 } });
      await store.update(key, {
        conditions: [],
        add: [
          [path("a"), -2],
          [path("counts", "a"), 3],
          [path("counts", "b"), 1],
        ],
      });
      expect(await store.get(key)).toEqual({ a: -2, counts: { a: 3, b: 6 } });
    });

    it("removes what is missing without effect", async () => {
      const key = await stored({ map: { a: 1 } });
      expect(await store.update(key, { conditions: [], remove: [path("x"), path("map", "x")] })).toMatchObject({
        applied: true,
      });
      expect(await store.get(key)).toEqual({ map: { a: 1 } });
    });

    it.each<[string, ConditionalWrite]>([
      ["sets a member of a map that is missing", { conditions: [], set: [[path("barriers", 7), value("1")]] }],
      ["sets a member of what is no map", { conditions: [], set: [[path("text", "a"), value("1")]] }],
      ["removes a member of a map that is missing", { conditions: [], remove: [path("barriers", 7)] }],
      ["adds to a member of a map that is missing", { conditions: [], add: [[path("barriers", 7), 1]] }],
      ["adds to text", { conditions: [], add: [[path("text"), 1]] }],
      ["takes a value from what is missing", { conditions: [], set: [[path("a"), attribute("none")]] }],
      [
        "sets an attribute twice",
        {
          conditions: [],
          set: [
            [path("a"), value(1)],
            [path("a"), value(2)],
          ],
        },
      ],
      [
        "sets a map and a member of it",
        {
          conditions: [],
          set: [
            [path("a"), value({})],
            [path("a", "b"), value(2)],
          ],
        },
      ],
      ["sets and removes an attribute", { conditions: [], set: [[path("a"), value(1)]], remove: [path("a")] }],
      ["asks for an order with a truth value", { conditions: [compare("text", "<", true)] }],
      ["asks for a map that is equal", { conditions: [compare("text", "=", {})] }],
      ["compares an attribute with itself", { conditions: [compareAttributes("text", "=", "text")] }],
      ["adds a fraction", { conditions: [], add: [[path("a"), 0.5]] }],
      ["sets the item's key", { conditions: [], set: [[path("pk"), value("x")]] }],
    ])("refuses a write that %s, as a bug, and changes nothing", async (_, write) => {
      const key = await stored({ text: "t" });
      await expect(store.update(key, write)).rejects.toMatchObject({ name: "TidemarkError", kind: "report-bug" });
      expect(await store.get(key)).toEqual({ text: "t" });
    });

    const item = {
      n: 5,
      s: "b",
      empty: "",
      no: false,
      nothing: null,
      list: [1, "a"],
      map: { a: { b: 1 }, c: false },
      m: 5,
      t: "c",
    };
    it.each<[boolean, string, readonly Condition[]]>([
      [true, "no condition", []],
      [true, "exists", [exists("n")]],
      [true, "exists, holding false", [exists("no")]],
      [true, "exists, holding null", [exists("nothing")]],
      [false, "exists, of a missing one", [exists("x")]],
      [true, "missing", [missing("x")]],
      [false, "missing, of a present one", [missing("nothing")]],
      [true, "exists, of a member", [{ exists: path("map", "a") }]],
      [true, "missing, of a member of a missing map", [{ missing: path("x", "a") }]],
      [true, "missing, of a member of what is no map", [{ missing: path("s", "a") }]],
      [true, "= number", [compare("n", "=", 5)]],
      [false, "= another number", [compare("n", "=", 4)]],
      [false, "= the number's text", [compare("n", "=", "5")]],
      [true, "= empty text", [compare("empty", "=", "")]],
      [true, "= false", [compare("no", "=", false)]],
      [true, "= null", [compare("nothing", "=", null)]],
      [false, "= null, of a missing one", [compare("x", "=", null)]],
      [true, "= a member", [{ attribute: path("map", "c"), is: "=", to: value(false) }]],
      [false, "= text, holding a list", [compare("list", "=", "1,a")]],
      [false, "< text, holding a map", [compare("map", "<", "z")]],
      [true, "<> text, holding a map", [compare("map", "<>", "z")]],
      [true, "<> another", [compare("n", "<>", 4)]],
      [false, "<> itself", [compare("n", "<>", 5)]],
      [true, "<> of another type", [compare("n", "<>", "5")]],
      [true, "<> of a missing one", [compare("x", "<>", 5)]],
      [true, "< number", [compare("n", "<", 10)]],
      [false, "< itself", [compare("n", "<", 5)]],
      [true, "<= itself", [compare("n", "<=", 5)]],
      [true, "> number", [compare("n", ">", -1)]],
      [true, ">= itself", [compare("n", ">=", 5)]],
      [false, "< of another type", [compare("n", "<", "9")]],
      [false, "> of another type", [compare("n", ">", "")]],
      [false, "< of a missing one", [compare("x", "<", 5)]],
      [false, ">= of a missing one", [compare("x", ">=", 0)]],
      [true, "> empty text", [compare("s", ">", "")]],
      [true, "text ordered by character, not by number", [compare("s", "<", "b0"), compare("s", ">", "10")]],
      [true, "attributes that are equal", [compareAttributes("n", "=", "m")]],
      [true, "attributes in order", [compareAttributes("s", "<", "t"), compareAttributes("n", ">=", "m")]],
      [false, "attributes of two types", [compareAttributes("n", "<", "s")]],
      [false, "= with one attribute missing", [compareAttributes("n", "=", "x")]],
      [true, "<> with one attribute missing", [compareAttributes("n", "<>", "x")]],
      [false, "= with both attributes missing", [compareAttributes("x", "=", "y")]],
      [false, "<= with both attributes missing", [compareAttributes("x", "<=", "y")]],
      [true, "<> with both attributes missing", [compareAttributes("x", "<>", "y")]],
      [true, "any, of which one holds", [anyOf(missing("n"), compare("n", "=", 5))]],
      [false, "any, of which none holds", [anyOf(missing("n"), compare("n", "=", 6))]],
      [true, "any of comparisons within any", [anyOf(missing("n"), anyOf(exists("x"), exists("n")))]],
      [false, "all, of which one does not hold", [exists("n"), exists("x")]],
      [false, "all, with a choice of which none holds", [exists("n"), anyOf(exists("x"), exists("y"))]],
      [true, "the largest safe integer", [compare("n", "<", Number.MAX_SAFE_INTEGER)]],
    ])("writes (%s) under: %s", async (applied, _, conditions) => {
      const key = await stored(item);
      const answer = await store.update(key, { conditions, set: [[path("written"), value(true)]] });
      const after: ControlAttributes = applied ? { ...item, written: true } : item;
      expect(answer).toEqual(applied ? { applied, before: item, after } : { applied });
      expect(await store.get(key)).toEqual(after);
    });

    it("treats a missing item as one without attributes in conditions, and makes it only when they hold", async () => {
      const key = newKey();
      expect(await store.update(key, { conditions: [exists("gen")] })).toEqual({ applied: false });
      expect(await store.update(key, { conditions: [compare("gen", "<", 3)] })).toEqual({ applied: false });
      expect(await store.get(key)).toBeUndefined();
      expect(await store.update(key, { ...putting({ gen: 1 }), conditions: [missing("gen")] })).toEqual({
        applied: true,
        before: undefined,
        after: { gen: 1 },
      });
      expect(await store.update(key, { ...putting({ gen: 2 }), conditions: [missing("gen")] })).toEqual({
        applied: false,
      });
    });

    it("lets one of many concurrent writers of a condition win, and tells each what it found", async () => {
      const key = await stored({ attempt: 0 });
      const answers = await Promise.all(
        Array.from({ length: 12 }, () => store.update(key, { conditions: [], add: [[path("attempt"), 1]] })),
      );
      const befores = answers.map((answer) => (answer.applied ? answer.before?.attempt : undefined));
      expect(befores.sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 12 }, (_, i) => i));
      const claims = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          store.update(key, { conditions: [missing("owner")], set: [[path("owner"), value(i)]] }),
        ),
      );
      expect(claims.filter((answer) => answer.applied)).toHaveLength(1);
    });

    it("keeps items apart by both parts of their key", async () => {
      const [a, b] = [newKey(), newKey()];
      const a2 = { ...a, sort: "s2" };
      await store.update(a, putting({ at: "a" }));
      await store.update(b, putting({ at: "b" }));
      await store.update(a2, putting({ at: "a2" }));
      expect(await Promise.all([a, b, a2].map((key) => store.get(key)))).toEqual([
        { at: "a" },
        { at: "b" },
        { at: "a2" },
      ]);
    });

    it("lists a partition in the order of the sort keys' bytes, over several pages, and no other partition", async () => {
      const { partition } = newKey();
      // In UTF-16 the last two would stand the other way round.
      const sorts = ["10", "2", "A", "a", "a ", "a0", "\u00e9", "\u20ac", "\uff5e", "\u{1F9CA}"];
      for (const sort of [...sorts].reverse()) await store.update({ partition, sort }, putting({ of: sort }));
      await store.update({ partition: `${partition}#`, sort: "b" }, putting({ of: "another partition" }));
      const listed: { sort: string; attributes: ControlAttributes }[] = [];
      for await (const one of store.list(partition)) listed.push(one);
      expect(listed).toEqual(sorts.map((sort) => ({ sort, attributes: { of: sort } })));
    });

    it("deletes an item, and one that is missing", async () => {
      const key = await stored({ a: 1 });
      await store.delete(key);
      await store.delete(key);
      expect(await store.get(key)).toBeUndefined();
      for await (const one of store.list(key.partition)) expect.fail(`found ${one.sort}`);
    });

    it("never changes an answer that it has given", async () => {
      const first: Record<string, JsonValue> = { map: { a: 1 } };
      const key = await stored(first);
      const got = await store.get(key);
      await store.update(key, { conditions: [], set: [[path("map", "b"), value(2)]], remove: [path("map", "a")] });
      expect(got).toEqual({ map: { a: 1 } });
      expect(await store.get(key)).toEqual({ map: { b: 2 } });
    });

    it("takes attribute names that an expression would read as words or operators", async () => {
      const key = await stored({ name: 1, status: "x", "a.b": 2, "#n0": 3, ":v0": 4, "size(x)": 5 });
      const answer = await store.update(key, {
        conditions: [compare("status", "=", "x"), compare("a.b", "=", 2)],
        set: [[path("#n0"), attribute("a.b")]],
        add: [[path("size(x)"), 1]],
        remove: [path("name")],
      });
      expect(answer).toMatchObject({ after: { status: "x", "a.b": 2, "#n0": 2, ":v0": 4, "size(x)": 6 } });
      expect(await store.get(key)).toEqual({ status: "x", "a.b": 2, "#n0": 2, ":v0": 4, "size(x)": 6 });
    });
  });
}
