import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import exampleApp from "../../../functions/app.ts";
import { spelt } from "./deployed-app.ts";

const root = path.resolve(import.meta.dirname, "../../..");

let output: string;
let template: Template;
beforeAll(async () => {
  output = await mkdtemp(path.join(tmpdir(), "tidemark-cdk-"));
  const cdk = path.join(root, "node_modules/aws-cdk/bin/cdk");
  await promisify(execFile)(process.execPath, [cdk, "synth", "--quiet", "--output", output], { cwd: root });
  template = Template.fromJSON(JSON.parse(await readFile(path.join(output, "TidemarkExample.template.json"), "utf8")));
}, 300_000);
afterAll(() => rm(output, { recursive: true }));

/** The module that a function of the template loads. */
async function bundleOf(description: RegExp): Promise<string> {
  const found = Object.values(template.findResources("AWS::Lambda::Function")).filter(({ Properties }) =>
    description.test(Properties.Description),
  );
  expect(found).toHaveLength(1);
  const asset = path.parse(found[0]?.Properties.Code.S3Key).name;
  return path.join(output, `asset.${asset}`, "index.mjs");
}

describe("npx cdk synth", () => {
  test("makes the example: outputs name what the command line and the README ask for", () => {
    const names = exampleApp.functions.map((binding) => binding.function.name.replaceAll("-", ""));
    expect(Object.keys(template.findOutputs("*")).sort()).toEqual(
      [
        "CheckpointBucket",
        "CheckpointStorage",
        "ControlTable",
        "CoordinatorFunction",
        "RestoreFunction",
        "SnapshotFunction",
        "StreamName",
        ...names.flatMap((name) => [`Function${name}`, `Mapping${name}`, `StateTable${name}`]),
      ].sort(),
    );
    expect(spelt(template.findOutputs("CheckpointStorage").CheckpointStorage?.Value)).toBe(
      "s3://<FlightsCheckpoints>/flights",
    );
  });

  test("bundles one module for all event functions, and one for each part of Tidemark's", async () => {
    expect((await readdir(output)).filter((name) => name.startsWith("asset."))).toHaveLength(4);
    expect(await bundleOf(/function on-time/)).toBe(await bundleOf(/function hash-chain/));
  });

  test.each([/function on-time/, /writes and loads/, /coordinates/])(
    "bundles modules that load by themselves, with the SDK, and ask for their settings: %s",
    async (description) => {
      const { handler } = await import(pathToFileURL(await bundleOf(description)).href);
      const context = { getRemainingTimeInMillis: () => 60_000 };
      await expect(handler({}, context)).rejects.toThrow("TIDEMARK_SETTINGS is not set");
    },
  );

  test("bundles the restore function, which answers what is wrong to those who invoke it", async () => {
    const { handler } = await import(pathToFileURL(await bundleOf(/Tidemark: restores/)).href);
    const context = { getRemainingTimeInMillis: () => 60_000 };
    const answer = await handler({}, context);
    expect(answer).toMatchObject({ error: { kind: "fix-configuration" } });
  });

  test("bakes the app's description into the bundles of those that have no code of the user's, and no user code", async () => {
    // Whole bundles would make unreadable failures.
    const holds = async (description: RegExp, text: RegExp): Promise<boolean> =>
      text.test(await readFile(await bundleOf(description), "utf8"));
    for (const description of [/coordinates/, /writes and loads/, /Tidemark: restores/]) {
      expect(await holds(description, /name\W+on-time\W+source\W+flights\W+stateVersion\W+2\D/)).toBe(true);
      expect(await holds(description, /totalDelay/)).toBe(false);
    }
    expect(await holds(/function on-time/, /totalDelay/)).toBe(true);
  });

  test("makes source maps, which the functions use", async () => {
    const map = JSON.parse(await readFile(`${await bundleOf(/function on-time/)}.map`, "utf8"));
    const sources = map.sources.filter((source: string) => source.endsWith("functions/on-time/on-time.ts"));
    expect(sources).toHaveLength(1);
    for (const { Properties } of Object.values(template.findResources("AWS::Lambda::Function"))) {
      expect(Properties.Environment.Variables.NODE_OPTIONS).toBe("--enable-source-maps");
    }
  });
});
