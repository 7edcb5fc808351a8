/**
 * A value as JSON text. A BigInt is an integer literal, and a double beyond 2^53 has an exponent: `parseJson` reads each as
 * what it was, but for a BigInt that a number can hold as well, which it reads as that number. All else is what `JSON.stringify` makes of it.
 */
import { EXACT_MAX } from "./parse-json.ts";
import { replaceNumbers } from "./replace-numbers.ts";

/** @param indent as that of `JSON.stringify` */
export function jsonText(value: unknown, indent?: number): string {
  const large: string[] = [];
  const text = JSON.stringify(
    value,
    (_name, inner: unknown) => {
      if (typeof inner === "bigint") large.push(inner.toString());
      else if (typeof inner === "number" && Math.abs(inner) > EXACT_MAX && Number.isFinite(inner))
        large.push(inner.toExponential());
      else return inner;
      // The text has no other numbers that are so large: these can be told from all of them.
      return EXACT_MAX + 2 * large.length;
    },
    indent,
  );
  if (large.length === 0) return text;
  return replaceNumbers(text, (literal) => large[(Number(literal) - EXACT_MAX) / 2 - 1] ?? literal);
}
