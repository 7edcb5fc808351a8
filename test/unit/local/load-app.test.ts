import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadApp } from "../../../local/load-app.ts";
import { TidemarkError } from "../../../shared/errors.ts";

const folder = mkdtempSync(path.join(tmpdir(), "tidemark-load-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, source: string): string {
  const at = path.join(folder, name);
  writeFileSync(at, source);
  return at;
}

async function refusal(at: string): Promise<string> {
  const thrown = await loadApp(at).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TidemarkError);
  expect((thrown as TidemarkError).kind).toBe("fix-configuration");
  return (thrown as TidemarkError).message;
}

describe("loading an app", () => {
  test("takes the default export of a TypeScript module", async () => {
    expect((await loadApp("examples/flights/app.ts")).name).toBe("flights");
  });

  test("names a file that is not there", async () => {
    expect(await refusal(path.join(folder, "nowhere.ts"))).toContain(`There is no app module ${folder}/nowhere.ts`);
  });

  test("says when there is no default export", async () => {
    expect(await refusal(file("none.ts", "export const app = 1;"))).toContain("has no default export");
  });

  test("says when the default export is no app", async () => {
    expect(await refusal(file("other.mjs", "export default { name: 'x' };"))).toContain("what defineApp did not make");
  });

  test("says what a module throws", async () => {
    expect(await refusal(file("throws.ts", "throw new RangeError('out of luck');"))).toContain(
      "cannot be loaded: RangeError: out of luck",
    );
  });

  test("says where a module does not parse", async () => {
    expect(await refusal(file("broken.ts", "export default {"))).toMatch(/cannot be loaded: .*broken\.ts/s);
  });
});
