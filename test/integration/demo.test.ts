/** The demo as its users run it, on its smallest data set; and that it says so when something is wrong. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { runDemo as RunDemo } from "../../examples/flights/demo/demo.ts";
import type { DemoReport } from "../../examples/flights/demo/report.ts";
import { compiled } from "../support/compiled-tree.ts";

const MINUTES = 60_000;
const FLIGHTS = 2_000;
const AIRPORTS = 155;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-demo-test-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/** Temporary folders of the demo are made in `folder`. */
function demo(...args: readonly string[]): Run {
  const child = spawn(process.execPath, [compiled("examples/flights/demo/main.ts"), ...args], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (chunk: Buffer) => {
      said[name] += chunk;
      child.emit("said", said[name]);
    });
  }
  return { child, ended: new Promise((resolve) => child.once("close", (code) => resolve({ code, ...said }))) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("the demo", () => {
  it(
    "survives a kill, a bad version and deletions on DynamoDB with workers that contend, and ends identical",
    async () => {
      const { code, stdout, stderr } = await demo("--flights", "2k", "--workers", "2", "--json").ended;
      expect(code, stderr).toBe(0);
      expect(stdout.trimEnd().split("\n")).toHaveLength(1);
      const report = JSON.parse(stdout) as DemoReport;
      expect(report).toMatchObject({
        flights: FLIGHTS,
        airports: AIRPORTS,
        identical: AIRPORTS,
        onTimeIdentical: AIRPORTS,
        checkpointIdentical: AIRPORTS,
        hashChainsIdentical: AIRPORTS,
        deletedItems: 10,
      });
      expect(report.checkpointsWhileFlowing).toBeGreaterThanOrEqual(5);
      expect(report.checkpoints).toBeGreaterThanOrEqual(report.checkpointsWhileFlowing);
      expect(["completed", "aborted"]).toContain(report.killedWorker.outcome);
      expect(isAlive(report.killedWorker.pid)).toBe(false);
      expect(report.badFlights).toBeGreaterThan(0);
      expect(report.newestBadCheckpoint).toBeGreaterThan(report.restoredCheckpoint);
      expect(report.replayedFlights).toBeGreaterThanOrEqual(report.badFlights);
      expect(report.flightsToComeAtRestore).toBeGreaterThan(0);
      // Each function folds each flight, and some of them again.
      expect(report.events).toBeGreaterThan(2 * FLIGHTS);
      expect(report.requests).toBeGreaterThan(report.batches);
      for (const figure of ["readUnits", "writeUnits", "bytes", "restoreSeconds", "seconds"] as const) {
        expect(report[figure]).toBeGreaterThan(0);
      }
      expect(await readdir(folder)).toEqual([]);
    },
    4 * MINUTES,
  );

  it(
    "tells in its last line what is identical on the heap, and keeps a home that was named",
    async () => {
      const home = path.join(folder, "home");
      const { code, stdout, stderr } = await demo("--flights", "2k", "--backend", "heap", "--home", home).ended;
      expect(code, stdout + stderr).toBe(0);
      expect(stdout.trimEnd().split("\n").at(-1)).toBe(`identical: ${AIRPORTS} of ${AIRPORTS} airports`);
      expect(stdout).toMatch(/the next process restored checkpoint \d+ by itself/);
      expect(existsSync(path.join(home, "checkpoints"))).toBe(true);

      const again = await demo("--flights", "2k", "--home", home).ended;
      expect(again).toMatchObject({ code: 2, stdout: "" });
      expect(again.stderr).toMatch(/is not empty/);
    },
    4 * MINUTES,
  );

  it(
    "finds one flight that arrives other than it was",
    async () => {
      const { runDemo } = (await import(compiled("examples/flights/demo/demo.ts"))) as {
        readonly runDemo: typeof RunDemo;
      };
      const altered: string[] = [];
      const { report, verdict } = await runDemo({
        flights: "2k",
        backend: "heap",
        home: folder,
        checkpointIntervalMs: 500,
        workers: 1,
        batchRecords: 500,
        signal: new AbortController().signal,
        narrator: {
          act() {},
          arrived() {},
          stop() {},
          say(text) {
            // Before the first flight has arrived, and after all were dealt.
            if (altered.length === 0 && text.includes("dealt into")) altered.push(delayLastFlight(folder));
          },
        },
      });
      expect(altered).toHaveLength(1);
      expect(report).toMatchObject({ airports: AIRPORTS, identical: AIRPORTS - 1, onTimeIdentical: AIRPORTS - 1 });
      expect([...(verdict.comparisons[0]?.different.keys() ?? [])]).toEqual(altered);
    },
    4 * MINUTES,
  );

  it(
    "cleans up after Ctrl-C",
    async () => {
      const { child, ended } = demo("--flights", "2k");
      const pids = await new Promise<number[]>((resolve, reject) => {
        void ended.then(({ stdout, stderr }) => reject(new Error(`It ended too early: ${stdout}${stderr}`)));
        child.on("said", (text: string) => {
          if (text.includes("Checkpoint 1 completed")) resolve(childrenOf(child.pid ?? 0));
        });
      });
      expect(pids.length).toBeGreaterThanOrEqual(process.platform === "linux" ? 2 : 0);
      child.kill("SIGINT");
      const { code, stdout } = await ended;
      expect(code).toBe(130);
      expect(stdout).not.toContain("identical");
      expect(await readdir(folder)).toEqual([]);
      expect(pids.filter(isAlive)).toEqual([]);
    },
    2 * MINUTES,
  );
});

/** @returns the airport of the flight, which is now a day late */
function delayLastFlight(home: string): string {
  const file = path.join(home, "dealt/flights-0.jsonl");
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  const flight = JSON.parse(lines.pop() ?? "") as { readonly delay: number; readonly origin: string };
  writeFileSync(file, `${[...lines, JSON.stringify({ ...flight, delay: 1_440 })].join("\n")}\n`);
  return flight.origin;
}

/** DynamoDB and the worker; none where the system does not list them. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, "utf8").trim().split(" ").map(Number) : [];
}
