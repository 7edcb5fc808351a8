/** What users' code may throw, or answer: each with what describeThrown says of it. */
import { runInNewContext } from "node:vm";

export function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

export function trapped(): object {
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

export const STRANGE: readonly (readonly [string, unknown, string | RegExp])[] = [
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
