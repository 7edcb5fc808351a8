import { describe, expect, it } from "vitest";
import { freezeDeep } from "../../../shared/json/freeze-deep.ts";

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
