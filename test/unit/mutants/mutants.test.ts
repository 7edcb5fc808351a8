import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { mutants } from "../../mutants/mutants.ts";
import { mutate } from "../../mutants/mutate.ts";
import { inRotation } from "../../mutants/rotation.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/protocol.md"), "utf8");
const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ");
/** The rules alone: the preamble says what ◆ stands for. */
const rules = oneLine(page.slice(page.indexOf("## 1.")));

describe("the mutants", () => {
  test.each(mutants)("$name: its text is in the code once, and is changed", (mutant) => {
    for (const [file, source] of mutate(mutant)) {
      expect(source).not.toBe(readFileSync(join(import.meta.dirname, "../../..", file), "utf8"));
    }
  });

  test.each(mutants)("$name: goes against what the protocol says", ({ rule }) => {
    expect(rules).toContain(oneLine(rule));
  });

  test("have names of their own", () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  test("break every rule that is marked ◆", () => {
    const broken = mutants.flatMap(({ rule }) => {
      const start = rules.indexOf(oneLine(rule));
      return Array.from(oneLine(rule).matchAll(/◆/g), ({ index }) => start + index);
    });
    const unbroken = Array.from(rules.matchAll(/◆/g), ({ index }) => index).filter((index) => !broken.includes(index));
    expect(unbroken.map((index) => rules.slice(Math.max(0, index - 80), index + 40))).toEqual([]);
  });
});

describe("a mutant whose text has moved", () => {
  const edit = { file: "shared/errors.ts", search: "no such text", replace: "" };

  test("fails by name rather than be left out", () => {
    const moved = { name: "moved", breaks: "", rule: "", world: "ports" as const, edits: [edit] };
    expect(() => mutate(moved)).toThrow("Mutant moved: shared/errors.ts has the text 0 times");
    expect(() => mutate({ ...moved, edits: [{ ...edit, search: "TidemarkError" }] })).toThrow(/has the text \d+ times/);
  });
});

describe("the rotation", () => {
  const items = ["a", "b", "c", "d", "e"];

  test("takes each in its turn, and begins again", () => {
    expect([0, 1, 2].map((turn) => inRotation(items, 2, String(turn)).join(""))).toEqual(["ab", "cd", "ea"]);
    expect(inRotation(items, 9, "1")).toHaveLength(5);
    expect(inRotation([], 3, "1")).toEqual([]);
  });

  test("takes for a commit always the same", () => {
    expect(inRotation(items, 2, "0f3c9a")).toEqual(inRotation(items, 2, "0f3c9a"));
    const taken = new Set(Array.from({ length: 60 }, (_, n) => inRotation(items, 1, `commit ${n}`)[0]));
    expect(taken.size).toBe(5);
  });
});
