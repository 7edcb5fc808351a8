import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { importOptional } from "../../../local/optional-package.ts";

test("a missing package is asked for by name, with the line that installs it", async () => {
  await expect(importOptional("tidemark-no-such-package", "The embedded engine")).rejects.toMatchObject({
    kind: "fix-configuration",
    message:
      "The embedded engine needs the package tidemark-no-such-package, which is not installed: npm install tidemark-no-such-package",
  });
});

test("an installed package is loaded", async () => {
  const constructs = await importOptional<typeof import("constructs")>("constructs", "The test");
  expect(constructs.Construct).toBeTypeOf("function");
});

test("a package that is installed but lacks a package of its own keeps its own error", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-optional-"));
  try {
    const broken = pathToFileURL(path.join(folder, "broken.mjs")).href;
    await writeFile(path.join(folder, "broken.mjs"), 'import "tidemark-no-such-package";\n');
    await expect(importOptional(broken, "The embedded engine")).rejects.toMatchObject({ code: "ERR_MODULE_NOT_FOUND" });
  } finally {
    await rm(folder, { recursive: true });
  }
});
