/**
 * What DynamoDB makes of an attribute value: what it refuses, what it keeps, how large that is, and how two compare.
 *
 * A value taken is a copy: whoever sent it can change it without harm, as after a real request.
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { isWellFormed } from "../../../../shared/json/well-formed.ts";
import { compareDecimals, decimalBytes, readDecimal, writeDecimal } from "./decimal.ts";
import { UnknownToTheWire, validation } from "./failures.ts";

export type Item = { readonly [name: string]: AttributeValue };

export const ITEM_BYTES_MAX = 409_600;

/** A scalar of the top is level 0. */
const LEVELS_MAX = 32;

const NESTED =
  "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit";
const INVALID = "One or more parameter values were invalid:";

/** A copy of what was sent, with its numbers in plain text. @throws ValidationException */
export function takeAttribute(sent: AttributeValue, level = 0): AttributeValue {
  const types = Object.keys(sent).filter((name) => sent[name as keyof AttributeValue] !== undefined);
  const [type] = types;
  if (type === undefined) {
    throw validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes");
  }
  if (types.length > 1) {
    throw validation(
      "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
    );
  }
  switch (type) {
    case "S":
      return { S: takeText(sent.S) };
    case "N":
      return { N: takeNumber(sent.N) };
    case "BOOL":
      return { BOOL: sent.BOOL as boolean };
    case "NULL":
      if (sent.NULL !== true) throw validation(`${INVALID} Null attribute value types must have the value of true`);
      return { NULL: true };
    case "L":
      if (level >= LEVELS_MAX) throw validation(NESTED);
      return { L: (sent.L ?? []).map((one) => takeAttribute(one, level + 1)) };
    case "M":
      if (level >= LEVELS_MAX) throw validation(NESTED);
      return { M: takeItem(sent.M ?? {}, level + 1) as Record<string, AttributeValue> };
    default:
      throw new UnknownToTheWire(`attributes of type ${type}`);
  }
}

export function takeItem(sent: Item, level = 0): Item {
  const taken: Record<string, AttributeValue> = {};
  for (const name of Object.keys(sent)) {
    if (name === "") throw validation(`${INVALID} Attribute name must not be empty`);
    setOwn(taken, takeText(name), takeAttribute(sent[name] as AttributeValue, level));
  }
  return taken;
}

function takeText(text: unknown): string {
  if (typeof text !== "string") throw new UnknownToTheWire(`a string attribute that is ${typeof text}`);
  if (!isWellFormed(text)) throw new UnknownToTheWire("text with a lone surrogate, which has no form on a wire");
  return text;
}

function takeNumber(text: unknown): string {
  if (typeof text !== "string") throw new UnknownToTheWire(`a number attribute that is no text but ${typeof text}`);
  // Most are counts: those are in plain text already.
  if (/^(?:0|-?[1-9]\d{0,14})$/.test(text)) return text;
  const decimal = readDecimal(text);
  if (typeof decimal === "string") throw validation(decimal);
  return writeDecimal(decimal);
}

/** A copy to hand out. */
export function copyItem(item: Item): Record<string, AttributeValue> {
  const copy: Record<string, AttributeValue> = {};
  for (const name in item) setOwn(copy, name, copyAttribute(item[name] as AttributeValue));
  return copy;
}

/** A plain assignment to `__proto__` would set the prototype. (Objects without one are slow.) */
export function setOwn(item: Record<string, AttributeValue>, name: string, value: AttributeValue): void {
  if (name !== "__proto__") item[name] = value;
  else Object.defineProperty(item, name, { value, enumerable: true, configurable: true, writable: true });
}

function copyAttribute(value: AttributeValue): AttributeValue {
  if (value.M !== undefined) return { M: copyItem(value.M) };
  if (value.L !== undefined) return { L: value.L.map(copyAttribute) };
  return { ...value };
}

/** Names and strings by their bytes; 1 for a truth value; 3 for a list or map, and 1 for each of its elements. */
export function itemBytes(item: Item): number {
  let bytes = 0;
  for (const name in item) bytes += Buffer.byteLength(name) + attributeBytes(item[name] as AttributeValue);
  return bytes;
}

function attributeBytes(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.N !== undefined) return decimalBytes(decimalOf(value.N));
  if (value.L !== undefined) return value.L.reduce((sum, one) => sum + 1 + attributeBytes(one), 3);
  if (value.M !== undefined) return 3 + Object.keys(value.M).length + itemBytes(value.M);
  return 1;
}

/** Of a number that was taken already. */
export function decimalOf(text: string) {
  const decimal = readDecimal(text);
  if (typeof decimal === "string") throw new Error(`a number was kept that is none: ${text}`);
  return decimal;
}

export const typeOf = (value: AttributeValue): string => Object.keys(value)[0] as string;

/** Of two types: never. Lists and maps: by what is in them. */
export function areEqual(one: AttributeValue, other: AttributeValue): boolean {
  if (one.L !== undefined && other.L !== undefined) {
    const others = other.L;
    return one.L.length === others.length && one.L.every((value, i) => areEqual(value, others[i] as AttributeValue));
  }
  if (one.M !== undefined && other.M !== undefined) {
    const others = other.M;
    const names = Object.keys(one.M);
    const same = (name: string) =>
      Object.hasOwn(others, name) && areEqual(one.M?.[name] as never, others[name] as never);
    return names.length === Object.keys(others).length && names.every(same);
  }
  return one.S === other.S && one.N === other.N && one.BOOL === other.BOOL && one.NULL === other.NULL && isScalar(one);
}

const isScalar = (value: AttributeValue): boolean => value.L === undefined && value.M === undefined;

/** Below 0, 0 or above; undefined: the two have no order. */
export function orderOf(one: AttributeValue, other: AttributeValue): number | undefined {
  if (one.S !== undefined && other.S !== undefined) return compareText(one.S, other.S);
  if (one.N !== undefined && other.N !== undefined) return compareNumbers(one.N, other.N);
  return undefined;
}

function compareNumbers(one: string, other: string): number {
  if (one.length < 16 && other.length < 16 && !one.includes(".") && !other.includes(".")) {
    return Number(one) - Number(other);
  }
  return compareDecimals(decimalOf(one), decimalOf(other));
}

const FIRST_SURROGATE = 0xd800;
const AFTER_SURROGATES = 0xe000;

/** The order of the bytes of UTF-8, which is that of the code points: surrogates stand for what is beyond all others. */
export function compareText(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let i = 0; i < length; i++) {
    const a = one.charCodeAt(i);
    const b = other.charCodeAt(i);
    if (a === b) continue;
    return a >= FIRST_SURROGATE && b >= FIRST_SURROGATE ? rank(a) - rank(b) : a - b;
  }
  return one.length - other.length;
}

const rank = (unit: number): number => (unit < AFTER_SURROGATES ? unit + 0x10000 : unit);
