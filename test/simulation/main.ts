/**
 * `npm run simulate`: many histories, or one again.
 *
 * Exit code 0: every promise was kept and every branch was come through; 1: a promise was broken, or a long run came
 * nowhere near some branch; 2: it was asked for what there is not.
 */
import { fork } from "node:child_process";
import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import { Command, InvalidArgumentError, Option } from "commander";
import { Coverage } from "./coverage.ts";
import { CRASHES, oneCheckpoint, oneRestore } from "./explorations.ts";
import { explore } from "./explore.ts";
import { minimise } from "./minimise.ts";
import {
  type Broken,
  choicesOf,
  ListedChoices,
  type RunReport,
  replay,
  runHistories,
  SeededChoices,
} from "./run-histories.ts";
import { FAULTS } from "./scheduler.ts";
import { WORLD_NAMES, WORLDS, type WorldName } from "./worlds.ts";

interface Options {
  readonly world: WorldName;
  readonly seed?: number;
  readonly runs: number;
  readonly firstSeed: number;
  readonly workers: number;
  readonly json: boolean;
  readonly explore: boolean;
  readonly seconds: number;
}

interface WorkerReport extends RunReport {
  readonly coverage: readonly (readonly [string, number])[];
  /** Of its process, while it played. */
  readonly cpuSeconds: number;
}

type Said = { readonly histories: number } | { readonly report: WorkerReport };

const number = (least: number) => (given: string) => {
  const parsed = Number(given.replaceAll("_", ""));
  if (Number.isSafeInteger(parsed) && parsed >= least) return parsed;
  throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`);
};

const command = new Command("simulate")
  .description(
    "Runs the production code in histories that a seed decides, with every fault, and judges what comes of it.",
  )
  .addOption(
    new Option("--world <name>", "at the ports, or under the DynamoDB and S3 adapters")
      .choices(WORLD_NAMES)
      .default("ports"),
  )
  .option("--seed <n>", "play this history again and print everything that happens in it", number(0))
  .option("--runs <n>", "histories to play, from the first seed on", number(1), 10_000)
  .option("--first-seed <n>", "the first one's seed", number(0), 1)
  .option("--workers <n>", "processes to share them", number(1), 1)
  .option("--explore", "play every history of two small apps instead", false)
  .option("--seconds <n>", "with --explore: break each app off after this time", number(1), 3_600)
  .option("--json", "say it as JSON", false)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

async function main(): Promise<void> {
  const options = command.parse().opts<Options>();
  if (options.explore) process.exitCode = await exploreAll(options);
  else process.exitCode = options.seed === undefined ? await run(options) : await again(options.seed, options);
}

/** One history, told. */
async function again(seed: number, { json, world }: Options): Promise<number> {
  const { log, violation, calls } = await replay(new SeededChoices(seed, { recorded: false }), WORLDS[world].options);
  if (json) {
    console.log(JSON.stringify({ seed, calls, violation: violation ?? null, log }));
    return violation === undefined ? 0 : 1;
  }
  for (const line of log) console.log(line);
  if (violation === undefined) {
    console.log(`\nSeed ${seed} keeps every promise (${calls} calls).`);
    return 0;
  }
  await tellBroken({ seed, violation, histories: 1 }, world);
  return 1;
}

async function run(options: Options): Promise<number> {
  const { runs, firstSeed, workers, json, world } = options;
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: "{bar} {value}/{total} histories, {eta_formatted} left", stream: process.stderr })
    : undefined;
  bar?.start(runs, 0);
  const startedAt = performance.now();
  const reports = await Promise.all(
    Array.from({ length: workers }, (_, index) => {
      const share = Math.floor(runs / workers) + (index < runs % workers ? 1 : 0);
      const before = index * Math.floor(runs / workers) + Math.min(index, runs % workers);
      const part = { world, firstSeed: firstSeed + before, runs: share };
      return workers === 1
        ? inProcess(part, (done) => bar?.update(done))
        : inWorker(part, (more) => bar?.increment(more));
    }),
  );
  bar?.stop();
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuSeconds = reports.reduce((sum, report) => sum + report.cpuSeconds, 0);
  const coverage = new Coverage();
  for (const report of reports) coverage.add(report.coverage);
  const histories = reports.reduce((sum, report) => sum + report.histories, 0);
  const calls = reports.reduce((sum, report) => sum + report.calls, 0);
  const broken = reports.map((report) => report.broken).find((one) => one !== undefined);
  const missing = broken === undefined ? missingAfter(runs, world, coverage) : [];
  const perSecond = Math.round(histories / seconds);
  const perCpuSecond = Math.round(histories / cpuSeconds);
  if (json) {
    console.log(
      JSON.stringify({
        ...{ histories, calls, violations: broken === undefined ? 0 : 1 },
        ...{ violation: broken?.violation ?? null, seed: broken?.seed ?? null, firstSeed, seconds },
        ...{ historiesPerSecond: perSecond, historiesPerCpuSecond: perCpuSecond },
        ...{ missing, coverage: Object.fromEntries([...coverage.counts].sort()) },
      }),
    );
    return broken === undefined && missing.length === 0 ? 0 : 1;
  }
  if (broken === undefined) {
    console.log(coverageTable(coverage));
    if (missing.length > 0) console.log(`No history came to: ${missing.join(", ")}.`);
  } else await tellBroken(broken, world);
  console.log(
    `${histories} histories, ${calls} calls, ${broken === undefined ? 0 : 1} violations; ${perSecond} histories a second, ${perCpuSecond} a second of CPU (Node ${process.versions.node}).`,
  );
  return broken === undefined && missing.length === 0 ? 0 : 1;
}

function missingAfter(runs: number, world: WorldName, coverage: Coverage): string[] {
  return WORLDS[world].covering.flatMap(({ branches, runs: enough }) =>
    runs < enough ? [] : coverage.missing(branches),
  );
}

/** All histories of small apps, within bounds that are printed. */
async function exploreAll({ seconds, json }: Options): Promise<number> {
  const apps = [oneCheckpoint(FAULTS), oneRestore(CRASHES)];
  const found = [];
  for (const app of apps) {
    const startedAt = performance.now();
    const bar = process.stderr.isTTY
      ? new SingleBar({ format: `{bar} {percentage}% of ${app.name}`, stream: process.stderr })
      : undefined;
    bar?.start(1, 0);
    const { states, histories, whole, violation } = await explore(app, (share) => {
      bar?.update(share);
      return performance.now() > startedAt + seconds * 1000;
    });
    bar?.stop();
    const took = Math.round((performance.now() - startedAt) / 1000);
    found.push({
      app: app.name,
      states,
      histories,
      whole,
      violation: violation?.promise ?? null,
      seconds: took,
    });
    if (json) continue;
    const end = whole ? "all of them" : violation === undefined ? `broken off after ${seconds} s` : "broken off there";
    console.log(`${app.name}: ${states} states in ${histories} histories, ${end}; ${took} s.`);
    if (violation === undefined) continue;
    console.log(`  A promise is broken: ${violation.promise}`);
    for (const line of violation.log) console.log(`  ${line}`);
  }
  if (json) console.log(JSON.stringify(found));
  return found.every(({ violation }) => violation === null) ? 0 : 1;
}

type Part = { readonly world: WorldName; readonly firstSeed: number; readonly runs: number };

async function inProcess({ world, ...part }: Part, onProgress: (histories: number) => void): Promise<WorkerReport> {
  const coverage = new Coverage();
  const before = process.cpuUsage();
  const report = await runHistories({ ...WORLDS[world].options, ...part, coverage, onProgress });
  const { user, system } = process.cpuUsage(before);
  return { ...report, coverage: [...coverage.counts], cpuSeconds: (user + system) / 1e6 };
}

function inWorker(part: Part, onMore: (histories: number) => void): Promise<WorkerReport> {
  const worker = fork(process.argv[1] as string, [], {
    env: { ...process.env, TIDEMARK_SIMULATE: JSON.stringify(part) },
  });
  let told = 0;
  return new Promise((resolve, reject) => {
    worker.on("message", (said: Said) => {
      if ("report" in said) return resolve(said.report);
      onMore(said.histories - told);
      told = said.histories;
    });
    worker.once("exit", (code) => reject(new Error(`A worker ended with exit code ${code}.`)));
  });
}

async function work(part: Part): Promise<void> {
  const report = await inProcess(part, (histories) => process.send?.({ histories } satisfies Said));
  process.send?.({ report } satisfies Said, () => process.disconnect());
}

async function tellBroken({ seed, violation }: Broken, world: WorldName): Promise<void> {
  console.log(`\nSeed ${seed} breaks a promise: ${violation}`);
  const plain = await minimise(await choicesOf(seed, WORLDS[world].options), WORLDS[world].options);
  const { log } = await replay(new ListedChoices(plain.choices), WORLDS[world].options);
  console.log(`\nAs plain as it goes (${plain.tries} tries): ${plain.violation}\n`);
  for (const line of log) console.log(`  ${line}`);
  console.log(`\n  npm run simulate -- --world ${world} --seed ${seed}\n`);
}

function coverageTable({ counts }: Coverage): string {
  const table = new Table({ head: ["branch", "times"], colAligns: ["left", "right"], style: { head: [], border: [] } });
  for (const [branch, count] of [...counts].sort(([one], [other]) => one.localeCompare(other))) {
    table.push([branch, count.toLocaleString("en")]);
  }
  return table.toString();
}

const part = process.env.TIDEMARK_SIMULATE;
await (part === undefined ? main() : work(JSON.parse(part) as Part));
