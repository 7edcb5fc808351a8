/**
 * Which numbers of a value are BigInts. DynamoDB has one type of number, and gives 1e20 back as the same digits as
 * 100000000000000000000n; so whoever stores a value in DynamoDB's form stores its marks beside it.
 *
 * Invariant: a value without a BigInt has no marks, so that it is stored as it always was.
 */
import type { JsonValue } from "./json-value.ts";

/**
 * `true`: every number within is a BigInt. An object: the marks of the members that hold any, by their names; of an
 * array, by the index.
 */
export type BigIntMarks = true | { readonly [name: string]: BigIntMarks };

/** @returns undefined when no number of the value is a BigInt */
export function marksOf(value: JsonValue): BigIntMarks | undefined {
  const found = find(value);
  return found === "none" || found === "neither" ? undefined : found;
}

/** `neither`: the value has no numbers at all. `none`: it has some, and none is a BigInt. */
function find(value: JsonValue): BigIntMarks | "none" | "neither" {
  if (typeof value === "bigint") return true;
  if (typeof value === "number") return "none";
  if (typeof value !== "object" || value === null) return "neither";
  // Without a prototype: no name means more than itself.
  const marks: Record<string, BigIntMarks> = Object.create(null);
  let marked = false;
  let whole = true;
  let numbers = false;
  for (const name of Object.keys(value)) {
    const inner = find((value as { readonly [name: string]: JsonValue })[name] as JsonValue);
    if (inner === "neither") continue;
    numbers = true;
    if (inner !== true) whole = false;
    if (inner === "none") continue;
    marks[name] = inner;
    marked = true;
  }
  if (!numbers) return "neither";
  if (!marked) return "none";
  return whole ? true : marks;
}

/** The marks of a member or an element. */
export function marksWithin(marks: BigIntMarks | undefined, name: string | number): BigIntMarks | undefined {
  if (marks === undefined || marks === true) return marks;
  return Object.hasOwn(marks, name) ? marks[name] : undefined;
}
