/**
 * JSON to and from DynamoDB's attribute values, by native types (M, L, S, N, BOOL, NULL), so that state can be read
 * in the console. On the path of every item loaded and written.
 *
 * Own code because `@aws-sdk/util-dynamodb` refuses integers beyond 2^53 in either direction.
 * Every double that DynamoDB can hold comes back as itself: `String(n)` has at most 17 significant digits (DynamoDB
 * keeps 38) and is the shortest text that reads as `n`. Only -0 changes: it comes back as 0. A BigInt is an N of its
 * digits; that it is one, only its marks tell ({@link BigIntMarks}).
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { TidemarkError } from "../errors.ts";
import { type BigIntMarks, marksWithin } from "./big-int-marks.ts";
import { isStorableBigInt } from "./check-json.ts";
import type { JsonValue } from "./json-value.ts";

export type AttributeMap = Record<string, AttributeValue>;

const MAGNITUDE_MIN = 1e-130;
const MAGNITUDE_END = 1e126;

/**
 * @throws TidemarkError `fix-function` for a number that DynamoDB cannot hold (its magnitude must be 0, or from 1E-130
 * to 9.99…E+125; a BigInt has 38 digits at most), for an empty member name and for what is not JSON.
 */
export function toAttribute(value: JsonValue): AttributeValue {
  switch (typeof value) {
    case "string":
      return { S: value };
    case "number":
      return { N: numberText(value) };
    case "bigint":
      return { N: integerText(value) };
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
  for (const name of Object.keys(object)) {
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

/**
 * @param marks which numbers are BigInts; undefined: none is
 * @throws TidemarkError `fix-configuration` for a type that Tidemark never writes (bytes, sets), and for a number that is
 * marked as a BigInt and is no integer.
 */
export function fromAttribute(attribute: AttributeValue, marks?: BigIntMarks): JsonValue {
  if (attribute.S !== undefined) return attribute.S;
  if (attribute.N !== undefined) return marks === true ? integerOf(attribute.N) : Number(attribute.N);
  if (attribute.M !== undefined) return fromAttributeMap(attribute.M, marks);
  if (attribute.L !== undefined) {
    return attribute.L.map((element, index) => fromAttribute(element, marksWithin(marks, index)));
  }
  if (attribute.BOOL !== undefined) return attribute.BOOL;
  if (attribute.NULL !== undefined) return null;
  throw new TidemarkError(
    "fix-configuration",
    `An attribute of type ${Object.keys(attribute).join()} is none that Tidemark writes (S, N, M, L, BOOL, NULL). Something else wrote to this table: give Tidemark a table of its own.`,
  );
}

export function fromAttributeMap(attributes: AttributeMap, marks?: BigIntMarks): { [name: string]: JsonValue } {
  const object: { [name: string]: JsonValue } = {};
  for (const name of Object.keys(attributes)) {
    setOwn(object, name, fromAttribute(attributes[name] as AttributeValue, marksWithin(marks, name)));
  }
  return object;
}

function integerOf(text: string): bigint {
  if (/^-?\d+$/.test(text)) return BigInt(text);
  throw new TidemarkError(
    "fix-configuration",
    `The number ${text} is marked as a BigInt, which Tidemark writes as an integer. Something else changed this item: put an integer back, or remove its mark.`,
  );
}

function integerText(integer: bigint): string {
  if (isStorableBigInt(integer)) return String(integer);
  throw new TidemarkError(
    "fix-function",
    "A BigInt of more than 38 digits is out of DynamoDB's range. Store it as a string.",
  );
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
