/**
 * Finds what keeps a value from being stored as JSON and read back as itself.
 *
 * Stricter than `JSON.stringify`, which drops `undefined` and functions, writes NaN as null and calls `toJSON`: each
 * of these would make the state in memory differ from the state that is loaded later. `toJSON` is never called.
 * Accepted: null, booleans, text with a UTF-8 form, numbers and BigInts that DynamoDB can hold, arrays without holes, and
 * plain objects. Members without a name, and such named `__proto__`, are refused: stores refuse or lose them. So are proxies
 * and getters, which may answer otherwise when they are asked again.
 *
 * Two walks: the first only answers yes, without keeping a path, since it runs for every state written; the second
 * runs when the first said no, and says where and why. Both end: what is met more than once is walked each time, and the
 * values are counted.
 */
import { types } from "node:util";
import { cutText } from "./cut-text.ts";
import { disownPromise } from "./disown-promise.ts";
import { jsonPath } from "./json-path.ts";
import { isWellFormed } from "./well-formed.ts";

/**
 * How deep arrays and objects may be nested. DynamoDB takes 32 levels ("Nesting depth" in the Developer Guide's
 * "Constraints"); two are left to the item around the state.
 */
export const JSON_DEPTH_MAX = 30;

/**
 * The most values, counting 64 units of text as one, that the check looks at. An item of 400 KB holds a fifth of them; an
 * object that refers to itself in two members at each of 30 levels would be a billion.
 */
export const JSON_VALUES_MAX = 1_000_000;

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
  valuesLeft = JSON_VALUES_MAX;
  try {
    if (isJson(value, JSON_DEPTH_MAX)) return undefined;
  } catch {
    // An element of an array that is a getter and throws: said below.
  }
  const whole: Place = { root, segments: [], ancestors: [] };
  if (valuesLeft < 0) return tooManyValues(whole);
  valuesLeft = JSON_VALUES_MAX;
  return explain(value, whole) ?? tooManyValues(whole);
}

/** Of the walk under way. Nothing else runs before it has ended. */
let valuesLeft = JSON_VALUES_MAX;

function isJson(value: unknown, depthLeft: number): boolean {
  return isScalar(value) || isNested(value, depthLeft);
}

/** Null, a boolean, a number or text that can be stored: most of what a state consists of, so without a further call. */
function isScalar(value: unknown): boolean {
  if (typeof value === "string") {
    if (value.length > TEXT_UNITS_COUNTED_AS_ONE) valuesLeft -= value.length / TEXT_UNITS_COUNTED_AS_ONE;
    return isWellFormed(value);
  }
  if (typeof value === "number") return isStorableNumber(value);
  return value === null || typeof value === "boolean" || (typeof value === "bigint" && isStorableBigInt(value));
}

const TEXT_UNITS_COUNTED_AS_ONE = 64;

function isNested(value: unknown, depthLeft: number): boolean {
  if (typeof value !== "object" || value === null || depthLeft === 0 || types.isProxy(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) return false;
    valuesLeft -= value.length + 1;
    if (valuesLeft < 0) return false;
    for (let i = 0; i < value.length; i++) {
      // A hole reads as undefined, which is no JSON either.
      const item: unknown = value[i];
      if (!isScalar(item) && !isNested(item, depthLeft - 1)) return false;
    }
    return true;
  }
  if (prototype !== Object.prototype && prototype !== null) return false;
  const names = Object.keys(value);
  valuesLeft -= names.length + 1;
  if (valuesLeft < 0) return false;
  for (const name of names) {
    // Of a getter there is no value, which is no JSON.
    const inner: unknown = Object.getOwnPropertyDescriptor(value, name)?.value;
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

function tooManyValues(place: Place): JsonDefect {
  return defect(
    place,
    `holds more than ${JSON_VALUES_MAX} values, those that are referred to several times counted each time`,
    "Keep less in the state, or split it over several keys.",
  );
}

function explainNested(value: object, place: Place): JsonDefect | undefined {
  if (types.isProxy(value)) return defect(place, "is a Proxy", "Store a plain copy of what it stands for.");
  valuesLeft -= 1;
  if (valuesLeft < 0) return tooManyValues(place);
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
    const member = Object.getOwnPropertyDescriptor(array, i);
    if (member === undefined) {
      return defect(inside, "is a hole in a sparse array", "Fill it with null, or store a plain object.");
    }
    const found = explainMember(member, inside);
    if (found !== undefined) return found;
  }
  return undefined;
}

function explainObject(object: object, place: Place): JsonDefect | undefined {
  const prototype = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return explainInstance(object, place);
  for (const name of Object.keys(object)) {
    const inside = within(place, name, object);
    if (!isStorableName(name)) return explainName(name, inside);
    const found = explainMember(Object.getOwnPropertyDescriptor(object, name) ?? {}, inside);
    if (found !== undefined) return found;
  }
  const [symbol] = Object.getOwnPropertySymbols(object);
  if (symbol === undefined) return undefined;
  return defect(within(place, symbol, object), "has a symbol for its name", "Name properties by strings.");
}

function explainMember(member: PropertyDescriptor, place: Place): JsonDefect | undefined {
  if (member.get === undefined && member.set === undefined) return explain(member.value, place);
  return defect(place, "is a getter", "Store the value that it has now.");
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
  disownPromise(object);
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

const CLASS_NAME_BYTES_MAX = 200;

function classNameOf(object: object): string {
  try {
    const name: unknown = object.constructor.name;
    if (typeof name === "string" && name !== "") return cutText(name, CLASS_NAME_BYTES_MAX);
  } catch {
    // What has no constructor, or one that is a getter and throws, has no name either.
  }
  return "a class without a name";
}
