import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { compiled } from "../support/compiled-tree.ts";
import { type EventFiles, writeEventFiles } from "../support/counted-events.ts";
import { type Spawned, startTidemark, tidemark } from "../support/spawned-cli.ts";

// Each test starts several processes, on machines that may have more to do.
vi.setConfig({ testTimeout: 240_000 });

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
const runArguments = (...more: string[]) => ["run", app, ...home(), "--source", `events=${files.glob}`, ...more];

function start(...args: string[]): Spawned {
  const spawned = startTidemark(args, { TIDEMARK_TEST_DELAY_MS: "2" });
  started.push(spawned);
  return spawned;
}

async function expectStates(functionName = "counting"): Promise<void> {
  const { code, stdout } = await tidemark(["state", "get", functionName, ...home()]);
  expect(code).toBe(0);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { key: string; state: unknown });
  expect(new Map(lines.map(({ key, state }) => [key, state]))).toEqual(files.expected());
}

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await tidemark([...args, "--json"]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.trim().split("\n")).toHaveLength(1);
  return JSON.parse(stdout);
}

describe("tidemark run", () => {
  test("reads files to their end, takes a last checkpoint, and prints one object with --json", async () => {
    expect(await json(...runArguments("--batch-size", "20"))).toMatchObject({
      ...{ app: "counts", backend: "dynamodb", records: 120, batches: 6, drained: true },
      checkpoints: { completed: 1, aborted: 0, last: 1 },
      requests: { commands: { PutItem: expect.any(Number) } },
    });
    await expectStates();
    expect(await json("checkpoints", ...home())).toMatchObject({
      app: "counts",
      checkpoints: [{ checkpoint: 1, status: "completed", lineage: "live", keys: 4, holes: 0 }],
    });
    expect(await json("state", "get", "counting", "k1", ...home())).toMatchObject({ key: "k1", stateVersion: 1 });
  });

  test("draws a bar on a terminal and clears it; says plain lines elsewhere", async () => {
    const { stderr } = await tidemark(runArguments());
    expect(stderr).not.toContain("\x1b");
    rmSync(files.home, { recursive: true, force: true });
    const command = [process.execPath, compiled("cli/main.ts"), ...runArguments()].map((word) => `'${word}'`).join(" ");
    // A terminal of its own, by util-linux: the one way to have one without a package that is compiled.
    const { status, stdout } = spawnSync("script", ["-qec", command, "/dev/null"], { encoding: "utf8", input: "" });
    expect(status).toBe(0);
    expect(stdout).toMatch(/splits read \| \d+ records/);
    // Wrapping and cursor are switched on again, in the end.
    expect(stdout.lastIndexOf("\x1b[?25h")).toBeGreaterThan(stdout.lastIndexOf("\x1b[?25l"));
    expect(stdout.lastIndexOf("\x1b[?7h")).toBeGreaterThan(stdout.lastIndexOf("\x1b[?7l"));
  });

  test("is refused on a home that another run works on, by the pid of that one", async () => {
    const first = start(...runArguments("--keep-running"));
    await first.says("Running counts");
    const second = await tidemark(runArguments());
    expect(second.code).toBe(2);
    expect(second.stderr).toContain(`Another run (pid ${first.child.pid}) works on the home`);
    first.child.kill("SIGINT");
    expect((await first.ended).code).toBe(0);
  });

  test("interrupted twice ends at once, and the next one goes on where it was", async () => {
    const first = start(...runArguments("--batch-size", "10", "--checkpoint-interval", "50ms"));
    await first.says("Checkpoint 2 completed");
    first.child.kill("SIGINT");
    await first.says("once more stops at once");
    first.child.kill("SIGINT");
    expect((await first.ended).code).toBe(130);
    const second = await json(...runArguments());
    expect(second).toMatchObject({ drained: true });
    await expectStates();
  });
});

describe("tidemark restore", () => {
  test("without a run loads the checkpoint, and the next run replays", async () => {
    await json(...runArguments());
    appendFileSync(path.join(files.folder, "events-0.jsonl"), `${JSON.stringify({ key: "late", n: 5 })}\n`);
    await json(...runArguments());
    expect(await json("restore", "--checkpoint", "1", "--dry-run", ...home())).toMatchObject({
      ...{ outcome: "would-restore", checkpoint: 1, keys: 4, end: "unchanged" },
    });
    expect(await json("restore", "--checkpoint", "1", ...home())).toMatchObject({ checkpoint: 1, end: "loaded" });
    expect((await tidemark(["state", "get", "counting", "late", ...home()])).code).toBe(1);
    await json(...runArguments());
    await expectStates();
  });

  test("of a function that the app no longer has is refused, unless it is left behind or has a successor", async () => {
    await json(...runArguments());
    expect((await tidemark(runArguments(), { TIDEMARK_TEST_RENAMED: "anew" })).code).toBe(0);
    const refused = await tidemark(["restore", "--checkpoint", "1", ...home()]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/counting.*previousName, or allow non-restored state/s);
    await expectStates("renamed");
    const allowed = ["restore", "--checkpoint", "1", "--allow-non-restored-state"];
    expect(await json(...allowed, "--dry-run", ...home())).toMatchObject({
      ...{ leftBehind: ["counting"], startEmpty: ["renamed"], end: "unchanged" },
    });
    expect(await json(...allowed, ...home())).toMatchObject({ end: "loaded" });
    expect((await tidemark(["state", "get", "renamed", "k1", ...home()])).code).toBe(1);
    expect((await tidemark(runArguments(), { TIDEMARK_TEST_RENAMED: "carried over" })).code).toBe(0);
    await expectStates("renamed");
    // The successor's state is that of the checkpoint, so nothing is left to replay.
    expect(await json("restore", "--checkpoint", "1", ...home())).toMatchObject({ end: "finished" });
    await expectStates("renamed");
  });

  test.each(["dynamodb", "heap"])("beside a live run on %s waits until that run has replayed", async (backend) => {
    const run = start(...runArguments("--keep-running", "--backend", backend));
    await run.says("Running counts");
    const taken = await json("checkpoint", "--savepoint", "early", ...home());
    expect(taken).toMatchObject({ status: "COMPLETED", savepoint: "early" });
    const restored = await json("restore", "--savepoint", "early", ...home());
    expect(restored).toMatchObject({ outcome: "finished", end: "finished", checkpoint: taken.checkpoint });
    expect(await json("restore", "--status", ...home())).toMatchObject({
      phase: "finished",
      checkpoint: taken.checkpoint,
    });
    await run.says("Restore of checkpoint");
    run.child.kill("SIGTERM");
    expect((await run.ended).code).toBe(0);
    await json(...runArguments("--backend", backend));
    if (backend === "dynamodb") await expectStates();
  });
});

describe("tidemark dead-letters", () => {
  const counts = async (): Promise<Record<string, number>> => {
    const { stdout } = await tidemark(["state", "get", "counting", ...home()]);
    const lines = stdout.trim().split("\n");
    return Object.fromEntries(lines.map((line) => JSON.parse(line)).map(({ key, state }) => [key, state.count]));
  };

  test("lists what was given up; put back, it is folded once, by the next run and after a restore to before", async () => {
    await json(...runArguments());
    appendFileSync(path.join(files.folder, "events-1.jsonl"), `{"key":"bad"}\n{"key":"worse","n":-1}\n`);
    await json(...runArguments());
    const { stdout } = await tidemark(["dead-letters", "list", ...home(), "--json"]);
    const letters = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(letters).toMatchObject([
      { function: "counting", split: "events-1.jsonl", cause: "refused", tries: 1 },
      { function: "counting", split: "events-1.jsonl", cause: "failed", tries: 2, error: "Error: n is -1" },
    ]);
    expect(await json("checkpoints", ...home())).toMatchObject({ checkpoints: [{ holes: 0 }, { holes: 1 }] });
    const before = await counts();
    expect(await json("dead-letters", "redrive", "counting", ...home())).toEqual({ function: "counting", redriven: 2 });
    expect(await json("dead-letters", "redrive", "counting", "--split", "events-0.jsonl", ...home())).toMatchObject({
      redriven: 0,
    });
    const repaired = { TIDEMARK_TEST_TAKES_NEGATIVE: "1" };
    expect((await tidemark(runArguments(), repaired)).code).toBe(0);
    expect(await counts()).toEqual({ ...before, worse: 1 });
    expect(await json("restore", "--checkpoint", "1", ...home())).toMatchObject({ end: "loaded" });
    expect((await tidemark(runArguments(), repaired)).code).toBe(0);
    expect(await counts()).toEqual({ ...before, worse: 1 });
  });
});

describe("a home", () => {
  test("that was damaged is refused by name, and repaired by the next run", async () => {
    await json(...runArguments());
    const settings = path.join(files.home, "settings.json");
    const whole = readFileSync(settings, "utf8");
    for (const [content, message] of [
      [whole.slice(0, 100), "settings.json is not JSON"],
      ["{}", "settings.json lacks what a run writes into it"],
      [JSON.stringify({ ...JSON.parse(whole), formatVersion: 2 }), "use the newer one that wrote it"],
    ] as const) {
      writeFileSync(settings, content);
      const { code, stderr } = await tidemark(["checkpoints", ...home()]);
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    writeFileSync(path.join(files.home, "run.lock.999"), JSON.stringify({ pid: dead, startedAt: "1" }));
    writeFileSync(path.join(files.home, "dynamodb.json"), JSON.stringify({ pid: dead, startedAt: "1", port: 1 }));
    await json(...runArguments());
    expect(readFileSync(settings, "utf8")).toBe(whole);
    await expectStates();
    rmSync(path.join(files.home, "checkpoints"), { recursive: true });
    const { code, stderr } = await tidemark(["restore", ...home()]);
    expect(stderr).toContain("There is no completed checkpoint to restore; take one first.");
    expect(code).toBe(1);
    await expectStates();
  });

  test("is not made by a command that only looks", async () => {
    expect((await tidemark(["checkpoints", ...home()])).code).toBe(2);
    expect(existsSync(files.home)).toBe(false);
  });
});

describe("the command line", () => {
  test.each([
    [["run"], "missing required argument 'app'"],
    [["run", "nowhere.ts"], "There is no app module"],
    [["run", "APP", "--sorce", "x=y"], "Did you mean --source"],
    [["run", "APP", "--source", "flights"], "NAME=BINDING"],
    [["run", "APP", "--checkpoint-interval", "5"], "500ms, 5s, 1m"],
    [["run", "APP", "--backend", "disk"], "Allowed choices are dynamodb, heap"],
    [["chekpoint"], "Did you mean checkpoint"],
    [["checkpoints"], "Nothing has run on the home"],
    [["restore", "--checkpoint", "1", "--savepoint", "x"], "give one of them"],
    [["restore", "--before", "soon"], "ISO 8601"],
    [["dead-letters", "redrive", "counting", "--position", "1"], "--position needs --split"],
  ])("refuses %j with exit code 2", async (args, message) => {
    const where = args[0] === "chekpoint" ? [] : home();
    const { code, stdout, stderr } = await tidemark([...args.map((arg) => (arg === "APP" ? app : arg)), ...where]);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  test.each([[["--help"]], [["run", "--help"]], [["restore", "--help"]], [["state", "get", "--help"]]])(
    "explains itself with examples: %j",
    async (args) => {
      const { code, stdout } = await tidemark(args);
      expect(code).toBe(0);
      expect(stdout).toContain("$ tidemark");
    },
  );
});
