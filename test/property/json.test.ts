/**
 * Invariants:
 * - JSON without large numbers is read as `JSON.parse` reads it: the same value, or the same error.
 * - An integer of any size is read as itself, wherever it stands; text and names are never touched.
 * - What is written as JSON is read as what it was, BigInts beyond 2^53 and doubles of any size told apart.
 */
import { expect, it } from "vitest";
import { jsonText } from "../../shared/json/json-text.ts";
import { parseJson } from "../../shared/json/parse-json.ts";
import fc from "../support/properties.ts";

const outcome = (parse: () => unknown): unknown => {
  try {
    return { value: parse() };
  } catch (thrown) {
    return { name: (thrown as Error).name, message: (thrown as Error).message };
  }
};

/** Literals that no double changes, in every form that JSON has for them. */
const keptLiteral = fc.oneof(
  fc.maxSafeInteger().map(String),
  fc.double({ noDefaultInfinity: true, noNaN: true }).map((n) => n.toExponential()),
  fc.double({ min: -1e15, max: 1e15, noNaN: true }).map((n) => JSON.stringify(n)),
  fc.constantFrom("-0", "0e400", "1e-400", "1E5", "5e+3", "1.50", "9007199254740992", "-9007199254740992", "1.2e19"),
);
const largeInteger = fc
  .tuple(fc.bigInt({ min: 2n ** 53n + 1n, max: 10n ** 60n }), fc.boolean())
  .map(([integer, negative]) => (negative ? -integer : integer));
/** Text with what could be taken for a number, a quote, an escape, or half a character. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string(),
  fc.constantFrom(
    "9007199254740993",
    "\\9007199254740993",
    '"9007199254740993',
    "\\",
    '\\"',
    "\ud800",
    "1e400",
    "__proto__",
  ),
);
const escaped = (one: string) =>
  `"${[...one].map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}"`;
const quoted = fc
  .tuple(text, fc.boolean())
  .map(([one, all]) => (all && one.length < 9 ? escaped(one) : JSON.stringify(one)));
const space = fc.constantFrom("", "", " ", "\n\t\r ");

/** JSON text of these numbers, with members that come twice. */
const jsonOf = (literal: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.letrec<{ any: string }>((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      literal,
      quoted,
      fc.constantFrom("null", "true", "false"),
      fc.tuple(fc.array(tie("any")), space).map(([items, pad]) => `[${pad}${items.join(`${pad},${pad}`)}${pad}]`),
      fc
        .tuple(fc.array(fc.tuple(fc.oneof(quoted, fc.constantFrom('"a"', '"1"', '"__proto__"')), tie("any"))), space)
        .map(([members, pad]) => `{${pad}${members.map((member) => member.join(`${pad}:${pad}`)).join(",")}}`),
    ),
  })).any;

it("reads JSON without large numbers as JSON.parse does", () => {
  fc.assert(
    fc.property(jsonOf(keptLiteral), (json) => {
      expect(outcome(() => parseJson(json))).toEqual(outcome(() => JSON.parse(json)));
    }),
    { numRuns: 2_000 },
  );
});

it("reads what is no JSON as JSON.parse does: with the same error", () => {
  fc.assert(
    fc.property(jsonOf(keptLiteral), fc.nat(), text, (json, place, inserted) => {
      const at = place % (json.length + 1);
      const broken = json.slice(0, at) + inserted + json.slice(at + 1);
      const found = outcome(() => JSON.parse(broken));
      fc.pre("message" in (found as object));
      expect(outcome(() => parseJson(broken))).toEqual(found);
    }),
    { numRuns: 2_000 },
  );
});

/** The same JSON with a large integer for each `"<n>"` of a string, as JSON.parse's own reviver puts them in. */
it("reads large integers exactly, wherever they stand, and all else as JSON.parse does", () => {
  const marked = jsonOf(fc.oneof(keptLiteral, fc.constant('"<n>"')));
  fc.assert(
    fc.property(marked, largeInteger, (json, integer) => {
      const exact = json.replaceAll('"<n>"', String(integer));
      const expected = JSON.parse(json, (_name, value) => (value === "<n>" ? integer : value));
      expect(parseJson(exact)).toEqual(expected);
      expect(parseJson(exact, "text")).toEqual(
        JSON.parse(json, (_name, value) => (value === "<n>" ? String(integer) : value)),
      );
    }),
    { numRuns: 2_000 },
  );
});

const value = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(null, true, false),
    fc.double({ noDefaultInfinity: true, noNaN: true }).map((n) => n + 0),
    fc.constantFrom(2 ** 53, 2 ** 53 + 2, 2 ** 60, 1e20, 1e21, 1e22, -1e20),
    largeInteger,
    text,
    fc.array(tie("any")),
    fc.dictionary(
      text.filter((name) => name !== "__proto__"),
      tie("any"),
    ),
  ),
})).any;

it("reads what it wrote, BigInts and doubles of any size told apart", () => {
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 2), (given, indent) => {
      expect(parseJson(jsonText(given, indent))).toEqual(given);
    }),
    { numRuns: 2_000 },
  );
});
