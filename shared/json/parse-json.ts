/**
 * JSON as `JSON.parse` reads it, but for numbers that a double would change in silence.
 *
 * Invariants:
 * - A number of JSON without a loss is the double that `JSON.parse` makes of it. An integer beyond 2^53 is a BigInt, by its
 *   size alone: that of a neighbour decides no type. One that is written with a fraction or an exponent is a double for
 *   its writer as well, and stays one unless it has digits that a double does not keep (`12345678901234567890.0`).
 * - A number beyond all doubles (`1e400`) is refused, by the name of its place.
 * - Everything else (strings, names, members that come twice, `__proto__`, errors) is what `JSON.parse` makes of it, for
 *   `JSON.parse` does it: numbers that must not be doubles are told to it by number, and put in afterwards.
 */
import { TidemarkError } from "../errors.ts";
import { jsonPath } from "./json-path.ts";
import { replaceNumbers } from "./replace-numbers.ts";

/**
 * What becomes of integers beyond 2^53, which a number of JavaScript cannot tell from their neighbours:
 *
 * - `"exact"`: they are BigInts, `9007199254740993n`.
 * - `"text"`: they are text, `"9007199254740993"`; all others stay numbers.
 * - `"refuse"`: the record is refused, and becomes a dead letter.
 */
export type Integers = "exact" | "text" | "refuse";

/** Up to here every integer is a double of its own. */
export const EXACT_MAX = 2 ** 53;
/** A longer number is refused: no store takes one, and reading digits takes time that grows faster than they do. */
const DIGITS_MAX = 100_000;

/**
 * The value of a JSON text.
 * @throws SyntaxError as `JSON.parse` does
 * @throws TidemarkError `fix-event` for a number beyond all doubles, and where `integers` refuses one; the message names its place
 */
export function parseJson(text: string, integers: Integers = "exact"): unknown {
  const value: unknown = JSON.parse(text);
  if (!holdsLarge(value, DEPTH_MAX)) return value;
  const large: unknown[] = [];
  const numbered = replaceNumbers(text, (literal) => {
    const number = numberOf(literal);
    if (typeof number === "number" && Math.abs(number) <= EXACT_MAX) return literal;
    large.push(number);
    // Doubles of their own, for nothing else in this text is larger than EXACT_MAX.
    return String(EXACT_MAX + 2 * large.length);
  });
  const pick = (placeholder: number): unknown => large[(placeholder - EXACT_MAX) / 2 - 1];
  return replaceLarge(JSON.parse(numbered), (placeholder, path) => settled(pick(placeholder), integers, path));
}

/**
 * What `integers` makes of a value that was not read from JSON and holds BigInts: another value, unless they stay.
 * @throws TidemarkError `fix-event` where it refuses one
 */
export function settleIntegers(value: unknown, integers: Integers): unknown {
  if (integers === "exact") return value;
  return copyWith(value, [], (bigint, path) => settled(bigint, integers, () => path));
}

type Path = readonly (string | number)[];

function settled(number: unknown, integers: Integers, path: () => Path): unknown {
  if (number instanceof TooLong) throw refusal(path(), `a number of ${number.digits} digits`, TOO_LONG);
  if (typeof number === "number") {
    if (Number.isFinite(number)) return number;
    throw refusal(path(), "a number beyond 1.8e308", "No number of JavaScript holds it. Correct what writes it.");
  }
  if (integers === "exact") return number;
  if (integers === "text") return String(number);
  throw refusal(path(), "an integer beyond 2^53", REFUSED);
}

const TOO_LONG = `At most ${DIGITS_MAX} are read. Write it as text.`;
const REFUSED =
  'The source has integers: "refuse". Write it as text, or have it read as text (integers: "text") or as a BigInt ("exact").';

function refusal(path: Path, what: string, wayOut: string): TidemarkError {
  return new TidemarkError("fix-event", `${jsonPath("event", path)} is ${what}. ${wayOut}`);
}

/** Takes the place of a literal that nobody turns into a number; only the place where it ends up refuses it. */
class TooLong {
  readonly digits: number;
  constructor(digits: number) {
    this.digits = digits;
  }
}

const LITERAL = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** The number that a literal of JSON stands for: a BigInt where a double would be another. */
function numberOf(literal: string): number | bigint | TooLong {
  const double = Number(literal);
  if (literal.length < 16 && Math.abs(double) <= EXACT_MAX) return double;
  if (literal.length > DIGITS_MAX) return new TooLong(literal.length);
  const [, sign = "", whole = "", fraction, exponent] = LITERAL.exec(literal) ?? [];
  if (fraction === undefined && exponent === undefined) {
    if (whole.length < 16) return double;
    const integer = BigInt(literal);
    return integer > EXACT_MAX || integer < -EXACT_MAX ? integer : double;
  }
  if (!(Math.abs(double) > EXACT_MAX) || !Number.isFinite(double)) return double;
  const written = `${whole}${fraction ?? ""}`.replace(/^0+/, "");
  const digits = written.replace(/0+$/, "");
  const zeros = Number(exponent ?? 0) - (fraction?.length ?? 0) + written.length - digits.length;
  // With a fraction left it is no integer; what a double makes of those is known to everybody.
  if (zeros < 0 || keepsDigits(double, digits)) return double;
  return BigInt(`${sign}${digits}${"0".repeat(zeros)}`);
}

/** Whether a double still has the digits that it was written with. */
function keepsDigits(double: number, digits: string): boolean {
  if (digits.length > 17)
    return (
      BigInt(double)
        .toString()
        .replace(/^-|0+$/g, "") === digits
    );
  const kept = Math.abs(double).toPrecision(digits.length);
  return kept.replace(/e.*$/, "").replace(".", "") === digits;
}

/**
 * Whether a value that `JSON.parse` made holds a number that has to be looked at in the text, as hardly any does: all that
 * the others cost. A look through the text for long numbers costs more.
 */
function holdsLarge(value: unknown, depthLeft: number): boolean {
  if (typeof value !== "object" || value === null) return typeof value === "number" && isLarge(value);
  // Nested deeper than the stack may be: what looks at the text has none.
  if (depthLeft === 0) return true;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item === "number") {
        if (isLarge(item)) return true;
      } else if (typeof item === "object" && holdsLarge(item, depthLeft - 1)) return true;
    }
    return false;
  }
  // biome-ignore lint/plugin: the fastest way through an object; an inherited number costs a look at the text, and no more
  for (const name in value) {
    const inner: unknown = (value as Record<string, unknown>)[name];
    if (typeof inner === "number") {
      if (isLarge(inner)) return true;
    } else if (typeof inner === "object" && holdsLarge(inner, depthLeft - 1)) return true;
  }
  return false;
}

const DEPTH_MAX = 200;

/** 2^53 may be the integer after it, which no double is. */
const isLarge = (number: number): boolean => number >= EXACT_MAX || number <= -EXACT_MAX;

/** Where a container stands: kept only for messages. */
interface Place {
  readonly object: Record<string, unknown> | unknown[];
  readonly name: string | number;
  readonly within: Place | undefined;
}

/** Puts other values into fresh JSON, in place. Without recursion: `JSON.parse` takes any depth, and so does this. */
function replaceLarge(root: unknown, replace: (number: number, path: () => Path) => unknown): unknown {
  if (typeof root === "number") return Math.abs(root) > EXACT_MAX ? replace(root, () => []) : root;
  if (typeof root !== "object" || root === null) return root;
  const open: Place[] = [{ object: root as Place["object"], name: "", within: undefined }];
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const object = place.object as Record<string, unknown>;
    const within = place;
    for (const name of Object.keys(object)) {
      const inner = object[name];
      const step = Array.isArray(object) ? Number(name) : name;
      if (typeof inner === "number" && Math.abs(inner) > EXACT_MAX) {
        // A member named `__proto__` is the object's own by now: an assignment sets it and no prototype.
        object[name] = replace(inner, () => [...pathOf(within), step]);
      } else if (typeof inner === "object" && inner !== null) {
        open.push({ object: inner as Place["object"], name: step, within });
      }
    }
  }
  return root;
}

function pathOf(place: Place): Path {
  const path: (string | number)[] = [];
  for (let at = place; at.within !== undefined; at = at.within) path.unshift(at.name);
  return path;
}

function copyWith(value: unknown, path: Path, replace: (bigint: bigint, path: Path) => unknown): unknown {
  if (typeof value === "bigint") return replace(value, path);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((inner, index) => copyWith(inner, [...path, index], replace));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, copyWith(inner, [...path, name], replace)]),
  );
}
