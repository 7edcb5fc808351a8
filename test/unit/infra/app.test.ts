import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { App, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import exampleApp from "../../../examples/flights/app.ts";
import { TidemarkApp } from "../../../infra/constructs/index.ts";
import { ExampleStack } from "../../../infra/example-stack.ts";
import commonjsApp from "./commonjs/app.ts";
import { newStack, rightProps, spelt } from "./deployed-app.ts";

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

/** The template for what `-c` says, without bundling. */
async function synthesised(context: object): Promise<Template> {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-cdk-"));
  const env = {
    ...process.env,
    CDK_OUTDIR: folder,
    CDK_CONTEXT_JSON: JSON.stringify({ "aws:cdk:bundling-stacks": [], ...context }),
  };
  try {
    const jiti = path.join(root, "node_modules/jiti/lib/jiti-cli.mjs");
    await promisify(execFile)(process.execPath, [jiti, "infra/app.ts"], { cwd: root, env });
    return Template.fromJSON(JSON.parse(await readFile(path.join(folder, "TidemarkExample.template.json"), "utf8")));
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("-c", () => {
  const policies = (from: Template) =>
    ["AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::S3::Bucket"].map((type) => [
      ...new Set(Object.values(from.findResources(type)).map(({ DeletionPolicy }) => DeletionPolicy)),
    ]);
  const reserved = (from: Template) =>
    Object.values(from.findResources("AWS::Lambda::Function")).flatMap(
      ({ Properties }) => Properties.ReservedConcurrentExecutions ?? [],
    );

  test("left out retains what holds data, and reserves the coordinator's concurrency", () => {
    expect(policies(template)).toEqual([["Retain"], ["Retain"], ["Retain"]]);
    expect(reserved(template)).toEqual([1]);
  });

  test("removal=destroy leaves nothing behind, exclusive=false takes no concurrency from others", async () => {
    const said = await synthesised({ removal: "destroy", exclusive: "false" });
    expect(policies(said)).toEqual([["Delete"], ["Delete"], ["Delete"]]);
    expect(reserved(said)).toEqual([]);
  });

  test("removal=destroy goes with existing, which stays as it is", () => {
    const names = exampleApp.functions.map((binding) => binding.function.name);
    const stateTables = Object.fromEntries(names.map((name) => [name, `old-${name}`]));
    const stack = new ExampleStack(newStack().node.root, "Example", {
      ...{ app: exampleApp, module: "examples/flights/app.ts", removalPolicy: RemovalPolicy.DESTROY },
      existing: { controlTable: "old-control", stateTables, bucket: "old-bucket" },
    });
    expect(policies(Template.fromStack(stack))).toEqual([[], ["Delete"], []]);
  });

  test.each([{ removal: "destroyed" }, { exclusive: "no" }])(
    "%j is refused, and what it can be is said",
    async (wrong) => {
      const [[name, value]] = Object.entries(wrong) as [[string, string]];
      await expect(synthesised(wrong)).rejects.toThrow(new RegExp(`-c ${name}=${value}: it can be .* Leave it out`));
    },
  );
});

describe("an app with CommonJS in it", () => {
  const banner = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);";

  test.each([
    ["without a banner of its own", {}],
    ["with a banner of its own", { banner: "/* ours */" }],
    ["with the banner that others need for it", { banner }],
  ])(
    "is bundled so that it loads, %s",
    async (_, bundling) => {
      const stack = new Stack(new App({ outdir: await mkdtemp(path.join(output, "commonjs-")) }), "Shop");
      const props = rightProps(stack, commonjsApp);
      const own = { lambda: { bundling } };
      const { coordinator } = new TidemarkApp(stack, "App", {
        ...{ ...props, module: "test/unit/infra/commonjs/app.ts", functions: { visits: own } },
      });
      expect(coordinator).toBeDefined();
      const functions = Template.fromStack(stack).findResources("AWS::Lambda::Function");
      const asset = Object.values(functions).find(({ Properties }) => /function visits/.test(Properties.Description));
      const { name } = path.parse(asset?.Properties.Code.S3Key);
      const module = path.join((stack.node.root as App).outdir, `asset.${name}`, "index.mjs");
      // In a process of its own, as Lambda loads it.
      const script = `import(${JSON.stringify(pathToFileURL(module).href)}).then(({ handler }) => console.log(typeof handler))`;
      const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], {
        env: { ...process.env, TIDEMARK_FUNCTION: "visits" },
      });
      expect(stdout.trim()).toBe("function");
    },
    120_000,
  );
});

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
    const sources = map.sources.filter((source: string) => source.endsWith("examples/flights/on-time.ts"));
    expect(sources).toHaveLength(1);
    for (const { Properties } of Object.values(template.findResources("AWS::Lambda::Function"))) {
      expect(Properties.Environment.Variables.NODE_OPTIONS).toBe("--enable-source-maps");
    }
  });
});
