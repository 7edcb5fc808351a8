import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codeVersionOf } from "../../../local/code-version.ts";

let folder: string;
const write = (name: string, text: string): void => {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  writeFileSync(path.join(folder, name), text);
};
const version = (): string => codeVersionOf(path.join(folder, "app.ts"));

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tidemark-version-"));
  write("app.ts", 'import { a } from "./a.js";\nimport "zod";\nexport default a;');
  write("a.ts", 'export { b as a } from "./more";');
  write("more/index.ts", 'export const b = await import("../rules.json");');
  write("rules.json", "{}");
  write("notes.txt", "x");
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("the version of an app module", () => {
  test("is the same for the same code, wherever it stands", () => {
    const before = version();
    expect(before).toMatch(/^[0-9a-f]{16}$/);
    expect(version()).toBe(before);
    const copy = `${folder}-copy`;
    cpSync(folder, copy, { recursive: true });
    expect(codeVersionOf(path.join(copy, "app.ts"))).toBe(before);
    rmSync(copy, { recursive: true });
  });

  test.each(["app.ts", "a.ts", "more/index.ts", "rules.json"])("is another once %s has changed", (name) => {
    const before = version();
    write(name, `${name === "rules.json" ? '{"b":1}' : 'import { a } from "./a.js"; // changed'}`);
    expect(version()).not.toBe(before);
  });

  test("is not changed by a file that nothing imports, and is there where an import is not", () => {
    const before = version();
    write("notes.txt", "y");
    write("other.ts", "1");
    expect(version()).toBe(before);
    write("a.ts", 'export { b as a } from "./gone.ts";');
    expect(version()).toMatch(/^[0-9a-f]{16}$/);
  });

  test("comes to an end where modules import each other", () => {
    write("a.ts", 'import "./app.ts"; export const a = 1;');
    expect(version()).toMatch(/^[0-9a-f]{16}$/);
  });
});
