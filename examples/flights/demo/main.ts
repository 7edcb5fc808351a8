#!/usr/bin/env node
/** `npm run demo`: checkpointed state on real flights, broken for real and put right again, with proof. */
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Command, CommanderError, Option } from "commander";
import {
  EXIT_FAILED,
  exitCodeOf,
  isJsonAsked,
  print,
  printJson,
  reportError,
  reportUsage,
} from "../../../cli/command-line.ts";
import { countUpTo, INTERVAL, WORKERS } from "../../../cli/duration.ts";
import { listenForStop } from "../../../cli/stop-signals.ts";
import type { BackendName } from "../../../local/home.ts";
import { BATCH_RECORDS_MAX } from "../../../shared/app/limits.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { DATA_SET_NAMES, type DataSet } from "./data.ts";
import { runDemo } from "./demo.ts";
import { createNarrator } from "./narrator.ts";
import { inWords, isIdentical } from "./report.ts";

interface Options {
  readonly flights: DataSet;
  readonly backend?: BackendName;
  readonly checkpointInterval?: number;
  readonly workers: number;
  readonly batchSize: number;
  readonly home?: string;
  readonly keep?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

const NOTES = `
Flights: 2k and 20k are files of vega-datasets as they are. Its flights-200k.json has neither airports nor dates, so
200k is the first 200,000 rows of flights-3m.parquet, and 3m is all of it.

Workers: every airport is in all four splits, so that several workers contend for its state; what one of them wrote
first, the other folds again. The result is the same, for about twice the requests, since both functions commute: sums and
counts, and a hash chain for each split. Order is kept within a split; a replay may fold an airport's flights of different
splits in another order than the first run did.

Examples:
  $ npm run demo
  $ npm run demo -- --flights 3m
  $ npm run --silent demo -- --flights 2k --json
  $ npm run demo -- --keep --home /tmp/flights    then: npx tidemark checkpoints --home /tmp/flights

Exit codes: 0 identical, 1 different or failed, 2 wrong usage or configuration, 130 stopped by Ctrl-C.`;

const program = new Command("demo")
  .description("Folds real flights, crashes, deploys a bad version, restores, replays, and proves the result.")
  .addOption(new Option("--flights <size>", "how many flights").choices(DATA_SET_NAMES).default("20k"))
  .addOption(
    new Option("--backend <name>", "where working state is kept (default: dynamodb; heap for 3m)").choices([
      "dynamodb",
      "heap",
    ]),
  )
  .option("--checkpoint-interval <duration>", "time between checkpoints (default: 1s; 500ms for 2k)", INTERVAL)
  .option("--workers <n>", "worker processes of the dynamodb backend", WORKERS, 1)
  .option("--batch-size <n>", "the most flights of a batch", countUpTo(BATCH_RECORDS_MAX), 1_000)
  .option("--home <folder>", "an empty folder to work in, which is kept (default: a temporary one, removed)")
  .option("--keep", "keep the temporary folder")
  .option("--json", "print one JSON object on stdout and nothing else there")
  .option("--verbose", "print an error's stack as well (also: TIDEMARK_DEBUG=1)")
  .showHelpAfterError("Run with --help for usage.")
  .addHelpText("after", NOTES)
  .exitOverride();

async function demo(options: Options): Promise<number> {
  const stop = new AbortController();
  const json = options.json === true;
  const narrator = createNarrator(json ? process.stderr : process.stdout, () => performance.now());
  const signals = listenForStop((signal) => {
    narrator.say(`${signal}: cleaning up; once more stops at once.`);
    stop.abort(new Error(`stopped by ${signal}`));
  });
  const home = await openFolder(options.home);
  const keep = options.home !== undefined || options.keep === true;
  try {
    const { report, verdict } = await runDemo({
      ...options,
      home,
      backend: options.backend ?? (options.flights === "3m" ? "heap" : "dynamodb"),
      checkpointIntervalMs: options.checkpointInterval ?? (options.flights === "2k" ? 500 : 1_000),
      batchRecords: options.batchSize,
      narrator,
      signal: stop.signal,
    });
    if (keep) narrator.say(`All of it is kept in ${home}.`);
    if (json) printJson(report);
    else print(inWords(report, verdict));
    return isIdentical(report) ? 0 : EXIT_FAILED;
  } catch (thrown) {
    if (!stop.signal.aborted) throw thrown;
    return 130;
  } finally {
    signals.release();
    if (!keep) await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** @throws TidemarkError `fix-configuration` for a folder that something is in: its state would be gone on with */
async function openFolder(folder: string | undefined): Promise<string> {
  if (folder === undefined) return mkdtemp(path.join(tmpdir(), "tidemark-demo-"));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length === 0) return path.resolve(folder);
  throw new TidemarkError(
    "fix-configuration",
    `The home ${path.resolve(folder)} is not empty; the demo begins with nothing. Give a new folder, or leave --home out.`,
  );
}

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
let options: Options | undefined;
try {
  options = program.parse().opts<Options>();
  process.exitCode = await demo(options);
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = reportUsage(thrown, isJsonAsked());
  else {
    reportError(thrown, options ?? { json: isJsonAsked() });
    process.exitCode = exitCodeOf(thrown);
  }
}
