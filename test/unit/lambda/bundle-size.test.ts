import path from "node:path";
import { build, type Metafile } from "esbuild";
import { describe, expect, test } from "vitest";
import app from "../../../examples/flights/app.ts";
import { describeApp } from "../../../shared/app/app-description.ts";
import { bundleDefines } from "../../../shared/runtime/settings.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const LIMIT_BYTES = 120 * 1024;

/** As the constructs bundle event functions; the SDK, Powertools and packages of the user are left outside. */
async function bundled(): Promise<Metafile["outputs"][string]["inputs"]> {
  const { metafile } = await build({
    entryPoints: [path.join(root, "functions/event/handler.ts")],
    absWorkingDir: root,
    ...{ bundle: true, minify: true, write: false, metafile: true, outdir: "out" },
    ...{ format: "esm", platform: "node", target: "node22", charset: "utf8" },
    alias: { "tidemark-app-module": "./examples/flights/app.ts" },
    define: { ...bundleDefines(describeApp(app)) },
    external: ["@aws-sdk/*", "@smithy/*", "@aws-lambda-powertools/*", "zod"],
  });
  return Object.values(metafile.outputs)[0]?.inputs ?? {};
}

/** All but the user's code: what we bundle of other packages counts as ours. */
const own = (inputs: Metafile["outputs"][string]["inputs"]): [string, number][] =>
  Object.entries(inputs)
    .filter(([file]) => !file.startsWith("examples/"))
    .map(([file, { bytesInOutput }]) => [file, bytesInOutput]);

describe("the bundle of an event function", () => {
  test("holds less than 120 KB of Tidemark's own code", async () => {
    const bytes = own(await bundled()).reduce((sum, [, size]) => sum + size, 0);
    expect(bytes).toBeGreaterThan(20_000);
    expect(bytes).toBeLessThan(LIMIT_BYTES);
  });

  test("holds nothing of the other functions: no coordinator, no restore, no adapter of another place", async () => {
    const strangers = own(await bundled()).filter(
      // A few bytes are a constant or a type's trace.
      ([file, size]) =>
        size > 100 &&
        /shared\/(checkpoint|restore|runtime\/(coordinator|restore|worker))|\/(file|heap|memory|signed)\//.test(file),
    );
    expect(strangers).toEqual([]);
  });
});
