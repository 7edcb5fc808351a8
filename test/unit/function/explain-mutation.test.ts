import { describe, expect, it } from "vitest";
import { TidemarkError } from "../../../shared/errors.ts";
import { explainMutation } from "../../../shared/function/explain-mutation.ts";
import { freezeDeep } from "../../../shared/json/freeze-deep.ts";

interface Visits {
  count: number;
  "last seen"?: string;
  list: number[];
  extra?: number;
}

function thrownBy(change: (state: Visits) => unknown): unknown {
  try {
    change(freezeDeep({ count: 1, "last seen": "x", list: [3, 1, 2] }));
  } catch (thrown) {
    return thrown;
  }
  throw new Error("The change was not refused.");
}

const OBJECT = (name: string) => `Return a new object: {...state, ${name}: …}.`;
const ARRAY = "Return a new state with a new array: [...list, item]";

describe("explainMutation names a change of the state argument in place", () => {
  it.each<[string, (state: Visits) => unknown, string, string]>([
    ["assignment", (state) => (state.count = 2), "count", OBJECT("count")],
    ["increment", (state) => state.count++, "count", OBJECT("count")],
    ["assignment to a quoted name", (state) => (state["last seen"] = "y"), "last seen", OBJECT('"last seen"')],
    ["a new property", (state) => (state.extra = 1), "extra", OBJECT("extra")],
    ["delete", (state) => delete (state as Partial<Visits>).count, "count", OBJECT("count")],
    ["Object.assign", (state) => Object.assign(state, { count: 3 }), "count", OBJECT("count")],
    ["a new definition", (state) => Object.defineProperty(state, "extra", { value: 1 }), "extra", OBJECT("extra")],
    ["a changed definition", (state) => Object.defineProperty(state, "count", { value: 9 }), "count", OBJECT("count")],
    ["push", (state) => state.list.push(4), "3", ARRAY],
    ["pop", (state) => state.list.pop(), "2", ARRAY],
    ["shift", (state) => state.list.shift(), "0", ARRAY],
    ["unshift", (state) => state.list.unshift(0), "3", ARRAY],
    ["splice", (state) => state.list.splice(0, 1), "0", ARRAY],
    ["sort", (state) => state.list.sort(), "0", ARRAY],
    ["reverse", (state) => state.list.reverse(), "0", ARRAY],
    ["an element", (state) => (state.list[1] = 5), "1", ARRAY],
    ["length", (state) => (state.list.length = 0), "length", ARRAY],
  ])("%s", (_, change, property, wayOut) => {
    const cause = thrownBy(change);
    const explained = explainMutation(cause, "visits");
    expect(explained).toBeInstanceOf(TidemarkError);
    expect(explained).toMatchObject({ kind: "fix-function", cause });
    expect((explained as Error).message).toContain(
      `handle of visits changed its state argument in place (property '${property}'), which is frozen. ${wayOut}`,
    );
  });
});

describe("explainMutation leaves untouched", () => {
  it.each<[string, () => unknown]>([
    ["another error with such words", () => new Error("Cannot add property x, object is not extensible")],
    ["a TypeError of another cause", () => new TypeError("Cannot read properties of undefined (reading 'x')")],
    ["what is no error", () => "Cannot add property x, object is not extensible"],
    [
      "a change of a class instance, which is no state",
      () =>
        thrownBy(() =>
          Object.assign(
            Object.freeze(
              new (class Flight {
                at = 1;
              })(),
            ),
            { at: 2 },
          ),
        ),
    ],
    ["a change of text", () => thrownBy(() => Object.assign(Object("abc"), { 0: "x" }))],
    ["a change of a function", () => thrownBy(() => Object.assign(() => 1, { name: "x" }))],
  ])("%s", (_, make) => {
    const thrown = make();
    expect(explainMutation(thrown, "visits")).toBe(thrown);
  });
});
