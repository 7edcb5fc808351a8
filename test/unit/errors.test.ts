import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { asError, describeThrown, ERROR_BYTES_MAX, TidemarkError } from "../../shared/errors.ts";

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function trapped(): object {
  const trap = () => {
    throw new Error("trap");
  };
  return new Proxy(
    {},
    { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap, getOwnPropertyDescriptor: trap, set: trap },
  );
}

const bad = (member: string): Error =>
  Object.defineProperty(new Error("m"), member, {
    get() {
      throw new Error("in getter");
    },
  });

class Odd extends Error {
  override name = "";
}

function cycle(): object {
  const inner: { self?: object } = {};
  inner.self = inner;
  return inner;
}

class Legacy {
  message = "as before classes";
}
Object.setPrototypeOf(Legacy.prototype, Error.prototype);

const STRANGE: readonly (readonly [string, unknown, string | RegExp])[] = [
  ["an error", new TypeError("no such key"), "TypeError: no such key"],
  ["an error of another realm", runInNewContext("new RangeError('far')"), "RangeError: far"],
  ["what only inherits from Error", new Legacy(), "Error: as before classes"],
  ["an error without a message", new Error(), "Error"],
  ["an error without a name", new Odd("odd"), "Error: odd"],
  ["an error whose name is no text", Object.assign(new Error("m"), { name: Symbol("n") }), "Error: m"],
  ["an error whose message is no text", Object.assign(new Error(), { message: { code: 7 } }), "Error: { code: 7 }"],
  ["an error whose message throws", bad("message"), "Error: (it cannot be read)"],
  ["an error whose name throws", bad("name"), "(it cannot be read): m"],
  ["an error whose toString throws", Object.assign(new Error("m"), { toString: () => cycle() }), "Error: m"],
  [
    "an AggregateError",
    new AggregateError([new Error("a"), 7, cycle(), 1], "all"),
    /^AggregateError: all \(a; 7; .*; and 1 more\)$/,
  ],
  ["an AggregateError without a message", new AggregateError([new Error("a")]), "AggregateError: (a)"],
  ["an AggregateError that holds itself", aggregateOfItself(), "AggregateError: all (all)"],
  [
    "an AggregateError whose errors throw",
    Object.assign(new AggregateError([], "all"), { errors: trapped() }),
    "AggregateError: all",
  ],
  ["a proxy of an error", new Proxy(new Error("m"), {}), "Error: m"],
  ["text", "plain text", "plain text"],
  ["empty text", "", "an empty text"],
  ["undefined", undefined, "undefined"],
  ["null", null, "null"],
  ["a number", 7, "7"],
  ["a bigint", 7n, "7n"],
  ["a symbol", Symbol("s"), "Symbol(s)"],
  ["a function", function thrown() {}, "[Function: thrown]"],
  ["a plain object", { code: 7 }, "{ code: 7 }"],
  [
    "an object without a prototype",
    Object.assign(Object.create(null), { code: 7 }),
    "[Object: null prototype] { code: 7 }",
  ],
  ["an object whose toString throws", { toString: () => cycle(), a: 1 }, /a: 1/],
  [
    "an object with a getter that throws",
    Object.defineProperty({}, "a", { enumerable: true, get: () => cycle() }),
    "{ a: [Getter] }",
  ],
  ["a cycle", cycle(), "<ref *1> { self: [Circular *1] }"],
  ["a proxy that throws", trapped(), "a Proxy"],
  ["a revoked proxy", revoked(), "a Proxy"],
  ["an object whose prototype is a proxy that throws", Object.create(trapped()), "an object that cannot be described"],
  ["a rejected promise", rejected(), /Promise/],
  // biome-ignore lint/suspicious/noThenProperty: it is what is tested
  ["a thenable that throws", Object.fromEntries([["then", () => cycle()]]), "{ then: [Function (anonymous)] }"],
  ["an error in a plain object, on one line", { error: new Error("inner") }, /^\{ error: Error: inner at [^\n]*$/],
];

function aggregateOfItself(): AggregateError {
  const errors: Error[] = [];
  const aggregate = new AggregateError(errors, "all");
  aggregate.errors.push(aggregate);
  return aggregate;
}

function rejected(): Promise<never> {
  const promise = Promise.reject(new Error("later"));
  promise.catch(() => {});
  return promise;
}

describe("describeThrown", () => {
  test.each(STRANGE)("describes %s", (_what, thrown, said) => {
    if (typeof said === "string") expect(describeThrown(thrown)).toBe(said);
    else expect(describeThrown(thrown)).toMatch(said);
  });

  test.each([
    ["a message", new Error("x".repeat(3_000_000))],
    ["a message of three bytes a letter", new Error("日".repeat(3_000_000))],
    ["a message of pairs of surrogates", new Error(`x${"😀".repeat(1_000_000)}`)],
    ["a name", Object.assign(new Error("m"), { name: "n".repeat(3_000_000) })],
    ["text", "x".repeat(3_000_000)],
    ["an object's member", { text: "x".repeat(3_000_000) }],
    ["an object's name", { ["x".repeat(3_000_000)]: 1 }],
    ["many members", Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`name${index}`, index]))],
    ["an AggregateError", new AggregateError(Array(1_000).fill(new Error("x".repeat(100_000))), "x".repeat(100_000))],
    ["a symbol", Symbol("x".repeat(3_000_000))],
  ])("keeps to its bytes where %s is huge, and says that it was cut", (_what, thrown) => {
    for (const bytesMax of [200, ERROR_BYTES_MAX]) {
      const said = describeThrown(thrown, bytesMax);
      expect(Buffer.byteLength(said)).toBeLessThanOrEqual(bytesMax);
      expect(said).toMatch(/… \(cut, of \d+ characters\)(: m)?$/);
      expect(said).not.toContain("\ufffd");
    }
  });

  test("leaves a message that just fits as it is", () => {
    const message = "x".repeat(ERROR_BYTES_MAX - "Error: ".length);
    expect(describeThrown(new Error(message))).toBe(`Error: ${message}`);
    expect(describeThrown(new Error(`${message}x`))).toContain("(cut, of 8193 characters)");
  });

  test("replaces a lone surrogate, which no store takes", () => {
    expect(describeThrown(new Error("cut emoji \ud83d"))).toBe("Error: cut emoji \ufffd");
  });
});

describe("a TidemarkError", () => {
  test("is told from anything else without running its code", () => {
    class Stopped extends TidemarkError {}
    const made = new TidemarkError("retry", "later");
    expect(made instanceof TidemarkError).toBe(true);
    expect(made instanceof Stopped).toBe(false);
    expect(new Stopped("retry", "later") instanceof Stopped).toBe(true);
    for (const [, thrown] of STRANGE) expect(thrown instanceof TidemarkError).toBe(false);
  });

  test("has a message of 16 KB at most", () => {
    expect(Buffer.byteLength(new TidemarkError("retry", "日".repeat(100_000)).message)).toBeLessThanOrEqual(16_384);
  });
});

describe("asError", () => {
  test.each(STRANGE)("makes an error whose members can be read of %s", (_what, thrown) => {
    const error = asError(thrown);
    expect([error.name, error.message, error.stack].map((text) => typeof text)).toEqual(["string", "string", "string"]);
  });

  test("leaves an error as it is, and none that is long", () => {
    const error = new TypeError("m");
    expect(asError(error)).toBe(error);
    expect(asError(new Error("x".repeat(3_000_000))).message.length).toBeLessThanOrEqual(ERROR_BYTES_MAX);
  });
});
