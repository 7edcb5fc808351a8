/** `npm run chaos`: real flights through the shipped pieces while everything around them fails, and the proof after it. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Command, CommanderError, Option } from "commander";
import { EXIT_FAILED, EXIT_USAGE, exitCodeOf, note, print, printJson, reportError } from "../../cli/command-line.ts";
import { formatDuration } from "../../cli/duration.ts";
import { listenForStop } from "../../cli/stop-signals.ts";
import { DATA_SET_NAMES, type DataSet } from "../../examples/flights/demo/data.ts";
import { planFaults } from "./plan.ts";
import { inWords, totalOf } from "./report.ts";
import { type RoundReport, runRound } from "./round.ts";
import { insideNamespace } from "./small-disk.ts";

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly flights: DataSet;
  readonly plan?: boolean;
  readonly json?: boolean;
}

/** Longer runs are several rounds, each of all the flights. */
const ROUND_MINUTES_MAX = 2.5;

const NOTES = `
A run is one round for each two minutes, at least one. A round has a home of its own and a seed of its own: the first
that of --seed, each further one the next number; so any round can be run again alone. The seed decides the faults:
which, at which share of the flights, with which parameters. When a request or a process is met by one is decided by
the machine's own time, so that the same seed gives the same plan and never quite the same run.

With AWS_ENDPOINT_URL set, the DynamoDB there is used instead of the embedded one; its tables are deleted afterwards.

Exit codes: 0 identical, 1 different or failed (the home is kept), 2 wrong usage, 130 stopped.`;

const program = new Command("chaos")
  .description(
    "Folds real flights while everything fails that can, and compares all that is left with DuckDB's answer.",
  )
  .addOption(new Option("--minutes <n>", "how long faults go on").default(2).argParser(parseMinutes))
  .addOption(new Option("--seed <n>", "decides the faults").argParser(parseSeed))
  .addOption(new Option("--flights <size>", "how many flights a round has").choices(DATA_SET_NAMES).default("20k"))
  .option("--plan", "print the faults of the first round and do nothing")
  .option("--json", "print one JSON object on stdout and nothing else there")
  .showHelpAfterError("Run with --help for usage.")
  .addHelpText("after", NOTES)
  .exitOverride();

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (Number.isFinite(minutes) && minutes > 0) return minutes;
  throw new CommanderError(EXIT_USAGE, "minutes", `error: --minutes is ${text}; give a number above 0.`);
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 31) return seed;
  throw new CommanderError(EXIT_USAGE, "seed", `error: --seed is ${text}; give a whole number from 0 to 2^31 - 1.`);
}

async function chaos(options: Options): Promise<number> {
  const { minutes, flights, seed = Math.floor(Math.random() * 2 ** 31) } = options;
  const rounds = Math.ceil(minutes / ROUND_MINUTES_MAX);
  const each = minutes / rounds;
  if (options.plan === true) {
    for (const step of planFaults({ seed, minutes: each })) print(JSON.stringify(step));
    return 0;
  }
  const startedAtMs = performance.now();
  const say = (text: string): void => {
    note(`${formatDuration(performance.now() - startedAtMs).padStart(8)}  ${text}`);
  };
  const stop = new AbortController();
  const signals = listenForStop((signal) => {
    say(`${signal}: cleaning up; once more stops at once.`);
    stop.abort(new Error(`stopped by ${signal}`));
  });
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-chaos-"));
  const reports: RoundReport[] = [];
  let failed: unknown;
  try {
    for (let round = 0; round < rounds && failed === undefined; round++) {
      const home = path.join(folder, `seed-${seed + round}`);
      await mkdir(home);
      try {
        const report = await runRound({ seed: seed + round, minutes: each, flights, home, signal: stop.signal, say });
        reports.push(report);
        if (report.differences.length === 0) await rm(home, { recursive: true, force: true, maxRetries: 5 });
      } catch (thrown) {
        failed = thrown;
      }
    }
  } finally {
    signals.release();
  }
  if (stop.signal.aborted) {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    return 130;
  }
  const identical = failed === undefined && reports.every(({ differences }) => differences.length === 0);
  if (identical) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  const total = { ...totalOf(reports), minutes, seed, identical, ...(identical ? {} : { kept: folder }) };
  if (options.json === true) printJson({ ...total, rounds: reports });
  else print(inWords(total, reports));
  if (failed !== undefined) reportError(failed, { verbose: true });
  if (!identical) note(`Once more, with the same faults: npm run chaos -- --minutes ${minutes} --seed ${seed}`);
  return identical ? 0 : EXIT_FAILED;
}

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
try {
  const options = program.parse().opts<Options>();
  process.exitCode = (await insideNamespace()) ?? (await chaos(options));
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    if (thrown.code === "minutes" || thrown.code === "seed") note(thrown.message);
    process.exitCode = thrown.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    reportError(thrown, {});
    process.exitCode = exitCodeOf(thrown);
  }
}
