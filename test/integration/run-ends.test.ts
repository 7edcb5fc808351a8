import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { compiled } from "../support/compiled-tree.ts";
import { type EventFiles, writeEventFiles } from "../support/counted-events.ts";
import { type Spawned, startTidemark, tidemark } from "../support/spawned-cli.ts";

// Each test starts several processes, on machines that may have more to do.
vi.setConfig({ testTimeout: 240_000 });

const BACKENDS = ["dynamodb", "heap"];
const app = compiled("test/support/counting-app.ts");
let files: EventFiles;
let started: Spawned[];
beforeEach(() => {
  files = writeEventFiles({ files: 2, events: 60, keys: 4 });
  started = [];
});
afterEach(async () => {
  for (const { child, ended } of started) {
    child.kill("SIGKILL");
    await ended;
  }
  files.remove();
});

const home = () => ["--home", files.home];
const runArguments = (...more: string[]) => ["run", app, ...home(), "--source", `events=${files.folder}`, ...more];
const inFolder = (name: string) => path.join(files.folder, name);
/** The counting app, for a module that stands elsewhere. */
const countingApp = () =>
  readFileSync("test/support/counting-app.ts", "utf8")
    .replace("../../shared/index.ts", path.resolve("shared/index.ts"))
    .replace('"zod"', JSON.stringify(path.resolve("node_modules/zod/index.js")));
const times = (text: string, part: string): number => text.split(part).length - 1;

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Spawned {
  const spawned = startTidemark(args, env);
  started.push(spawned);
  return spawned;
}

async function statesByKey(): Promise<Map<string, unknown>> {
  const { code, stdout } = await tidemark(["state", "get", "counting", ...home()]);
  expect(code).toBe(0);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { key: string; state: unknown });
  return new Map(lines.map(({ key, state }) => [key, state]));
}

describe("a record that ends the process that handles it, each time", () => {
  const ENDINGS = [
    ["process.exit", "TIDEMARK_TEST_ENDS_AT", "exit code 7"],
    [
      "a change of the language's own objects that stays",
      "TIDEMARK_TEST_BREAKS_AT",
      "Array.prototype.map was replaced for good",
    ],
  ] as const;
  beforeEach(() => {
    files.remove();
    files = writeEventFiles({ files: 1, events: 3, keys: 1 });
    writeFileSync(inFolder("bad.jsonl"), `${JSON.stringify({ key: "bad", n: 1 })}\n`);
  });

  test.each(ENDINGS)("by %s, ends a run on a heap with 1 once no process got further", async (_what, variable, how) => {
    const ended = await tidemark(runArguments("--backend", "heap"), { [variable]: "bad" });
    expect(ended.code).toBe(1);
    const message = ended.stderr.trim().split("\n").at(-1);
    expect(message).toContain("error: The process that runs the app ended by itself 10 times in a row");
    expect(message).toContain(how);
    expect((await tidemark(runArguments("--backend", "heap"))).code).toBe(0);
  });

  test.each(ENDINGS)("by %s, becomes a dead letter on DynamoDB", async (_what, variable) => {
    const ended = await tidemark(runArguments("--backend", "dynamodb"), { [variable]: "bad" });
    expect(ended.stderr).toContain("Dead letter: counting, split bad.jsonl");
    expect(ended.code).toBe(0);
  });
});

test("an error that names a path of two lines begins one line alone", async () => {
  const { code, stderr } = await tidemark(["run", inFolder("app\nerror: no such thing.js"), ...home()]);
  expect(code).toBe(2);
  expect(stderr.split("\n").filter((line) => line.startsWith("error: "))).toHaveLength(1);
});

describe("a run of which a split cannot go on by itself", () => {
  test.each(BACKENDS)("on %s reads the others to their end, names it once, and ends with 1", async (backend) => {
    writeFileSync(inFolder("array.json"), '[{"key":"k","n":1}]\n');
    const ended = await tidemark(runArguments("--backend", backend, "--json"));
    expect(ended.code).toBe(1);
    expect(times(ended.stderr, "one JSON array")).toBe(1);
    expect(ended.stderr).toContain("Split array.json of counting cannot be read");
    expect(ended.stderr).not.toMatch(/^\s+at /m);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      ...{ records: 120, drained: false, checkpoints: { last: expect.any(Number) } },
      stuck: [{ function: "counting", split: "array.json", reason: expect.stringContaining("one JSON array") }],
      error: { kind: "fix-configuration", message: expect.stringContaining("array.json of counting") },
    });
    rmSync(inFolder("array.json"));
    const again = await tidemark(runArguments("--backend", backend, "--json"));
    expect({ code: again.code, records: JSON.parse(again.stdout).records }).toEqual({ code: 0, records: 0 });
    if (backend === "dynamodb") expect(await statesByKey()).toEqual(files.expected());
  });

  test("waits instead with --keep-running, says so once, and goes on when it is mended", async () => {
    const array = inFolder("array.jsonl.json");
    writeFileSync(array, '[{"key":"k","n":1}]\n');
    const run = start(runArguments("--backend", "heap", "--keep-running"));
    await run.says("The run waits for it (--keep-running)");
    await sleep(1_500);
    expect(times(run.stderr(), "one JSON array")).toBe(1);
    expect(times(run.stderr(), "The run waits for it (--keep-running)")).toBe(1);
    writeFileSync(array, '{"key":"mended","n":1}\n');
    for (;;) {
      const { code } = await tidemark(["state", "get", "counting", "mended", ...home()]);
      if (code === 0) break;
      await sleep(200);
    }
    run.child.kill("SIGINT");
    expect((await run.ended).code).toBe(0);
  });

  test("ends with 1 when a file was replaced by a shorter one", async () => {
    expect((await tidemark(runArguments())).code).toBe(0);
    writeFileSync(inFolder("events-0.jsonl"), "{}\n");
    const { code, stderr } = await tidemark(runArguments());
    expect(code).toBe(1);
    expect(times(stderr, "was truncated or replaced")).toBe(1);
  });

  test.each(BACKENDS)(
    "on %s names a file that was read in part and taken away, and reads the others",
    async (backend) => {
      const file = inFolder("partly.jsonl");
      writeFileSync(file, '{"key":"k","n":1}\n{"key":"k"');
      expect((await tidemark(runArguments("--backend", backend))).code).toBe(0);
      rmSync(file);
      rmSync(inFolder("events-1.jsonl"));
      writeFileSync(inFolder("new.jsonl"), '{"key":"new","n":1}\n');
      const { code, stdout, stderr } = await tidemark(runArguments("--backend", backend, "--json"));
      expect(code).toBe(1);
      expect(times(stderr, "partly.jsonl cannot be opened")).toBe(1);
      // What had been read to its end may go.
      expect(JSON.parse(stdout)).toMatchObject({
        records: 1,
        stuck: [{ function: "counting", split: "partly.jsonl" }],
      });
      expect(JSON.parse(stdout).stuck).toHaveLength(1);
      const waiting = start(runArguments("--backend", backend, "--keep-running"));
      await waiting.says("The run waits for it (--keep-running)");
      writeFileSync(file, '{"key":"k","n":1}\n{"key":"k","n":1}\n');
      for (;;) {
        const { stdout: shown } = await tidemark(["state", "get", "counting", "k", ...home()]);
        if (/"count": ?2/.test(shown)) break;
        await sleep(200);
      }
      waiting.child.kill("SIGINT");
      expect((await waiting.ended).code).toBe(0);
    },
  );

  test.each(BACKENDS)("on %s ends with 1 when a split has stopped", async (backend) => {
    writeFileSync(inFolder("events-1.jsonl"), `${JSON.stringify({ key: "k", n: -1 })}\n`.repeat(130));
    const ended = await tidemark(runArguments("--backend", backend, "--json"));
    expect(ended.code).toBe(1);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      stuck: [{ function: "counting", split: "events-1.jsonl", reason: expect.stringContaining("stopped") }],
    });
    expect(times(ended.stderr, "Split events-1.jsonl of counting stopped")).toBe(1);
  });

  test("ends with 1 when its state was written by a newer version of the function", async () => {
    const newer = "state: { ...(process.env.NEWER ? { version: 2, upgrade: { 1: (old: any) => old } } : {}),";
    writeFileSync(inFolder("app.ts"), countingApp().replace("state: {", newer));
    rmSync(inFolder("events-1.jsonl"));
    const args = ["run", inFolder("app.ts"), ...home(), "--source", `events=${inFolder("events-*.jsonl")}`];
    const newest = await tidemark(args, { NEWER: "1" });
    expect({ code: newest.code, stderr: newest.code === 0 ? "" : newest.stderr }).toEqual({ code: 0, stderr: "" });
    writeFileSync(inFolder("events-1.jsonl"), '{"key":"k1","n":1}\n');
    const { code, stdout } = await tidemark([...args, "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ stuck: [{ split: "events-1.jsonl" }] });
  });
});

describe("a run whose DynamoDB is killed", () => {
  test("goes on with the next one, to the right end", async () => {
    const run = start(runArguments("--batch-size", "5", "--checkpoint-interval", "300ms", "--workers", "2"), {
      TIDEMARK_TEST_DELAY_MS: "10",
    });
    for (let killed = 1; killed <= 2; killed += 1) {
      await run.says(`Checkpoint ${killed * 2 - 1} completed`);
      const { pid } = JSON.parse(readFileSync(path.join(files.home, "dynamodb.json"), "utf8"));
      process.kill(pid, "SIGKILL");
      while (times(run.stderr(), "answers again") < killed) await sleep(50);
    }
    const { code, stderr } = await run.ended;
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(await statesByKey()).toEqual(files.expected());
  });
});

describe("a home", () => {
  test("and all that a run leaves in it is its owner's alone, whatever the umask", async () => {
    const before = process.umask(0);
    try {
      const run = start(runArguments("--checkpoint-interval", "200ms", "--keep-running"));
      await run.says("Checkpoint 1 completed");
      expect(open(files.home)).toEqual([]);
      run.child.kill("SIGINT");
      expect((await run.ended).code).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(open(files.home)).toEqual([]);
  });

  /** What others may read or write. */
  function open(folder: string): string[] {
    const found = [folder, ...readdirSync(folder, { recursive: true }).map((name) => path.join(folder, String(name)))];
    // A draft, or what the database clears away, may be gone by now.
    return found.filter((at) => ((statSync(at, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0);
  }

  test("that was copied while a run works on it has its own life", async () => {
    const run = start(runArguments("--keep-running", "--checkpoint-interval", "200ms"));
    await run.says("Checkpoint 2 completed");
    const copy = path.join(files.folder, "copied-home");
    const { execFileSync } = await import("node:child_process");
    execFileSync("cp", ["-a", files.home, copy]);
    const other = await tidemark(["run", app, "--home", copy, "--source", `events=${files.folder}`, "--json"]);
    expect({ code: other.code, stderr: other.code === 0 ? "" : other.stderr }).toEqual({ code: 0, stderr: "" });
    const listed = await tidemark(["state", "get", "counting", "--home", copy]);
    expect(listed.code).toBe(0);
    const original = await tidemark(runArguments());
    expect(original.stderr).toContain(`Another run (pid ${run.child.pid}) works on the home`);
    run.child.kill("SIGINT");
    expect((await run.ended).code).toBe(0);
  });
});

describe("an app module", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "tidemark-modules-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test.each([
    ["rejects", "await Promise.reject(new Error('no database'));", "cannot be loaded: Error: no database"],
    ["rejects what nobody waits for", "Promise.reject(new Error('floating'));", "cannot be loaded: Error: floating"],
    ["throws null", "throw null;", "cannot be loaded: null"],
    ["ends the process well", "process.exit(0);", "ended its process (exit code 0) while it was loaded"],
    ["ends the process", "process.exit(7);", "ended its process (exit code 7) while it was loaded"],
    ["exports nothing", "export const nothing = 1;", "has no default export"],
  ])("that %s is named, without a stack, with exit code 2", async (_, source, message) => {
    for (const name of ["app.ts", "app.mjs"]) {
      const module = path.join(folder, name);
      writeFileSync(module, source);
      for (const backend of BACKENDS) {
        const ended = await tidemark([
          "run",
          module,
          "--home",
          path.join(folder, "home"),
          "--backend",
          backend,
          "--json",
        ]);
        expect(ended.stderr).toContain(message);
        expect(ended.stderr).toContain(module);
        expect(ended.stderr).not.toMatch(/^\s+at /m);
        expect(ended.code).toBe(2);
        expect(JSON.parse(ended.stdout)).toMatchObject({ error: { kind: "fix-configuration" } });
        rmSync(path.join(folder, "home"), { recursive: true, force: true });
      }
    }
  });

  test.each([
    ["waits for ever", "await new Promise(() => {});"],
    ["loops", "for (;;);"],
  ])("that %s is given up after a time", async (_, source) => {
    const module = path.join(folder, "app.ts");
    writeFileSync(module, source);
    const { code, stderr } = await tidemark(["run", module, "--home", path.join(folder, "home")]);
    expect(stderr).toContain(`The app module ${module} was not loaded within 30 s`);
    expect(code).toBe(2);
  });

  test.each(BACKENDS)("on %s that loads no more once its worker has died ends the run, said once", async (backend) => {
    const module = path.join(folder, "app.ts");
    const flag = JSON.stringify(path.join(folder, "flag"));
    writeFileSync(
      module,
      `import { existsSync, writeFileSync } from "node:fs";
       if (existsSync(${flag})) throw new Error("broken by now");
       ${countingApp().replace("if (event.n < 0", `if (event.n === 30) { writeFileSync(${flag}, ""); process.exit(3); } if (event.n < 0`)}`,
    );
    const args = ["run", module, "--home", path.join(folder, "home"), "--source", `events=${files.glob}`];
    const { code, stderr } = await tidemark([...args, "--backend", backend]);
    expect(code).toBe(backend === "heap" ? 2 : 1);
    expect(times(stderr, "A worker cannot be started")).toBe(1);
    expect(stderr).toContain("broken by now");
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test("that prints something leaves stdout to the result", async () => {
    const module = path.join(folder, "app.ts");
    writeFileSync(module, `console.log("noise");\n${countingApp()}`);
    const args = ["run", module, "--home", path.join(folder, "home"), "--source", `events=${files.glob}`, "--json"];
    const { code, stdout } = await tidemark(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ records: 120 });
  });
});

describe("under --json", () => {
  test.each([
    [["run"], "missing required argument"],
    [["run", "nowhere.ts"], "There is no app module"],
    [["run", ""], "The app module is"],
    [["run", "APP", "--home", ""], "The home is"],
    [["run", "APP", "--workers", "100000"], "what this machine can bear"],
    [["run", "APP", "--workers", "9".repeat(400)], "what this machine can bear"],
    [["run", "APP", "--checkpoint-interval", "999999h"], "at most 168h"],
    [["run", "APP", "--batch-size", "10001"], "at most 10,000"],
    [["run", "APP", "--batch-window", "6m"], "at most 5m"],
    [["run", "APP", "--dynamodb", "http://127.0.0.1:65536"], "the URL of an emulator"],
    [["run", "APP", "--sorce", "x=y"], "unknown option"],
    [["chekpoint"], "unknown command"],
    [["checkpoints"], "Nothing has run on the home"],
    [["checkpoint", "--savepoint", "a b"], "The savepoint's name"],
    [["checkpoint", "--replace"], "--replace needs --savepoint"],
    [["restore", "--savepoint", ""], "--savepoint is empty"],
    [["restore", "--checkpoint", "99999999999"], "at most 9,999,999,999"],
    [["state", "get", "counting", ""], "Nothing has run on the home"],
    [["dead-letters", "redrive", "counting", "--split", ""], "--split is empty"],
  ])("%j is refused as one JSON object, with exit code 2", async (args, message) => {
    const where = args.includes("--home") || args[0] === "chekpoint" ? [] : home();
    const ended = await tidemark([...args.map((arg) => (arg === "APP" ? app : arg)), ...where, "--json"]);
    expect(ended.code).toBe(2);
    expect(ended.stdout.trim().split("\n")).toHaveLength(1);
    const { error } = JSON.parse(ended.stdout);
    expect(error).toEqual({ kind: "fix-configuration", message: expect.stringContaining(message) });
    expect(ended.stderr).toContain("error: ");
  });
});

describe("tidemark checkpoint --savepoint", () => {
  test.each(BACKENDS)("beside a run on %s gives a name once, and takes it with --replace", async (backend) => {
    const run = start(runArguments("--keep-running", "--backend", backend));
    await run.says("Running counts");
    const take = (...more: string[]) => tidemark(["checkpoint", "--savepoint", "base", ...more, ...home(), "--json"]);
    // Both are answered: one has the name, the other is told whose it is.
    const both = await Promise.all([take(), take()]);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 2]);
    const first = JSON.parse(both.find(({ code }) => code === 0)?.stdout ?? "{}");
    const refused = JSON.parse(both.find(({ code }) => code === 2)?.stdout ?? "{}");
    expect(refused.error.message).toContain(`There is a savepoint base already: checkpoint ${first.checkpoint}`);
    const second = JSON.parse((await take("--replace")).stdout);
    expect(second).toMatchObject({ savepoint: "base", replaces: [first.checkpoint] });
    const found = await tidemark(["restore", "--savepoint", "base", "--dry-run", ...home(), "--json"]);
    expect(JSON.parse(found.stdout)).toMatchObject({ checkpoint: second.checkpoint });
    const { checkpoints } = JSON.parse((await tidemark(["checkpoints", ...home(), "--json"])).stdout);
    expect(checkpoints.find((one: { checkpoint: number }) => one.checkpoint === first.checkpoint)).toMatchObject({
      replacedBy: second.checkpoint,
    });
    run.child.kill("SIGINT");
    expect((await run.ended).code).toBe(0);
  });

  test("state get FUNCTION of a heap run has every key", async () => {
    const run = start(runArguments("--keep-running", "--backend", "heap", "--checkpoint-interval", "100ms"));
    await run.says("Checkpoint 2 completed");
    while ((await statesByKey()).size < 4) await sleep(100);
    expect(await statesByKey()).toEqual(files.expected());
    run.child.kill("SIGINT");
    expect((await run.ended).code).toBe(0);
  });
});
