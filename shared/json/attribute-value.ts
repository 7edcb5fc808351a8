/**
 * JSON to and from DynamoDB's attribute values, by native types (M, L, S, N, BOOL, NULL), so that state can be read
 * in the console. On the path of every item loaded and written.
 *
 * Own code because `@aws-sdk/util-dynamodb` refuses integers beyond 2^53 in either direction.
 * Every double that DynamoDB can hold comes back as itself: `String(n)` has at most 17 significant digits (DynamoDB
 * keeps 38) and is the shortest text that reads as `n`. Only -0 changes: it comes back as 0.
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { TidemarkError } from "../errors.ts";
import type { JsonValue } from "./json-value.ts";

export type AttributeMap = Record<string, AttributeValue>;

const MAGNITUDE_MIN = 1e-130;
const MAGNITUDE_END = 1e126;

/**
 * @throws TidemarkError `fix-function` for a number that DynamoDB cannot hold (its magnitude must be 0, or from 1E-130
 * to 9.99…E+125), for an empty member name and for what is not JSON.
 */
export function toAttribute(value: JsonValue): AttributeValue {
  switch (typeof value) {
    case "string":
      return { S: value };
    case "number":
      return { N: numberText(value) };
    case "boolean":
      return { BOOL: value };
    case "object":
      if (value === null) return { NULL: true };
      return isArray(value) ? { L: value.map(toAttribute) } : { M: toAttributeMap(value) };
    default:
      throw new TidemarkError(
        "fix-function",
        `A value of type ${typeof value} cannot be stored. JSON can: null, booleans, numbers, strings, arrays and plain objects.`,
      );
  }
}

/**
 * The members of an object, each as an attribute.
 * @throws TidemarkError `fix-function` for a member whose name is empty: DynamoDB refuses it.
 */
export function toAttributeMap(object: { readonly [name: string]: JsonValue }): AttributeMap {
  const attributes: AttributeMap = {};
  for (const name in object) {
    if (name === "") {
      throw new TidemarkError(
        "fix-function",
        "An object with an empty member name cannot be stored: DynamoDB takes names from one character. Use another name.",
      );
    }
    setOwn(attributes, name, toAttribute(object[name] as JsonValue));
  }
  return attributes;
}

/** @throws TidemarkError `fix-configuration` for a type that Tidemark never writes (bytes, sets). */
export function fromAttribute(attribute: AttributeValue): JsonValue {
  if (attribute.S !== undefined) return attribute.S;
  if (attribute.N !== undefined) return Number(attribute.N);
  if (attribute.M !== undefined) return fromAttributeMap(attribute.M);
  if (attribute.L !== undefined) return attribute.L.map(fromAttribute);
  if (attribute.BOOL !== undefined) return attribute.BOOL;
  if (attribute.NULL !== undefined) return null;
  throw new TidemarkError(
    "fix-configuration",
    `An attribute of type ${Object.keys(attribute).join()} is none that Tidemark writes (S, N, M, L, BOOL, NULL). Something else wrote to this table: give Tidemark a table of its own.`,
  );
}

export function fromAttributeMap(attributes: AttributeMap): { [name: string]: JsonValue } {
  const object: { [name: string]: JsonValue } = {};
  for (const name in attributes) setOwn(object, name, fromAttribute(attributes[name] as AttributeValue));
  return object;
}

function numberText(number: number): string {
  const magnitude = Math.abs(number);
  if (magnitude >= MAGNITUDE_MIN ? magnitude < MAGNITUDE_END : number === 0) return String(number);
  throw new TidemarkError(
    "fix-function",
    `The number ${number} is out of DynamoDB's range (0, or a magnitude from 1E-130 to 9.99E+125). Round it, or store it as a string.`,
  );
}

/** `Array.isArray` does not narrow read-only arrays. */
function isArray(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** A plain assignment to `__proto__` would set the prototype; JSON.parse makes it a member, and so does this. */
function setOwn<Value>(object: Record<string, Value>, name: string, value: Value): void {
  if (name === "__proto__") {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[name] = value;
  }
}
