/**
 * What the values of a Parquet column are to the functions that read them, decided by the file's schema: never by a value, so
 * that a column has one type in all rows, but for integers, which are numbers up to 2^53 and BigInts beyond.
 *
 * | Parquet | event |
 * |---|---|
 * | BOOLEAN; FLOAT, DOUBLE, FLOAT16 | boolean; number |
 * | INT32, INT64, signed or not | number; beyond 2^53 a BigInt, of which a source's `integers` may make text |
 * | DECIMAL of up to 15 digits; of more | number; text with all digits: a double keeps no more than 15 |
 * | text, ENUM, UUID | text |
 * | DATE, TIMESTAMP of milliseconds | ISO text with 3 digits of a second |
 * | TIMESTAMP of micros or nanos; INT96 | ISO text with 6 or 9 digits, which sorts as time does |
 * | TIME | text: `12:34:56.789012`, with 3, 6 or 9 digits |
 * | bytes of no stated kind | base64 text |
 * | JSON | the value, read as JSON lines are |
 * | LIST, MAP, group | array; object by its keys as text; object |
 * | no value | null |
 *
 * Values that the event has no word for (NaN, infinities, times beyond the years 0 to 9999, text that is no UTF-8, a key that a
 * map has twice or that is `__proto__`) make their record unreadable, by name. Columns of other kinds (INTERVAL, BSON, VARIANT,
 * GEOMETRY, GEOGRAPHY, those named `__proto__`) make their file unreadable, before its first record.
 */
import { isUtf8 } from "node:buffer";
import type { FileMetaData, ParquetParsers, SchemaElement, SchemaTree } from "hyparquet";
import { TidemarkError } from "../../errors.ts";
import { jsonPath } from "../../json/json-path.ts";
import { EXACT_MAX, parseJson } from "../../json/parse-json.ts";

type Path = readonly (string | number)[];

/** Makes what the library decoded what an event holds. @throws UnreadableValue */
type Convert = (raw: unknown, path: Path) => unknown;

/** Why a record of a file cannot be read. */
export class UnreadableValue extends TidemarkError {
  constructor(path: Path, what: string, wayOut: string) {
    super("fix-event", `${jsonPath("event", path)} ${what}. ${wayOut}`);
  }
}

export interface Column {
  readonly name: string;
  /** @throws UnreadableValue */
  readonly read: (raw: unknown) => unknown;
}

/** A column that no row can be read of. */
export interface UnreadColumn {
  readonly name: string;
  readonly what: string;
}

/** What the library makes of text: itself, or the bytes of what is none. */
export const strictParsers: Partial<ParquetParsers> = {
  stringFromBytes: (bytes: Uint8Array) => (isUtf8(bytes) ? Buffer.from(bytes).toString("utf8") : bytes),
  // INT96, which is given to nothing else.
  timestampFromNanoseconds: (nanos: bigint) => nanos,
};

/**
 * The metadata of a file for a library that converts nothing but text: what columns mean is taken out of the schema, and
 * maps are lists of their entries, since an object of the library's loses some.
 */
export function withoutConversions(metadata: FileMetaData): FileMetaData {
  return { ...metadata, schema: metadata.schema.map(bare) };
}

function bare(element: SchemaElement): SchemaElement {
  const { converted_type, logical_type, ...rest } = element;
  if (isText(element) || isJson(element)) return { ...rest, converted_type: "UTF8" };
  return converted_type === "LIST" || logical_type?.type === "LIST" ? { ...rest, converted_type: "LIST" } : rest;
}

const isText = ({ converted_type: converted, logical_type: logical }: SchemaElement): boolean =>
  converted === "UTF8" || converted === "ENUM" || logical?.type === "STRING" || logical?.type === "ENUM";
const isJson = ({ converted_type: converted, logical_type: logical }: SchemaElement): boolean =>
  converted === "JSON" || logical?.type === "JSON";

/** The columns of a file that cannot be read, whatever their rows hold. */
export function unreadColumns(schema: SchemaTree): UnreadColumn[] {
  return schema.children.flatMap((child) => {
    const what = whyUnread(child);
    return what === undefined ? [] : [{ name: child.element.name, what }];
  });
}

/** How each column of a file is converted, in the order of its schema. */
export function columnsOf(schema: SchemaTree): readonly Column[] {
  return schema.children.map((child) => {
    const { name } = child.element;
    const convert = orNull(nodeOf(child));
    const path = [name];
    return { name, read: (raw) => convert(raw, path) };
  });
}

/** What stands in a file where a value cannot be read, in words of JSON. */
export function asFound(raw: unknown): unknown {
  if (raw === undefined || raw === null) return null;
  if (typeof raw === "number") return Number.isFinite(raw) ? raw : String(raw);
  if (raw instanceof Uint8Array) return base64(raw);
  if (typeof raw !== "object") return raw;
  if (Array.isArray(raw) || ArrayBuffer.isView(raw)) return Array.from(raw as Iterable<unknown>, asFound);
  return Object.fromEntries(Object.entries(raw).map(([name, member]) => [name, asFound(member)]));
}

const UNREAD = new Set(["INTERVAL", "BSON", "VARIANT", "GEOMETRY", "GEOGRAPHY"]);
const KEY_KINDS = "text, numbers, booleans, dates and times";

function whyUnread(node: SchemaTree): string | undefined {
  const { name, type, converted_type: converted, logical_type: logical } = node.element;
  if (name === "__proto__") return 'is named "__proto__", which no object can safely hold';
  const kind = [converted, logical?.type].find((one) => one !== undefined && UNREAD.has(one));
  if (kind !== undefined) return `is of the type ${kind}, which is not read`;
  if (node.children.length === 0) {
    return type === undefined ? "has neither a type nor members" : undefined;
  }
  if (isMap(node)) {
    const [key] = entryOf(node);
    if (key === undefined || key.children.length > 0 || isJson(key.element)) {
      return `is a map whose keys are none of ${KEY_KINDS}`;
    }
  }
  for (const child of node.children) {
    const inner = whyUnread(child);
    if (inner !== undefined) return `has ${child.element.name}, which ${inner}`;
  }
  return undefined;
}

/** By its shape too: a writer may call any group a map. */
function isMap(node: SchemaTree): boolean {
  const { converted_type: converted, logical_type: logical } = node.element;
  if (converted !== "MAP" && converted !== "MAP_KEY_VALUE" && logical?.type !== "MAP") return false;
  const [entries] = node.children;
  return node.children.length === 1 && entries?.element.repetition_type === "REPEATED" && entries.children.length === 2;
}

const entryOf = (map: SchemaTree): readonly (SchemaTree | undefined)[] => map.children[0]?.children ?? [];

/** As the library sees it, whose values these are. */
function isList(node: SchemaTree): boolean {
  const { converted_type: converted, logical_type: logical } = node.element;
  const [repeated] = node.children;
  return (
    (converted === "LIST" || logical?.type === "LIST") &&
    node.children.length === 1 &&
    repeated?.element.repetition_type === "REPEATED" &&
    repeated.children.length <= 1
  );
}

const orNull =
  (convert: Convert): Convert =>
  (raw, path) =>
    raw === undefined || raw === null ? null : convert(raw, path);

function nodeOf(node: SchemaTree): Convert {
  const one = node.children.length === 0 ? leafOf(node.element) : groupOf(node);
  return node.element.repetition_type === "REPEATED" ? listOf(one) : one;
}

const listOf = (convert: Convert): Convert => {
  const item = orNull(convert);
  return (raw, path) => Array.from(raw as Iterable<unknown>, (one, index) => item(one, [...path, index]));
};

function groupOf(node: SchemaTree): Convert {
  if (isMap(node)) return mapOf(node);
  if (isList(node)) {
    const repeated = node.children[0] as SchemaTree;
    const item = repeated.children[0] ?? { ...repeated, element: { ...repeated.element, repetition_type: "REQUIRED" } };
    return listOf(nodeOf(item as SchemaTree));
  }
  const members = node.children.map(
    (child) => [child.element.name, orNull(nodeOf(child))] as readonly [string, Convert],
  );
  return (raw, path) => {
    const object: Record<string, unknown> = {};
    for (const [name, convert] of members) {
      object[name] = convert((raw as Record<string, unknown>)[name], [...path, name]);
    }
    return object;
  };
}

function mapOf(node: SchemaTree): Convert {
  const entriesName = (node.children[0] as SchemaTree).element.name;
  const [key, value] = entryOf(node) as readonly [SchemaTree, SchemaTree];
  const toKey = leafOf(key.element);
  const toValue = orNull(nodeOf(value));
  return (raw, path) => {
    const entries = ((raw as Record<string, unknown>)[entriesName] ?? []) as readonly Record<string, unknown>[];
    const map: Record<string, unknown> = {};
    for (const entry of entries) {
      const given = entry[key.element.name];
      if (given === undefined || given === null) throw new UnreadableValue(path, "has a key that is null", MAP_WAY_OUT);
      const name = String(toKey(given, path));
      if (name === "__proto__") throw new UnreadableValue(path, 'has a key "__proto__"', MAP_WAY_OUT);
      if (Object.hasOwn(map, name)) {
        throw new UnreadableValue(path, `has the key ${JSON.stringify(name)} twice`, MAP_WAY_OUT);
      }
      map[name] = toValue(entry[value.element.name], [...path, name]);
    }
    return map;
  };
}

const MAP_WAY_OUT =
  "An object holds each name once. Correct what writes the file, or write the map as a list of entries.";

function leafOf(element: SchemaElement): Convert {
  const { type, converted_type: converted, logical_type: logical } = element;
  const scale = element.scale ?? (logical?.type === "DECIMAL" ? logical.scale : 0);
  const precision = element.precision ?? (logical?.type === "DECIMAL" ? logical.precision : 0);
  if (isJson(element)) return jsonColumn;
  if (isText(element)) return text;
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") return decimal(scale, precision);
  if (logical?.type === "UUID") return uuid;
  if (logical?.type === "FLOAT16") return (raw, path) => finite(float16(raw as Uint8Array), path);
  if (converted === "DATE" || logical?.type === "DATE")
    return (raw, path) => isoTime(BigInt(raw as number) * DAY_MS, MILLIS, path);
  if (logical?.type === "TIMESTAMP") return (raw, path) => isoTime(raw as bigint, UNITS[logical.unit], path);
  if (converted === "TIMESTAMP_MILLIS") return (raw, path) => isoTime(raw as bigint, MILLIS, path);
  if (converted === "TIMESTAMP_MICROS") return (raw, path) => isoTime(raw as bigint, MICROS, path);
  if (logical?.type === "TIME") return (raw, path) => timeOfDay(raw, UNITS[logical.unit], path);
  if (converted === "TIME_MILLIS") return (raw, path) => timeOfDay(raw, MILLIS, path);
  if (converted === "TIME_MICROS") return (raw, path) => timeOfDay(raw, MICROS, path);
  switch (type) {
    case "INT96":
      return (raw, path) => isoTime(raw as bigint, NANOS, path);
    case "FLOAT":
    case "DOUBLE":
      return (raw, path) => finite(raw as number, path);
    case "INT32":
      return isUnsigned(element) ? (raw) => (raw as number) >>> 0 : (raw) => raw;
    case "INT64":
      return isUnsigned(element)
        ? (raw) => integer(BigInt.asUintN(64, raw as bigint))
        : (raw) => integer(raw as bigint);
    case "BYTE_ARRAY":
    case "FIXED_LEN_BYTE_ARRAY":
      return (raw) => base64(raw as Uint8Array);
    default:
      return (raw) => raw;
  }
}

const isUnsigned = ({ converted_type: converted, logical_type: logical }: SchemaElement): boolean =>
  converted?.startsWith("UINT_") === true || (logical?.type === "INTEGER" && !logical.isSigned);

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

const integer = (value: bigint): number | bigint => (value <= EXACT_MAX && value >= -EXACT_MAX ? Number(value) : value);

function text(raw: unknown, path: Path): string {
  if (typeof raw === "string") return raw;
  throw new UnreadableValue(path, "is text that is no UTF-8", "Write the column in UTF-8, or as bytes.");
}

function jsonColumn(raw: unknown, path: Path): unknown {
  const written = text(raw, path);
  try {
    return parseJson(written);
  } catch (thrown) {
    const why = thrown instanceof TidemarkError ? ` (${thrown.message})` : "";
    throw new UnreadableValue(path, `is JSON that cannot be read${why}`, "Correct what writes the column.");
  }
}

function finite(value: number, path: Path): number {
  if (Number.isFinite(value)) return value;
  throw new UnreadableValue(
    path,
    `is ${value}, for which JSON and the stores have no word`,
    "Write null or text in its place.",
  );
}

/** So many digits does every double keep that is read from them (DBL_DIG of C). */
const DOUBLE_DIGITS = 15;

function decimal(scale: number, precision: number): Convert {
  const asText = precision > DOUBLE_DIGITS;
  return (raw) => {
    const written = decimalText(unscaled(raw), scale);
    return asText ? written : Number(written);
  };
}

function unscaled(raw: unknown): bigint {
  if (!(raw instanceof Uint8Array)) return BigInt(raw as number | bigint);
  if (raw.byteLength === 0) return 0n;
  // Two's complement, the highest byte first.
  return BigInt.asIntN(raw.byteLength * 8, BigInt(`0x${Buffer.from(raw).toString("hex")}`));
}

function decimalText(value: bigint, scale: number): string {
  if (scale <= 0) return String(value * 10n ** BigInt(-scale));
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function uuid(raw: unknown): string {
  return Buffer.from(raw as Uint8Array)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** IEEE 754's half precision, the lowest byte first. */
function float16(bytes: Uint8Array): number {
  const bits = ((bytes[1] as number) << 8) | (bytes[0] as number);
  const sign = bits >> 15 === 1 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? 2 ** -14 * fraction : 2 ** (exponent - 15) * (1 + fraction));
}

interface TimeUnit {
  readonly perSecond: bigint;
  readonly digits: number;
}
const MILLIS: TimeUnit = { perSecond: 1_000n, digits: 3 };
const MICROS: TimeUnit = { perSecond: 1_000_000n, digits: 6 };
const NANOS: TimeUnit = { perSecond: 1_000_000_000n, digits: 9 };
const UNITS = { MILLIS, MICROS, NANOS };
const DAY_MS = 86_400_000n;

/** From the year 0 to 9999, in seconds since 1970: years of four digits, whose text sorts as time does. */
const SECONDS_MIN = -62_167_219_200;
const SECONDS_END = 253_402_300_800;

function isoTime(raw: bigint, unit: TimeUnit, path: Path): string {
  const [seconds, fraction] = divided(BigInt(raw), unit);
  if (seconds < SECONDS_MIN || seconds >= SECONDS_END) {
    throw new UnreadableValue(
      path,
      "is a time that is infinite or outside the years 0 to 9999",
      "Write null in its place.",
    );
  }
  const whole = new Date(seconds * 1_000).toISOString().slice(0, 19);
  return `${whole}.${String(fraction).padStart(unit.digits, "0")}Z`;
}

/** Whole seconds, towards the past, and what is left of one in the unit's own parts. */
function divided(value: bigint, { perSecond }: TimeUnit): [seconds: number, fraction: number] {
  const parts = Number(value);
  const perOne = Number(perSecond);
  if (Number.isSafeInteger(parts)) {
    const fraction = ((parts % perOne) + perOne) % perOne;
    return [(parts - fraction) / perOne, fraction];
  }
  const fraction = ((value % perSecond) + perSecond) % perSecond;
  return [Number((value - fraction) / perSecond), Number(fraction)];
}

const DAY_SECONDS = 86_400n;

function timeOfDay(raw: unknown, { perSecond, digits }: TimeUnit, path: Path): string {
  const value = BigInt(raw as number | bigint);
  const seconds = value / perSecond;
  // A day's end is 24:00 in some databases.
  if (value < 0n || value > DAY_SECONDS * perSecond) {
    throw new UnreadableValue(path, "is no time of a day", "Write null in its place.");
  }
  const two = (part: bigint): string => String(part).padStart(2, "0");
  const fraction = String(value % perSecond).padStart(digits, "0");
  return `${two(seconds / 3_600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}.${fraction}`;
}
