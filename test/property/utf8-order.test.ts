/** The control store's order of strings, which takes a short cut that only some strings allow. */

import { expect, it } from "vitest";
import { compareUtf8 } from "../../shared/control/utf8-order.ts";
import fc from "../support/properties.ts";

const byBytes = (one: string, other: string): number => Math.sign(Buffer.compare(Buffer.from(one), Buffer.from(other)));

it("any two strings are in the order of their UTF-8 bytes", () => {
  const text = fc.string({ unit: "grapheme" });
  fc.assert(fc.property(text, text, (one, other) => Math.sign(compareUtf8(one, other)) === byBytes(one, other)));
});

it("a character of two units comes after the last one of one", () => {
  expect(compareUtf8("\u{1f30a}", "\uffee")).toBeGreaterThan(0);
  expect(compareUtf8("\uffee", "\u{1f30a}")).toBeLessThan(0);
});
