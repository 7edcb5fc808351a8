/**
 * Several JSON values one after the other, with or without white space between them: what Firehose concatenates, JSON lines, and
 * text sequences (RFC 7464). Each is cut out here and read by the source's own parser, which knows the source's rule for
 * integers; parsers of streams read numbers themselves.
 */
import type { Decoder } from "../source/decoding.ts";
import { textOf } from "../source/record-text.ts";

/** The white space of JSON, the record separator of RFC 7464, and the mark that a concatenated file may begin with. */
const SPACE = " \\t\\r\\n\\u001E\\uFEFF";
const BETWEEN = new RegExp(`[${SPACE}]*`, "y");
/** A number, `true`, `false`, `null`, or what is none: the parser says so. */
const WORD = new RegExp(`[^${SPACE}[{"]+`, "y");
const NEXT_OF_NESTING = /["[\]{}]/g;

/**
 * As many events as there are JSON values in the record: `{"a":1}{"a":2}`, or a line each. A record without any is none.
 *
 * A value that is no JSON, or not whole, makes the record a dead letter: none of its events is folded.
 */
export function jsonValues(): Decoder {
  return function* (bytes, { parseJson }) {
    const text = textOf(bytes);
    let from = endOf(BETWEEN, text, 0);
    while (from < text.length) {
      const end = endOfValue(text, from);
      yield parseJson(text.slice(from, end));
      from = endOf(BETWEEN, text, end);
    }
  };
}

/** Where the value that begins at `from` ends; the text's end where it is not whole. */
function endOfValue(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return endOfString(text, from);
  if (first !== "{" && first !== "[") return endOf(WORD, text, from);
  let depth = 0;
  NEXT_OF_NESTING.lastIndex = from;
  for (let next = NEXT_OF_NESTING.exec(text); next !== null; next = NEXT_OF_NESTING.exec(text)) {
    if (next[0] === '"') {
      NEXT_OF_NESTING.lastIndex = endOfString(text, next.index);
    } else {
      depth += next[0] === "{" || next[0] === "[" ? 1 : -1;
      if (depth === 0) return next.index + 1;
    }
  }
  return text.length;
}

/** @param from - of its opening quote */
function endOfString(text: string, from: number): number {
  let quote = text.indexOf('"', from + 1);
  while (quote !== -1 && isEscaped(text, quote)) quote = text.indexOf('"', quote + 1);
  return quote === -1 ? text.length : quote + 1;
}

function isEscaped(text: string, quote: number): boolean {
  let before = quote - 1;
  while (text[before] === "\\") before -= 1;
  return (quote - 1 - before) % 2 === 1;
}

function endOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : from;
}
