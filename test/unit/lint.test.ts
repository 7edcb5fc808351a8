import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
let project: string;

beforeAll(async () => {
  project = await mkdtemp(path.join(tmpdir(), "tidemark-lint-"));
  for (const name of ["biome.json", ".biome", ".gitignore"]) {
    await cp(path.join(root, name), path.join(project, name), { recursive: true });
  }
});
afterAll(() => rm(project, { recursive: true }));

/** Lints one planted file by the project's rules; the rules that refuse it. */
async function refusals(file: string, source: string): Promise<string[]> {
  const planted = path.join(project, file);
  await mkdir(path.dirname(planted), { recursive: true });
  await writeFile(planted, source);
  const biome = path.join(root, "node_modules/@biomejs/biome/bin/biome");
  const { stdout } = await promisify(execFile)(process.execPath, [biome, "lint", "--reporter=json", file], {
    cwd: project,
  }).catch((failure: { stdout: string }) => failure);
  const report = JSON.parse(stdout) as { diagnostics: { category: string; severity: string }[] };
  return report.diagnostics.filter(({ severity }) => severity === "error").map(({ category }) => category);
}

const clock = "export const now = Date.now();\n";
const environment = "export const name = process.env.NAME;\n";

describe("the lint rules of shared code", () => {
  test.each([
    ["Date.now", clock, "plugin"],
    ["Date.now as a value", "export const now = Date.now;\n", "plugin"],
    ["Math.random", "export const half = Math.random();\n", "plugin"],
    ["new Date() without arguments", "export const now = new Date();\n", "plugin"],
    ["setTimeout", "setTimeout(() => {}, 5);\n", "lint/style/noRestrictedGlobals"],
    ["setTimeout by globalThis", "globalThis.setTimeout(() => {}, 5);\n", "plugin"],
    ["setInterval", "setInterval(() => {}, 5);\n", "lint/style/noRestrictedGlobals"],
    ["timers by import", 'export { setTimeout } from "node:timers/promises";\n', "lint/style/noRestrictedImports"],
    ["process.env", environment, "lint/style/noProcessEnv"],
  ])("refuse %s", async (_what, source, rule) => {
    expect(await refusals("shared/batch/planted.ts", source)).toEqual([rule]);
  });

  test.each([
    ["shared/json/planted.ts", "const"],
    ["local/planted.ts", "let"],
    ["cli/planted.ts", "const"],
    ["infra/planted.ts", "const"],
    ["functions/planted.ts", "const"],
  ])("refuse inherited members in %s", async (file, how) => {
    const loop = `export function* names(of: object) {\n  for (${how} name in of) yield name;\n}\n`;
    expect(await refusals(file, loop)).toContain("plugin");
    expect(await refusals(file, loop.replace("name in of", "name of Object.keys(of)"))).not.toContain("plugin");
  });

  test("allow a date that is made of a given time", async () => {
    expect(await refusals("shared/batch/planted.ts", "export const five = new Date(5);\n")).toEqual([]);
  });

  test("allow process.env, but no clock, in shared/lambda", async () => {
    expect(await refusals("shared/lambda/planted.ts", environment + clock)).toEqual(["plugin"]);
    expect(await refusals("shared/runtime/planted.ts", environment)).not.toEqual([]);
  });

  test("allow the clock in shared/environment.ts and outside shared", async () => {
    expect(await refusals("shared/environment.ts", clock)).toEqual([]);
    expect(await refusals("cli/planted.ts", clock)).toEqual([]);
  });
});
