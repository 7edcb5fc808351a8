import { describe, expect, it } from "vitest";
import { checkKey } from "../../../shared/function/check-key.ts";

describe("checkKey", () => {
  it.each([
    ["short text", "LAX"],
    ["1 byte", "a"],
    ["text that is a property of every object", "__proto__"],
    ["682 units of three bytes each", "日".repeat(682)],
    ["2048 bytes of ASCII", "a".repeat(2048)],
    ["2048 bytes in pairs of surrogates", "🎈".repeat(512)],
  ])("accepts %s", (_, key) => {
    expect(checkKey("f", key)).toBe(key);
  });

  it.each<[string, unknown, string]>([
    [
      "undefined",
      undefined,
      "key of f returned undefined; a key is text of 1 to 2048 bytes of UTF-8. Return text, for a number String(number), and let the event's schema require the field.",
    ],
    ["null", null, "key of f returned null; a key is text"],
    ["a number", 7, "key of f returned number (7); a key is text"],
    ["an object", {}, "key of f returned an object; a key is text"],
    ["a symbol", Symbol("x"), "key of f returned symbol (Symbol(x)); a key is text"],
    [
      "empty text",
      "",
      'key of f returned an empty string; a key is text of 1 to 2048 bytes of UTF-8. Return a name of your own for events without a key ("none")',
    ],
    [
      "2049 bytes of ASCII",
      "a".repeat(2049),
      `key of f returned 2049 bytes of UTF-8 ("${"a".repeat(40)}…"); a key is text of 1 to 2048 bytes of UTF-8. Return a shorter key, or a hash of it`,
    ],
    ["683 units of three bytes each", "日".repeat(683), "key of f returned 2049 bytes of UTF-8"],
    [
      "a lone surrogate",
      "a\ud800",
      'key of f returned "a\\ud800", which has a lone surrogate and so no UTF-8 form; a key is text of 1 to 2048 bytes of UTF-8. Return key.toWellFormed().',
    ],
    ["a lone surrogate in long text", `${"a".repeat(900)}\ud800`, "which has a lone surrogate"],
  ])("refuses %s", (_, key, message) => {
    expect(() => checkKey("f", key)).toThrow(
      expect.objectContaining({ kind: "fix-function", message: expect.stringContaining(message) }),
    );
  });
});
