import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import exampleApp from "../../../functions/app.ts";

const root = path.resolve(import.meta.dirname, "../../..");

let output: string;
let stack: Record<string, unknown>;
beforeAll(async () => {
  output = await mkdtemp(path.join(tmpdir(), "tidemark-cdk-"));
  const { app: command } = JSON.parse(await readFile(path.join(root, "cdk.json"), "utf8")) as { app: string };
  await promisify(execFile)("/bin/sh", ["-c", command], { cwd: root, env: { ...process.env, CDK_OUTDIR: output } });
  stack = JSON.parse(await readFile(path.join(output, "TidemarkExample.template.json"), "utf8"));
}, 180_000);
afterAll(() => rm(output, { recursive: true }));

describe("the command in cdk.json", () => {
  test("synthesises the example: a state table for each of its functions", () => {
    const outputs = Object.keys(Template.fromJSON(stack).findOutputs("*"));
    expect(outputs.filter((name) => name.startsWith("StateTable"))).toHaveLength(exampleApp.functions.length);
  });

  test("bundles functions that load by themselves and ask for their settings", async () => {
    const assets = (await readdir(output)).filter((name) => name.startsWith("asset."));
    expect(assets).toHaveLength(exampleApp.functions.length + 1);
    for (const asset of assets) {
      const { handler } = await import(pathToFileURL(path.join(output, asset, "index.mjs")).href);
      const context = { getRemainingTimeInMillis: () => 60_000 };
      await expect(handler({}, context)).rejects.toThrow("TIDEMARK_SETTINGS is not set");
    }
  });
});
