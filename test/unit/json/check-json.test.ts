import { describe, expect, it } from "vitest";
import { findJsonDefect, JSON_DEPTH_MAX } from "../../../shared/json/check-json.ts";

function messageFor(value: unknown): string {
  const defect = findJsonDefect(value, "state");
  return defect === undefined ? "fine" : `${defect.path} ${defect.what}. ${defect.wayOut}`;
}

class Visit {
  readonly at = 1;
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? { in: value } : [value];
  return value;
}

const cycle: { inner: { list: unknown[] } } = { inner: { list: [] } };
cycle.inner.list.push(cycle.inner);

describe("findJsonDefect names what is not JSON, where it is and what to store instead", () => {
  it.each<[string, unknown, string]>([
    ["undefined", { a: undefined }, "state.a is undefined. Store null, or leave the property out."],
    ["NaN", { mean: Number.NaN }, "state.mean is NaN. Store a finite number, or null."],
    ["infinity", [1, -Infinity], "state[1] is -Infinity. Store a finite number, or null."],
    [
      "a number too large",
      { n: 1e126 },
      "state.n is 1e+126, out of DynamoDB's range (1E-130 to 9.99E+125, either sign, or 0). Round it, or store it as a string.",
    ],
    [
      "a number too small",
      { n: -9e-131 },
      "state.n is -9e-131, out of DynamoDB's range (1E-130 to 9.99E+125, either sign, or 0). Round it, or store it as a string.",
    ],
    [
      "a Date",
      { visits: [1, 2, 3, { at: new Date(0) }] },
      "state.visits[3].at is a Date. Store a number of milliseconds or an ISO string.",
    ],
    [
      "a Map",
      { "seen by": new Map() },
      'state["seen by"] is a Map. Store a plain object, or an array of [key, value] pairs.',
    ],
    ["a Set", new Set(), "state is a Set. Store an array, sorted if its order must not matter."],
    [
      "a class instance",
      { visit: new Visit() },
      "state.visit is an instance of Visit. Store a plain object or array of its data: {...instance}, [...array].",
    ],
    [
      "an instance of an array's subclass",
      { list: new (class Stack extends Array {})() },
      "state.list is an instance of Stack. Store a plain object or array of its data: {...instance}, [...array].",
    ],
    [
      "a promise",
      { later: Promise.resolve() },
      "state.later is a Promise. Await it first: what is stored must be there already.",
    ],
    ["bytes", { raw: Buffer.from("x") }, "state.raw is a Buffer. Store a base64 string."],
    ["other bytes", { raw: new Uint8Array(1) }, "state.raw is a Uint8Array. Store a base64 string."],
    ["a function", { go: () => 1 }, "state.go is a function. Store data alone; keep functions outside the state."],
    ["a symbol", { s: Symbol("x") }, "state.s is a symbol. Store a string."],
    [
      "a symbol for a name",
      { [Symbol("x")]: 1 },
      "state[Symbol(x)] has a symbol for its name. Name properties by strings.",
    ],
    [
      "a BigInt of more digits than DynamoDB's numbers have",
      { n: -(10n ** 38n) },
      "state.n is a BigInt of more than 38 digits, which DynamoDB cannot hold. Store it as a string.",
    ],
    ["a cycle", cycle, "state.inner.list[0] refers back to state.inner (a cycle). Store an id of what it refers to."],
    [
      "a sparse array",
      // biome-ignore lint/suspicious/noSparseArray: it is what is refused
      { list: [1, , 3] },
      "state.list[1] is a hole in a sparse array. Fill it with null, or store a plain object.",
    ],
    [
      "undefined in an array",
      { list: [undefined] },
      "state.list[0] is undefined. Store null, or leave the property out.",
    ],
    [
      "a lone surrogate",
      { text: "\ud800" },
      "state.text is text with a lone surrogate, which UTF-8 cannot hold. Store text.toWellFormed().",
    ],
    [
      "a lone surrogate in long text",
      { text: `${"x".repeat(500)}\udc00` },
      "state.text is text with a lone surrogate, which UTF-8 cannot hold. Store text.toWellFormed().",
    ],
    [
      "a name with a lone surrogate",
      { "\ud800": 1 },
      'state["\\ud800"] has a name with a lone surrogate, which UTF-8 cannot hold. Use name.toWellFormed().',
    ],
    [
      "an own property named __proto__, as JSON.parse makes it",
      JSON.parse('{"list":[{"__proto__":{"a":1}}]}'),
      "state.list[0].__proto__ has a name that is not safe to store. Give the property another name.",
    ],
    [
      "a property without a name",
      { counts: { "": 1 } },
      'state.counts[""] has an empty name, which DynamoDB refuses. Give the property a name.',
    ],
  ])("%s", (_, value, message) => {
    expect(messageFor(value)).toBe(message);
  });

  it("nesting deeper than DynamoDB takes", () => {
    expect(messageFor(nested(JSON_DEPTH_MAX))).toBe("fine");
    expect(messageFor(nested(JSON_DEPTH_MAX + 1))).toMatch(
      /^state(\.in|\[0\])+ is nested deeper than the 30 levels that DynamoDB leaves to a state\. Store a flatter shape/,
    );
  });

  it("nesting as deep as memory allows, without overflowing the stack", () => {
    expect(messageFor(nested(1_000_000))).toContain("nested deeper than the 30 levels");
  });
});

describe("findJsonDefect accepts", () => {
  it.each<[string, unknown]>([
    ["null", null],
    ["numbers at the ends of DynamoDB's range", [1e-130, -1e-130, 9.99e125, -9.99e125, 0, -0, Number.MAX_SAFE_INTEGER]],
    ["text of every length and plane", ["", "a", "ÄÖ", "日本", "🎈", "🎈".repeat(100)]],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
    ["one object in two places, which is no cycle", ((shared) => ({ a: shared, b: [shared] }))({ x: 1 })],
    ["BigInts of up to 38 digits", { zero: 0n, ids: [10n ** 38n - 1n, -(10n ** 38n) + 1n] }],
    ["frozen values", Object.freeze({ list: Object.freeze([1]) })],
  ])("%s", (_, value) => {
    expect(messageFor(value)).toBe("fine");
  });

  it("never calls toJSON, but refuses it as the function it is", () => {
    let calls = 0;
    const value = {
      toJSON: () => {
        calls++;
        return 1;
      },
    };
    expect(messageFor(value)).toMatch(/^state\.toJSON is a function/);
    expect(calls).toBe(0);
  });
});
