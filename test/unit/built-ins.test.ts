import { afterEach, describe, expect, test } from "vitest";
import { ChangedBuiltInsError, findChange } from "../../shared/built-ins.ts";

const { flatMap } = Array.prototype;
const { parse } = JSON;
afterEach(() => {
  Object.defineProperty(Array.prototype, "flatMap", { value: flatMap, writable: true, configurable: true });
  JSON.parse = parse;
});

const fix = (owner: object, member: string, value: unknown): void =>
  void Object.defineProperty(owner, member, { value, writable: true, configurable: false });

describe("a change of the language's own objects", () => {
  test("is none at first", () => {
    expect(findChange()).toBeUndefined();
  });

  test.each([
    ["Object", Object.prototype],
    ["Array", Array.prototype],
  ])("by a member of %s.prototype is named and undone", (owner, prototype) => {
    Object.assign(prototype, { added: 1 });
    const change = findChange();
    expect(change).toBeInstanceOf(ChangedBuiltInsError);
    expect(change).toMatchObject({
      kind: "fix-function",
      undone: true,
      message: expect.stringContaining(`${owner}.prototype has got a member "added"`),
    });
    expect("added" in prototype).toBe(false);
    expect(findChange()).toBeUndefined();
  });

  test.each([
    ["a method that answers something else", () => Object.assign(Array.prototype, { flatMap: () => [] })],
    ["one that throws", () => Object.assign(JSON, { parse: () => expect.fail() })],
    ["no Object.keys", () => Object.assign(Object, { keys: () => [] })],
    ["no Map", () => Object.assign(globalThis, { Map: class {} })],
    ["one that cannot be configured any more", () => fix(Array.prototype, "findIndex", () => 7)],
    ["no Object.defineProperty", () => Object.assign(Object, { defineProperty: () => {}, entries: () => [] })],
  ])("is %s, which is named and put back", (_what, change) => {
    change();
    expect(findChange()).toMatchObject({ undone: true, what: expect.stringMatching(/^[\w.]+ was replaced(, |$)/) });
    expect(findChange()).toBeUndefined();
  });

  test("is an iterator that ends at once, which cannot be put back", () => {
    const iterators: { next: unknown } = Object.getPrototypeOf([].values());
    const { next } = iterators;
    Object.assign(iterators, { next: () => ({ done: true }) });
    const found = findChange();
    Object.assign(iterators, { next });
    expect(found?.undone).toBe(false);
    expect(found?.what).toContain("no longer does what it did");
  });

  test.each([
    [
      "a method that does the same",
      () =>
        Object.assign(Array.prototype, {
          flatMap(this: [], ...given: Parameters<typeof flatMap>) {
            return flatMap.apply(this, given);
          },
        }),
    ],
    [
      "a member that no loop meets",
      () => Object.defineProperty(Array.prototype, "own", { value: 1, configurable: true }),
    ],
  ])("is not %s", (_what, change) => {
    change();
    expect(findChange()).toBeUndefined();
    Reflect.deleteProperty(Array.prototype, "own");
  });
});
