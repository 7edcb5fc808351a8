import { describe, expect, it } from "vitest";
import { freezeDeep, freezeNext } from "../../../shared/json/freeze-deep.ts";

describe("freezeDeep", () => {
  it("freezes every object and array, and returns the value itself", () => {
    const value = { list: [{ a: 1 }], map: { b: { c: [] } } };
    expect(freezeDeep(value)).toBe(value);
    for (const part of [value, value.list, value.list[0], value.map, value.map.b, value.map.b.c]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it("freezes what is new around parts that are frozen already", () => {
    const old = freezeDeep({ inner: { list: [1] }, count: 1 });
    const next = freezeDeep({ ...old, count: 2, more: { x: 1 } });
    expect(next.inner).toBe(old.inner);
    expect([next, next.more].every(Object.isFrozen)).toBe(true);
  });

  it("freezes below an own property named __proto__ and leaves prototypes alone", () => {
    const value = JSON.parse('{"__proto__":{"a":{}}}');
    freezeDeep(value);
    expect(Object.isFrozen(Object.getOwnPropertyDescriptor(value, "__proto__")?.value.a)).toBe(true);
    expect(Object.isFrozen(Object.prototype)).toBe(false);
  });

  it("ends on a cycle, and takes what is no state without a throw", () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(Object.isFrozen(freezeDeep(cycle))).toBe(true);
    expect(freezeDeep([null, undefined, 1, "x", new Uint8Array(2)])).toHaveLength(5);
  });
});

describe("freezeNext", () => {
  it("freezes a state and what is new in it, and takes over what the state before it held under the same name", () => {
    const previous = freezeDeep({ inner: { list: [1] }, old: { a: 1 }, count: 1 });
    const next = { ...previous, old: { a: 2 }, count: 2, more: { x: [1] } };
    expect(freezeNext(next, previous)).toBe(next);
    expect([next, next.inner, next.old, next.more, next.more.x].every(Object.isFrozen)).toBe(true);
  });

  it("freezes a part that comes from elsewhere, though the state before it has one of that name", () => {
    const previous = freezeDeep({ list: [1] });
    const next = { list: [1] };
    expect(Object.isFrozen(freezeNext(next, previous).list)).toBe(true);
  });

  it("freezes below an own property named __proto__", () => {
    const next = JSON.parse('{"__proto__":{"a":{}}}');
    freezeNext(next, freezeDeep({}));
    expect(Object.isFrozen(Object.getOwnPropertyDescriptor(next, "__proto__")?.value.a)).toBe(true);
  });

  it.each([
    ["arrays", [{ a: 1 }], [{ a: 1 }]],
    ["an object after an array", { a: {} }, [1]],
    ["an array after an object", [{}], { 0: {} }],
    ["the first state of a key", { a: { b: [] } }, undefined],
    ["the first state after null", { a: { b: [] } }, null],
    ["an object that its maker froze outside alone", Object.freeze({ a: { b: [] } }), { a: {} }],
  ])("freezes %s throughout", (_what, next, previous) => {
    freezeNext(next, freezeDeep(previous));
    const parts = (value: unknown): object[] =>
      typeof value === "object" && value !== null ? [value, ...Object.values(value).flatMap(parts)] : [];
    expect(parts(next).every(Object.isFrozen)).toBe(true);
  });

  it("ends on a cycle, and leaves scalars and bytes alone", () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(Object.isFrozen(freezeNext(cycle, freezeDeep({ self: {} })))).toBe(true);
    for (const next of [1, "x", null, new Uint8Array(2)]) expect(freezeNext(next, freezeDeep({}))).toBe(next);
  });
});
