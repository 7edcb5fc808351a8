import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineFunction } from "../../../shared/function/define-function.ts";

const valid = {
  name: "visits",
  event: z.object({ page: z.string() }),
  key: (event: { page: string }) => event.page,
  state: { initial: () => ({ count: 0 }) },
  handle: (state: { count: number }) => ({ count: state.count + 1 }),
};

/** What JavaScript, or a cast, can hand over. */
function define(options: unknown): unknown {
  return defineFunction(options as typeof valid);
}

function refusal(options: unknown): { readonly kind: unknown; readonly message: string } {
  try {
    define(options);
  } catch (thrown) {
    return thrown as { kind: unknown; message: string };
  }
  throw new Error("Nothing was refused.");
}

const state = (change: object) => ({ ...valid, state: { ...valid.state, ...change } });
const same = (old: unknown) => old;

describe("defineFunction", () => {
  it("returns a frozen definition with what was given, and leaves the options as they are", () => {
    const options = { ...valid, previousName: "hits", state: { ...valid.state, version: 2, upgrade: { 1: same } } };
    const definition = defineFunction(options);
    expect(definition).toEqual(options);
    for (const part of [definition, definition.state, definition.state.upgrade]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(Object.isFrozen(options) || Object.isFrozen(options.state)).toBe(false);
  });

  it("accepts a schema that is a function, as some libraries make them", () => {
    const event = Object.assign(() => undefined, { "~standard": valid.event["~standard"] });
    expect(define({ ...valid, event })).toMatchObject({ name: "visits" });
  });

  it("accepts steps from the oldest version still stored, or none", () => {
    for (const change of [{ version: 3 }, { version: 3, upgrade: {} }, { version: 4, upgrade: { 2: same, 3: same } }]) {
      expect(define(state(change))).toMatchObject({ name: "visits" });
    }
  });
});

describe("defineFunction refuses, saying what was given, what is allowed and the way out", () => {
  it.each<[string, unknown, string]>([
    [
      "what is no object",
      undefined,
      "A function is undefined; it must be an object with the options name, previousName, event, key, state, handle. Give such an object.",
    ],
    [
      "a misspelt option",
      { ...valid, previosName: "hits" },
      'A function has no option "previosName"; its options are name, previousName, event, key, state, handle. Did you mean previousName?',
    ],
    [
      "an unknown option",
      { ...valid, retries: 3 },
      'A function has no option "retries"; its options are name, previousName, event, key, state, handle. Remove it.',
    ],
    [
      "a name of other characters",
      { ...valid, name: "page visits" },
      'The name of a function is "page visits"; it must be 1 to 64 of the characters A-Z, a-z, 0-9, "-" and "_". Give it such a name.',
    ],
    ["an empty name", { ...valid, name: "" }, 'The name of a function is ""; it must be 1 to 64'],
    [
      "a name too long",
      { ...valid, name: "x".repeat(65) },
      `The name of a function is "${"x".repeat(65)}"; it must be 1 to 64`,
    ],
    [
      "a name that ends in a newline",
      { ...valid, name: "visits\n" },
      'The name of a function is "visits\\n"; it must be 1 to 64',
    ],
    ["no name", { ...valid, name: undefined }, "The name of a function is undefined; it must be 1 to 64"],
    [
      "a previousName of other characters",
      { ...valid, previousName: "a/b" },
      'previousName of function visits is "a/b"; it must be 1 to 64',
    ],
    [
      "a previousName equal to the name",
      { ...valid, previousName: "visits" },
      "previousName of function visits is its own name; it must be another: the one that older checkpoints have. Leave it out.",
    ],
    [
      "an event that is no schema",
      { ...valid, event: { type: "object" } },
      'event of function visits is an object without a "~standard" of version 1; it must be a Standard Schema (https://standardschema.dev). Give a schema of zod 3.24 or later',
    ],
    [
      "no event",
      { ...valid, event: undefined },
      'event of function visits is undefined without a "~standard" of version 1',
    ],
    [
      "a schema of another version",
      { ...valid, event: { "~standard": { version: 2, validate: same } } },
      "of version 1; it must be a Standard Schema",
    ],
    [
      "a key that is no function",
      { ...valid, key: "page" },
      'key of function visits is "page"; it must be a function (event) => string. Give such a function.',
    ],
    [
      "no handle",
      { ...valid, handle: undefined },
      "handle of function visits is undefined; it must be a function (state, event, context) => state.",
    ],
    [
      "no state",
      { ...valid, state: undefined },
      "state of function visits is undefined; it must be an object with the options version, schema, initial, upgrade.",
    ],
    [
      "a schema of the state that is none",
      state({ schema: { count: "number" } }),
      'state.schema of function visits is an object without a "~standard" of version 1; it must be a Standard Schema',
    ],
    [
      "an initial state that the schema refuses",
      state({ schema: z.object({ count: z.string() }) }),
      "state.initial of function visits returned a state that state.schema refuses: state.count: Invalid input: expected string, received number. Correct the one or the other.",
    ],
    [
      "a schema that has a default",
      state({ schema: z.object({ count: z.number(), ms: z.number().default(0) }) }),
      "state.initial of function visits returned a state that state.schema refuses: it would change state.ms, and may only check: no default, no transform, no member that it drops.",
    ],
    [
      "a schema that is asynchronous",
      state({ schema: z.object({ count: z.number().refine(async () => true) }) }),
      "state.initial of function visits returned a state that state.schema refuses: it is asynchronous, and a state is checked between two events",
    ],
    [
      "a misspelt option of state",
      state({ versoin: 2 }),
      'state of function visits has no option "versoin"; its options are version, schema, initial, upgrade. Did you mean version?',
    ],
    [
      "an initial that is no function",
      state({ initial: { count: 0 } }),
      "state.initial of function visits is an object; it must be a function () => state.",
    ],
    [
      "version 0",
      state({ version: 0 }),
      "state.version of function visits is 0; it must be a whole number of versions, at least 1.",
    ],
    [
      "half a version",
      state({ version: 1.5 }),
      "state.version of function visits is 1.5; it must be a whole number of versions, at least 1.",
    ],
    [
      "a version that is text",
      state({ version: "2" }),
      'state.version of function visits is "2"; it must be a whole number of versions, at least 1.',
    ],
    [
      "an upgrade that is a list",
      state({ version: 2, upgrade: [same] }),
      "state.upgrade of function visits is an array; it must be an object of functions by the version they start from",
    ],
    [
      "a step that is no function",
      state({ version: 2, upgrade: { 1: true } }),
      "state.upgrade[1] of function visits is true; it must be a function (old) => new.",
    ],
    [
      "a step from the code's own version",
      state({ version: 2, upgrade: { 1: same, 2: same } }),
      'state.upgrade of function visits has a step "2"; with state.version 2 the steps are 1 to 1. Remove it, or raise state.version to the version that the last step makes.',
    ],
    [
      "a step where the version was never raised",
      state({ upgrade: { 1: same } }),
      'has a step "1"; with state.version 1 the steps are none.',
    ],
    [
      "a step by another name",
      state({ version: 2, upgrade: { v1: same } }),
      'has a step "v1"; with state.version 2 the steps are 1 to 1.',
    ],
    [
      "a gap between steps",
      state({ version: 5, upgrade: { 1: same, 2: same, 4: same } }),
      "state.upgrade[3] of function visits is missing: state.version is 5 and the steps given start from 1, 2, 4. Add state.upgrade[3], which makes state of version 4 from state of version 3.",
    ],
    [
      "a last step that is missing",
      state({ version: 3, upgrade: { 1: same } }),
      "state.upgrade[2] of function visits is missing",
    ],
  ])("%s", (_, options, message) => {
    const refused = refusal(options);
    expect(refused.message).toContain(message);
    expect(refused.kind).toBe("fix-configuration");
  });

  it("an initial state that cannot be stored", () => {
    expect(refusal(state({ initial: () => ({ since: new Date(0) }) }))).toMatchObject({
      kind: "fix-function",
      message:
        "state.initial of function visits returned what is not JSON: state.since is a Date. Store a number of milliseconds or an ISO string.",
    });
    expect(refusal(state({ initial: () => undefined }))).toMatchObject({
      message: expect.stringContaining("state is undefined."),
    });
  });
});
