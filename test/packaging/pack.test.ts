/** What users get: the package, packed, installed into an empty project without any optional peer, and used. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, "../..");
const notCopied = new Set(["node_modules", "dist", "cdk.out", "coverage", ".git", ".tidemark", "test"]);

const userApp = `
import { defineApp, defineFunction, TidemarkError } from "tidemark";
import { z } from "zod";

export const visits = defineFunction({
  name: "visits",
  event: z.object({ page: z.string(), at: z.number() }),
  key: (visit) => visit.page,
  state: { initial: () => ({ count: 0, last: 0 }) },
  handle: (state, visit) => ({ count: state.count + 1, last: Math.max(state.last, visit.at) }),
});

// @ts-expect-error: a page is a string, so the types of the package do reach this module.
export const misread: number = visits.key({ page: "/", at: 1 });

export const isOurs = (thrown: unknown): boolean => thrown instanceof TidemarkError && thrown.kind === "retry";

export default defineApp({ name: "site", functions: [{ function: visits, source: "visits" }] });
`;

const userStack = `
import { App, Duration, Stack } from "aws-cdk-lib";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { fromKinesis, TidemarkApp } from "tidemark/infra";
import app from "./app.ts";

const stack = new Stack(new App(), "Site");
const stream = new Stream(stack, "Visits");
const site = new TidemarkApp(stack, "Site", {
  app,
  module: "app.ts",
  sources: { visits: fromKinesis(stream, { maxBatchingWindow: Duration.seconds(5) }) },
});
site.function("visits").metricRecordsFolded();

// @ts-expect-error: a source is bound, not named, so the types of the package do reach this module.
export const misread = { visits: "kinesis:visits" } satisfies ConstructorParameters<typeof TidemarkApp>[2]["sources"];
`;

/** Prints the file of every module that importing the package loads, CommonJS included. */
const listModules = `
import { register, createRequire } from "node:module";
import { MessageChannel } from "node:worker_threads";
const { port1, port2 } = new MessageChannel();
const loaded = [];
port1.on("message", (url) => loaded.push(url));
port1.unref();
const hooks = \`
  let port;
  export const initialize = (data) => { port = data.port; };
  export const load = (url, context, next) => { port.postMessage(url); return next(url, context); };
\`;
register("data:text/javascript," + encodeURIComponent(hooks), { data: { port: port2 }, transferList: [port2] });
const face = await import("tidemark");
await new Promise((resolve) => setImmediate(resolve));
const required = Object.keys(createRequire(import.meta.url).cache);
console.log(JSON.stringify({ exported: Object.keys(face), loaded: [...loaded, ...required] }));
`;

let folder: string;
let project: string;
let tarball: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-pack-"));
  project = path.join(folder, "project");
  // Packing builds into dist/, which other tests may be reading: it is done on a copy of the sources.
  const sources = path.join(folder, "sources");
  await cp(root, sources, { recursive: true, filter: (from) => !notCopied.has(path.relative(root, from)) });
  await symlink(path.join(root, "node_modules"), path.join(sources, "node_modules"));
  await run("npm", ["pack", "--pack-destination", folder], { cwd: sources });

  const { name, version } = JSON.parse(await readFile(path.join(root, "package.json"), "utf8"));
  tarball = path.join(folder, `${name}-${version}.tgz`);
  const zod = JSON.parse(await readFile(path.join(root, "node_modules/zod/package.json"), "utf8"));
  await mkdir(project);
  await writeFile(path.join(project, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  const flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--engine-strict"];
  await run("npm", ["install", ...flags, tarball, `zod@${zod.version}`], {
    cwd: project,
  });
  await writeFile(path.join(project, "app.ts"), userApp);
  await writeFile(
    path.join(project, "visits.jsonl"),
    '{"page":"/","at":1}\n{"page":"/","at":5}\n{"page":"/about","at":3}\n',
  );
}, 300_000);

const tidemark = (...args: string[]) => run("npx", ["--no-install", "tidemark", ...args], { cwd: project });

afterAll(() => rm(folder, { recursive: true }));

describe("the packed package, installed into an empty project", () => {
  test.each([
    ["NodeNext", "NodeNext"],
    ["ESNext", "Bundler"],
  ])(
    "type-checks a strict app module (module %s, resolution %s)",
    async (module, moduleResolution) => {
      const compilerOptions = {
        module,
        moduleResolution,
        target: "ES2023",
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        noEmit: true,
      };
      const config = path.join(project, `tsconfig.${moduleResolution}.json`);
      await writeFile(config, JSON.stringify({ compilerOptions, files: ["app.ts"] }));
      const { stdout } = await run(
        process.execPath,
        [path.join(root, "node_modules/typescript/bin/tsc"), "-p", config],
        {
          cwd: project,
        },
      ).catch((failure: { stdout: string }) => failure);
      expect(stdout).toBe("");
    },
    180_000,
  );

  test("loads neither an AWS client nor an optional peer when an app module imports it", async () => {
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", listModules], { cwd: project });
    const { exported, loaded } = JSON.parse(stdout) as { exported: string[]; loaded: string[] };
    expect(exported).toEqual(expect.arrayContaining(["TidemarkError", "defineApp", "defineFunction"]));
    const ours = `${project}/node_modules/tidemark/`;
    expect(loaded.some((file) => file.includes(`${ours}dist/shared/index.js`))).toBe(true);
    expect(loaded.filter((file) => file.includes("/node_modules/") && !file.includes(ours))).toEqual([]);
  });

  test("installs no optional peer", async () => {
    const { peerDependencies } = JSON.parse(await readFile(path.join(root, "package.json"), "utf8"));
    expect(Object.keys(peerDependencies)).toContain("dynalite");
    const installed = Object.keys(peerDependencies).filter((name) =>
      existsSync(path.join(project, "node_modules", name)),
    );
    expect(installed).toEqual([]);
  });

  test("offers the engine on a subpath", async () => {
    const script = 'console.log(typeof (await import("tidemark/local")).startEngine);';
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { cwd: project });
    expect(stdout).toBe("function\n");
  });

  test("answers npx tidemark --help", async () => {
    const { stdout } = await tidemark("--help");
    expect(stdout).toContain("tidemark run my-app.ts");
  });

  test("runs an app module that is TypeScript, on this version of Node", async () => {
    const { stdout } = await tidemark(
      "run",
      "app.ts",
      "--source",
      "visits=visits.jsonl",
      "--backend",
      "heap",
      "--json",
    );
    expect(JSON.parse(stdout)).toMatchObject({ records: 3 });
  });

  test("asks for the emulator by name, with the line that installs it, when a run needs it", async () => {
    const home = ["--home", "of-dynamodb"];
    await expect(tidemark("run", "app.ts", "--source", "visits=visits.jsonl", ...home)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("npm install dynalite"),
    });
  });

  test("asks for the reader of Parquet by name, with the line that installs it, when a source needs it", async () => {
    await writeFile(path.join(project, "visits.parquet"), "PAR1");
    const run = tidemark("run", "app.ts", "--source", "visits=visits.parquet", "--backend", "heap");
    await expect(run).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("npm install hyparquet hyparquet-compressors"),
    });
  });

  test("has every file that its manifest names", async () => {
    const { exports, bin } = JSON.parse(
      await readFile(path.join(project, "node_modules/tidemark/package.json"), "utf8"),
    );
    const named = Object.values<string | { types: string; default: string }>({ ...exports, ...bin });
    const files = named.flatMap((entry) => (typeof entry === "string" ? [entry] : [entry.types, entry.default]));
    expect(files).toContain("./dist/shared/lambda/index.js");
    expect(files.filter((file) => !existsSync(path.join(project, "node_modules/tidemark", file)))).toEqual([]);
  });

  test("ships compiled files, the licence and the changelog only, and neither demo nor example", async () => {
    const { stdout } = await run("tar", ["-tzf", tarball]);
    const files = stdout
      .trim()
      .split("\n")
      .map((file) => file.replace("package/", ""));
    const folders = new Set(files.map((file) => path.dirname(file).split("/").slice(0, 3).join("/")));
    expect([...folders].filter((folder) => !folder.startsWith("dist/shared/")).sort()).toEqual([
      ".",
      "dist/cli",
      "dist/functions/coordinator",
      "dist/functions/event",
      "dist/functions/restore",
      "dist/functions/snapshot",
      "dist/infra/constructs",
      "dist/local",
      "dist/local/dynamodb",
      "dist/local/pump",
      "dist/local/worker",
      "dist/shared",
    ]);
    expect(files.filter((file) => !file.startsWith("dist/")).sort()).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "package.json",
    ]);
    // Neither the example nor its demo.
    expect(files.filter((file) => /demo|flights|on-time|hash-chain|example|buggy/i.test(file))).toEqual([]);
    expect(stdout).not.toMatch(/(?<!\.d)\.ts$/m);
  });
});

/** Too large to be installed for each run: linked from here, as they are. */
const deploymentPeers = ["aws-cdk-lib", "constructs", "esbuild"];

describe("tidemark/infra of the packed package", () => {
  const modules = () => path.join(project, "node_modules");
  const links = () => [...deploymentPeers, ".bin/esbuild"].map((name) => path.join(modules(), name));
  let output: string;

  beforeAll(async () => {
    output = path.join(folder, "cdk.out");
    await writeFile(path.join(project, "stack.ts"), userStack);
    for (const link of links()) {
      await symlink(path.join(root, "node_modules", path.relative(modules(), link)), link);
    }
  });
  afterAll(() => Promise.all(links().map((link) => rm(link, { force: true }))));

  /** Without the commands of packages that this process found on its path: a user's has none of them. */
  const synthesise = () => {
    const commands = (process.env.PATH ?? "").split(path.delimiter).filter((entry) => !entry.includes("node_modules"));
    return run(process.execPath, [path.join(modules(), "jiti/lib/jiti-cli.mjs"), "stack.ts"], {
      cwd: project,
      env: { ...process.env, CDK_OUTDIR: output, PATH: commands.join(path.delimiter) },
    });
  };

  test("type-checks a stack", async () => {
    const compilerOptions = {
      ...{ module: "NodeNext", moduleResolution: "NodeNext", target: "ES2023", types: [], strict: true },
      ...{ exactOptionalPropertyTypes: true, skipLibCheck: true, noEmit: true, allowImportingTsExtensions: true },
    };
    const config = path.join(project, "tsconfig.stack.json");
    await writeFile(config, JSON.stringify({ compilerOptions, files: ["stack.ts"] }));
    const compiler = path.join(root, "node_modules/typescript/bin/tsc");
    const checked = run(process.execPath, [compiler, "-p", config], { cwd: project });
    const { stdout } = await checked.catch((failure: { stdout: string }) => failure);
    expect(stdout).toBe("");
  }, 180_000);

  test("bundles the user's app module into a function, without an entry file of theirs", async () => {
    await synthesise();
    const { Resources } = JSON.parse(await readFile(path.join(output, "Site.template.json"), "utf8")) as {
      Resources: Record<string, { Type: string; Properties: { Description: string; Code: { S3Key: string } } }>;
    };
    const functions = Object.values(Resources).filter(({ Type }) => Type === "AWS::Lambda::Function");
    expect(functions.map(({ Properties }) => Properties.Description)).toContain("Tidemark: function visits of site");
    expect(functions).toHaveLength(4);
    for (const { Properties } of functions) {
      const bundle = path.join(output, `asset.${path.parse(Properties.Code.S3Key).name}`, "index.mjs");
      const asked = `
        const { handler } = await import(${JSON.stringify(bundle)});
        const said = await handler({}, { getRemainingTimeInMillis: () => 60_000 }).catch((thrown) => thrown);
        process.stdout.write(said.message ?? said.error.message);
      `;
      const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", asked]);
      expect(stdout).toContain("TIDEMARK_SETTINGS is not set");
    }
  }, 300_000);

  test("asks for esbuild by name, with the line that installs it, where it is missing", async () => {
    await rm(path.join(modules(), "esbuild"));
    await expect(synthesise()).rejects.toMatchObject({
      stderr: expect.stringContaining("npm install --save-dev esbuild"),
    });
  }, 180_000);
});
