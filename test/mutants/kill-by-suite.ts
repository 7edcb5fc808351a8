/** Runs a suite of `test/protocol` against one mutant, until its first test fails. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mutant } from "./mutant.ts";
import type { Verdict } from "./verdict.ts";

const root = join(import.meta.dirname, "../..");
const vitest = join(root, "node_modules/vitest/vitest.mjs");

interface Report {
  readonly numTotalTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** Its "histories" are tests: those that were run until the first failed. */
export async function killBySuite(mutant: Mutant, timeoutMs: number): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), "mutant-"));
  try {
    const file = join(folder, "report.json");
    const err = await run(mutant, file, timeoutMs);
    let report: Report;
    try {
      report = JSON.parse(readFileSync(file, "utf8")) as Report;
    } catch (cause) {
      throw new Error(`${mutant.suite} came to no report on mutant ${mutant.name}:\n${err}`, { cause });
    }
    const results = report.testResults.flatMap(({ assertionResults }) => assertionResults);
    const ran = results.filter(({ status }) => status === "passed" || status === "failed");
    if (ran.length === 0) throw new Error(`${mutant.suite} ran no test on mutant ${mutant.name}:\n${err}`);
    const failed = ran.find(({ status }) => status === "failed");
    if (failed === undefined) return { killed: false, histories: ran.length };
    return { killed: true, seed: 0, histories: ran.length, promise: failed.fullName };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run({ name, suite = "" }: Mutant, report: string, timeoutMs: number): Promise<string> {
  const args = [vitest, "run", suite, "--config", "test/mutants/vitest.config.ts", "--bail", "1"];
  const child = spawn(process.execPath, [...args, "--reporter=json", `--outputFile=${report}`], {
    cwd: root,
    env: { ...process.env, TIDEMARK_MUTANT: name },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err = (err + text).slice(-4_000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve(err));
  });
}
