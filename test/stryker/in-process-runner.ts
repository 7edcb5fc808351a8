/**
 * Runs the suites against one mutant after the other in one process that loads them once: of the seconds of a processor
 * that StrykerJS's runner for Vitest takes for a mutant, nearly all go into loading modules anew.
 *
 * What is loaded once is not fresh for the next mutant. So the test that kills a mutant is run again without any: if it
 * fails then too, the process is spoilt, nothing is said of the mutant, and StrykerJS tries it in another process.
 */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { MutantCoverage } from "@stryker-mutator/api/core";
import { declareClassPlugin, PluginKind } from "@stryker-mutator/api/plugin";
import {
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  TestStatus,
  toMutantRunResult,
} from "@stryker-mutator/api/test-runner";
import { build } from "esbuild";
import { suites, TOO_LONG } from "./suites.ts";
import type { RegisteredTest } from "./vitest-in-process.ts";

/** What the code that StrykerJS writes reads and counts. */
interface Instrumentation {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: MutantCoverage;
}

const global = globalThis as { __stryker__?: Instrumentation };
global.__stryker__ ??= {};
const instrumentation = global.__stryker__;

class InProcessRunner implements TestRunner {
  static readonly inject = [] as const;
  #tests: RegisteredTest[] = [];

  capabilities() {
    return { reloadEnvironment: false };
  }

  /** The working directory is StrykerJS's copy of the repository. */
  async init(): Promise<void> {
    const shim = "test/stryker/vitest-in-process.ts";
    const files = suites();
    await build({
      entryPoints: [shim, ...files],
      // Where esbuild was loaded is not where this is: StrykerJS changes the directory.
      absWorkingDir: process.cwd(),
      // Beside its source, where a suite finds the files that it reads.
      outdir: ".",
      outbase: ".",
      bundle: true,
      splitting: true,
      platform: "node",
      format: "esm",
      target: "node20",
      packages: "external",
      alias: { vitest: resolve(shim) },
      logLevel: "error",
    });
    const { registered } = (await importBuilt(shim)) as { registered: (file: string) => RegisteredTest[] };
    for (const suite of files) {
      await importBuilt(suite);
      this.#tests.push(...registered(suite).filter(({ id }) => !TOO_LONG.test(id)));
    }
  }

  async dryRun(): Promise<DryRunResult> {
    const tests: TestResult[] = [];
    for (const test of this.#tests) {
      instrumentation.currentTestId = test.id;
      tests.push(await resultOf(test));
      instrumentation.currentTestId = undefined;
    }
    const { mutantCoverage = { static: {}, perTest: {} } } = instrumentation;
    return { status: DryRunStatus.Complete, tests, mutantCoverage };
  }

  async mutantRun({ activeMutant, hitLimit, testFilter }: MutantRunOptions): Promise<MutantRunResult> {
    const covering = new Set(testFilter);
    const tests: TestResult[] = [];
    Object.assign(instrumentation, { activeMutant: activeMutant.id, hitCount: 0, hitLimit });
    for (const test of this.#tests.filter(({ id }) => testFilter === undefined || covering.has(id))) {
      const result = await resultOf(test);
      tests.push(result);
      if (result.status === TestStatus.Failed) break;
    }
    const { hitCount } = instrumentation;
    Object.assign(instrumentation, { activeMutant: undefined, hitCount: undefined, hitLimit: undefined });
    const last = tests.at(-1);
    if (last?.status === TestStatus.Failed) await this.#killedBy(last.id);
    const status = DryRunStatus.Complete;
    return toMutantRunResult(determineHitLimitReached(hitCount, hitLimit) ?? { status, tests });
  }

  async #killedBy(id: string): Promise<void> {
    const killer = this.#tests.find((test) => test.id === id) as RegisteredTest;
    const again = await resultOf(killer);
    if (again.status === TestStatus.Failed) throw new Error(`${id} fails without a mutant: ${again.failureMessage}`);
    // Its neighbours mostly fall to the same test.
    this.#tests = [killer, ...this.#tests.filter((test) => test !== killer)];
  }
}

async function resultOf({ id, file, run }: RegisteredTest): Promise<TestResult> {
  const startedMs = performance.now();
  const of = () => ({ id, name: id, fileName: resolve(file), timeSpentMs: performance.now() - startedMs });
  try {
    await unlessIdle(run);
    return { ...of(), status: TestStatus.Success };
  } catch (thrown) {
    return {
      ...of(),
      status: TestStatus.Failed,
      failureMessage: thrown instanceof Error ? thrown.message : `${thrown}`,
    };
  }
}

/** The fewest resources of this process that were ever active: what is there while nothing is under way. */
let fewest = Number.POSITIVE_INFINITY;

/**
 * Fails once nothing has been under way for three seconds: what the test waits for never comes. StrykerJS's own limit is a
 * time by the clock, which a busy machine exceeds as well.
 */
async function unlessIdle(run: () => unknown): Promise<void> {
  let watch: NodeJS.Timeout | undefined;
  fewest = Math.min(fewest, process.getActiveResourcesInfo().length);
  const idle = new Promise<never>((_, reject) => {
    let checks = 0;
    watch = setInterval(() => {
      // The watch is one more.
      checks = process.getActiveResourcesInfo().length <= fewest + 1 ? checks + 1 : 0;
      if (checks === 30) reject(new Error("it waits for what never comes"));
    }, 100);
  });
  try {
    await Promise.race([run(), idle]);
  } finally {
    clearInterval(watch);
  }
}

const importBuilt = (file: string): Promise<unknown> =>
  import(pathToFileURL(resolve(file.replace(/\.ts$/, ".js"))).href);

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, "in-process", InProcessRunner)];
