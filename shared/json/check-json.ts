/**
 * Finds what keeps a value from being stored as JSON and read back as itself.
 *
 * Stricter than `JSON.stringify`, which drops `undefined` and functions, writes NaN as null and calls `toJSON`: each
 * of these would make the state in memory differ from the state that is loaded later. `toJSON` is never called.
 * Accepted: null, booleans, text with a UTF-8 form, numbers and BigInts that DynamoDB can hold, arrays without holes, and
 * plain objects. Members without a name, and such named `__proto__`, are refused: stores refuse or lose them.
 *
 * Two walks: the first only answers yes, without keeping a path, since it runs for every state written; the second
 * runs when the first said no, and says where and why.
 */
import { jsonPath } from "./json-path.ts";
import { isWellFormed } from "./well-formed.ts";

/**
 * How deep arrays and objects may be nested. DynamoDB takes 32 levels ("Nesting depth" in the Developer Guide's
 * "Constraints"); two are left to the item around the state.
 */
export const JSON_DEPTH_MAX = 30;

/** DynamoDB's numbers: 1E-130 to 9.99…E+125, either sign, and zero ("Naming rules and data types": 38 digits, more than a double has). */
const MAGNITUDE_MIN = 1e-130;
const MAGNITUDE_END = 1e126;

export interface JsonDefect {
  /** Where: `state.visits[3].at`. */
  readonly path: string;
  /** What is there, to go on after the path: `is a Date`. */
  readonly what: string;
  /** What to store instead: a sentence. */
  readonly wayOut: string;
}

/** The first thing in `value` that is not JSON, or undefined when all of it is. `root` is what the path calls the value. */
export function findJsonDefect(value: unknown, root: string): JsonDefect | undefined {
  return isJson(value, JSON_DEPTH_MAX) ? undefined : explain(value, { root, segments: [], ancestors: [] });
}

function isJson(value: unknown, depthLeft: number): boolean {
  return isScalar(value) || isNested(value, depthLeft);
}

/** Null, a boolean, a number or text that can be stored: most of what a state consists of, so without a further call. */
function isScalar(value: unknown): boolean {
  if (typeof value === "string") return isWellFormed(value);
  if (typeof value === "number") return isStorableNumber(value);
  return value === null || typeof value === "boolean" || (typeof value === "bigint" && isStorableBigInt(value));
}

function isNested(value: unknown, depthLeft: number): boolean {
  if (typeof value !== "object" || value === null || depthLeft === 0) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) return false;
    for (let i = 0; i < value.length; i++) {
      // A hole reads as undefined, which is no JSON either.
      const item: unknown = value[i];
      if (!isScalar(item) && !isNested(item, depthLeft - 1)) return false;
    }
    return true;
  }
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const name in value) {
    const inner: unknown = (value as Record<string, unknown>)[name];
    if (!isScalar(inner) && !isNested(inner, depthLeft - 1)) return false;
    if (!isStorableName(name)) return false;
  }
  return Object.getOwnPropertySymbols(value).length === 0;
}

/** DynamoDB refuses a member without a name; "__proto__" is lost on the way by more than one JSON and DynamoDB library. */
function isStorableName(name: string): boolean {
  return name !== "" && name !== "__proto__" && isWellFormed(name);
}

function isStorableNumber(number: number): boolean {
  if (number === 0) return true;
  const magnitude = Math.abs(number);
  return magnitude >= MAGNITUDE_MIN && magnitude < MAGNITUDE_END;
}

/** DynamoDB keeps 38 digits of a number. */
export function isStorableBigInt(integer: bigint): boolean {
  return integer < BIGINT_END && integer > -BIGINT_END;
}

const BIGINT_END = 10n ** 38n;

interface Place {
  readonly root: string;
  readonly segments: readonly PropertyKey[];
  readonly ancestors: readonly object[];
}

const defect = ({ root, segments }: Place, what: string, wayOut: string): JsonDefect => ({
  path: jsonPath(root, segments),
  what,
  wayOut,
});

function explain(value: unknown, place: Place): JsonDefect | undefined {
  switch (typeof value) {
    case "string":
      return isWellFormed(value)
        ? undefined
        : defect(place, "is text with a lone surrogate, which UTF-8 cannot hold", "Store text.toWellFormed().");
    case "number":
      return explainNumber(value, place);
    case "boolean":
      return undefined;
    case "undefined":
      return defect(place, "is undefined", "Store null, or leave the property out.");
    case "bigint":
      return isStorableBigInt(value)
        ? undefined
        : defect(place, "is a BigInt of more than 38 digits, which DynamoDB cannot hold", "Store it as a string.");
    case "function":
      return defect(place, "is a function", "Store data alone; keep functions outside the state.");
    case "symbol":
      return defect(place, "is a symbol", "Store a string.");
  }
  return value === null ? undefined : explainNested(value as object, place);
}

function explainNested(value: object, place: Place): JsonDefect | undefined {
  const ancestor = place.ancestors.indexOf(value);
  if (ancestor >= 0) {
    const earlier = jsonPath(place.root, place.segments.slice(0, ancestor));
    return defect(place, `refers back to ${earlier} (a cycle)`, "Store an id of what it refers to.");
  }
  if (place.ancestors.length >= JSON_DEPTH_MAX) {
    return defect(
      place,
      `is nested deeper than the ${JSON_DEPTH_MAX} levels that DynamoDB leaves to a state`,
      "Store a flatter shape, or the inner part as a JSON string.",
    );
  }
  return Array.isArray(value) ? explainArray(value, place) : explainObject(value, place);
}

function explainNumber(number: number, place: Place): JsonDefect | undefined {
  if (isStorableNumber(number)) return undefined;
  if (!Number.isFinite(number)) return defect(place, `is ${number}`, "Store a finite number, or null.");
  return defect(
    place,
    `is ${number}, out of DynamoDB's range (1E-130 to 9.99E+125, either sign, or 0)`,
    "Round it, or store it as a string.",
  );
}

const within = ({ root, segments, ancestors }: Place, segment: PropertyKey, parent: object): Place => ({
  root,
  segments: [...segments, segment],
  ancestors: [...ancestors, parent],
});

function explainArray(array: readonly unknown[], place: Place): JsonDefect | undefined {
  if (Object.getPrototypeOf(array) !== Array.prototype) return explainInstance(array, place);
  for (let i = 0; i < array.length; i++) {
    const inside = within(place, i, array);
    if (!Object.hasOwn(array, i)) {
      return defect(inside, "is a hole in a sparse array", "Fill it with null, or store a plain object.");
    }
    const found = explain(array[i], inside);
    if (found !== undefined) return found;
  }
  return undefined;
}

function explainObject(object: object, place: Place): JsonDefect | undefined {
  const prototype = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return explainInstance(object, place);
  for (const name in object) {
    const inside = within(place, name, object);
    if (!isStorableName(name)) return explainName(name, inside);
    const found = explain((object as Record<string, unknown>)[name], inside);
    if (found !== undefined) return found;
  }
  const [symbol] = Object.getOwnPropertySymbols(object);
  if (symbol === undefined) return undefined;
  return defect(within(place, symbol, object), "has a symbol for its name", "Name properties by strings.");
}

function explainName(name: string, place: Place): JsonDefect {
  if (name === "") return defect(place, "has an empty name, which DynamoDB refuses", "Give the property a name.");
  if (name === "__proto__") {
    return defect(place, "has a name that is not safe to store", "Give the property another name.");
  }
  return defect(place, "has a name with a lone surrogate, which UTF-8 cannot hold", "Use name.toWellFormed().");
}

const WAYS_OUT: { readonly [className: string]: string } = {
  Date: "Store a number of milliseconds or an ISO string.",
  Map: "Store a plain object, or an array of [key, value] pairs.",
  Set: "Store an array, sorted if its order must not matter.",
  Promise: "Await it first: what is stored must be there already.",
  Buffer: "Store a base64 string.",
  Uint8Array: "Store a base64 string.",
};

function explainInstance(object: object, place: Place): JsonDefect {
  const className = classNameOf(object);
  const known = Object.hasOwn(WAYS_OUT, className) ? WAYS_OUT[className] : undefined;
  return known === undefined
    ? defect(
        place,
        `is an instance of ${className}`,
        "Store a plain object or array of its data: {...instance}, [...array].",
      )
    : defect(place, `is a ${className}`, known);
}

function classNameOf(object: object): string {
  const maker: unknown = object.constructor;
  return typeof maker === "function" && maker.name !== "" ? maker.name : "a class without a name";
}
