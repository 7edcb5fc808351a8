import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import exampleApp from "../../../functions/app.ts";

const root = path.resolve(import.meta.dirname, "../../..");

test("the command in cdk.json synthesises the example: a state table for each of its functions", async () => {
  const output = await mkdtemp(path.join(tmpdir(), "tidemark-cdk-"));
  try {
    const { app: command } = JSON.parse(await readFile(path.join(root, "cdk.json"), "utf8")) as { app: string };
    await promisify(execFile)("/bin/sh", ["-c", command], { cwd: root, env: { ...process.env, CDK_OUTDIR: output } });
    const stack = JSON.parse(await readFile(path.join(output, "TidemarkExample.template.json"), "utf8"));
    const outputs = Object.keys(Template.fromJSON(stack).findOutputs("*"));
    expect(outputs.filter((name) => name.startsWith("StateTable"))).toHaveLength(exampleApp.functions.length);
  } finally {
    await rm(output, { recursive: true });
  }
}, 180_000);
