import { describe, expect, test } from "vitest";
import { inWords } from "../../../cli/run-progress.ts";
import { visibleLine, visibleMembers, visibleText } from "../../../cli/visible-text.ts";

/** What a terminal obeys, reorders or hides. */
const UNSEEN = [
  ...Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)).filter((c) => c !== "\n" && c !== "\t"),
  ...Array.from({ length: 33 }, (_, code) => String.fromCharCode(0x7f + code)),
  ...["\u202a", "\u202e", "\u2066", "\u2069", "\u200e", "\u200f", "\u061c", "\u2028", "\u2029", "\u200b", "\ufeff"],
  ...["\ud83d", "\ude00"],
];

describe("text from outside", () => {
  test("shows every character that a terminal would obey, reorder or hide", () => {
    for (const character of UNSEEN) {
      const code = character.charCodeAt(0).toString(16).padStart(4, "0");
      expect(visibleText(`a${character}b`)).toBe(`a\\u${code}b`);
    }
  });

  test.each([
    ["letters of any script", "Köln 日本 עברית ไทย"],
    ["emoji", "😀👩‍👩‍👧"],
    ["lines and tabs", "a\n\tb"],
  ])("leaves %s as they are", (_what, text) => {
    expect(visibleText(text)).toBe(text);
  });

  test("is the same JSON as before", () => {
    const value = { [`k${UNSEEN.slice(0, -2).join("")}`]: `v${UNSEEN.slice(0, -2).join("")}\n` };
    const shown = visibleText(JSON.stringify(value, null, 2));
    expect(JSON.parse(shown)).toEqual(value);
    expect(shown).toMatch(/^[\x20-\x7e\n]*$/);
  });

  test("stays on its line, in what a run says of an event", () => {
    const error = "Error: a\u001b]0;title\u0007\nAll read: 9 records";
    const event = { type: "source-failed", function: "f", split: "s\u009b31m", error } as const;
    expect(inWords(visibleMembers(event))).toBe(
      "Split s\\u009b31m of f cannot be read: Error: a\\u001b]0;title\\u0007\\nAll read: 9 records",
    );
    expect(visibleLine("a\nb\tc\u009b")).toBe("a\\nb\\tc\\u009b");
  });
});
