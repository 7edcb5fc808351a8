/** `tidemark run`: the embedded engine on an app module, until its files are read or somebody stops it. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Engine, EngineProgress } from "../local/engine.ts";
import type { BackendName } from "../local/home.ts";
import type { StuckSplit } from "../local/pump/pump.ts";
import { openRunControl, type RunControl } from "../local/run-control.ts";
import { startEngine } from "../local/start-engine.ts";
import { BATCH_RECORDS_MAX } from "../shared/app/limits.ts";
import { systemClock } from "../shared/environment.ts";
import {
  type CommonOptions,
  conclude,
  type Ending,
  EXIT_FAILED,
  note,
  print,
  printJson,
  withCommonOptions,
} from "./command-line.ts";
import { BATCH_WINDOW, countUpTo, formatDuration, INTERVAL, WORKERS } from "./duration.ts";
import { runProgress } from "./run-progress.ts";
import { listenForStop } from "./stop-signals.ts";

interface RunOptions extends CommonOptions {
  readonly backend?: BackendName;
  readonly storage?: string;
  readonly source?: { readonly [name: string]: string };
  readonly checkpointInterval?: number;
  readonly workers?: number;
  readonly batchSize: number;
  readonly batchWindow: number;
  readonly keepRunning?: boolean;
  readonly allowEmpty?: boolean;
  readonly dynamodb?: string;
}

const EXAMPLES = `
Examples:
  $ tidemark run my-app.ts
  $ tidemark run my-app.ts --source "flights=data/*.jsonl" --checkpoint-interval 5s
  $ tidemark run my-app.ts --source "flights=follow:data/*.jsonl"   # tailed: what is appended is read
  $ tidemark run my-app.ts --backend heap --storage s3://bucket/checkpoints --keep-running

Ctrl-C stops in good order; a second one at once. Either way the next run on the same home goes on where this one ended.

A split that cannot go on by itself (its file was replaced, or cannot be read; its function is broken) is named, with the
reason; the others are read to their end, and the run ends with exit code 1. With --keep-running it waits instead.`;

export function addRun(program: Command): void {
  const command = program
    .command("run")
    .summary("run an app on this machine")
    .description("Runs an app module: reads its sources, folds events into state, takes checkpoints.")
    .argument("<app>", "the app module, .ts or .js, whose default export is defineApp({ … })");
  withCommonOptions(command)
    .addOption(
      new Option(
        "--backend <name>",
        "where working state is kept (default: the home's; dynamodb for a new one)",
      ).choices(["dynamodb", "heap"]),
    )
    .option("--storage <url>", "checkpoint storage: file:///folder, s3://bucket/prefix, memory: (default: the home's)")
    .option(
      "--source <name=binding>",
      "where to read a source: a path, a glob, follow:PATH to tail files, kinesis:STREAM (repeatable)",
      addSource,
    )
    .option("--checkpoint-interval <duration>", "time between checkpoints (default: the app's)", INTERVAL)
    .option("--workers <n>", "worker processes (default: 1)", WORKERS)
    .option("--batch-size <n>", "the most records of a batch", countUpTo(BATCH_RECORDS_MAX), 500)
    .option("--batch-window <duration>", "how long records wait for a batch to fill", BATCH_WINDOW, 0)
    .option("--keep-running", "go on after the files are read: wait for more files, and for what is appended to them")
    .option("--allow-empty", "a path of files may match none (else: exit code 2)")
    .option("--dynamodb <where>", "embedded, aws, or an emulator's URL (default: the home's; embedded for a new one)")
    .addHelpText("after", EXAMPLES)
    .action((app: string, options: RunOptions) => conclude(options, () => run(app, options)));
}

function addSource(
  text: string,
  before: { readonly [name: string]: string } = {},
): { readonly [name: string]: string } {
  const at = text.indexOf("=");
  if (at < 1 || text.slice(at + 1).trim() === "")
    throw new InvalidArgumentError("Give NAME=BINDING: flights=data/*.jsonl.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

async function run(app: string, options: RunOptions): Promise<Ending> {
  const progress = runProgress({ waits: options.keepRunning === true });
  const signals = listenForStop((signal) => {
    progress.stop();
    note(`${signal}: stopping in good order; once more stops at once.`);
  });
  let engine: Engine | undefined;
  let control: RunControl | undefined;
  try {
    engine = await startEngine({
      appModule: app,
      batchRecords: options.batchSize,
      batchWindowMs: options.batchWindow,
      observe: progress.observe,
      keepRunning: options.keepRunning === true,
      allowEmpty: options.allowEmpty === true,
      ...(options.backend === undefined ? {} : { backend: options.backend }),
      ...(options.dynamodb === undefined ? {} : { dynamodb: options.dynamodb }),
      ...(options.home === undefined ? {} : { home: options.home }),
      ...(options.storage === undefined ? {} : { storage: options.storage }),
      ...(options.source === undefined ? {} : { sources: options.source }),
      ...(options.checkpointInterval === undefined ? {} : { checkpointIntervalMs: options.checkpointInterval }),
      ...(options.workers === undefined ? {} : { workers: options.workers }),
    });
    note(`Running ${engine.app.name} on ${engine.home.folder}; checkpoints in ${engine.storageUrl}.`);
    const onHeap = engine.dynamodb === undefined;
    if (onHeap) control = await openRunControl(engine);
    progress.follow(engine);
    const settled = engine.settled();
    settled.catch(() => {});
    const ended = await Promise.race(options.keepRunning === true ? [signals.asked] : [signals.asked, settled]);
    progress.stop();
    // A signal's name, or what is stuck.
    const read = typeof ended === "string" ? undefined : { stuck: ended };
    const summary = await finish(engine, read);
    await control?.close();
    // Without its last checkpoint a heap's run would be read again from the checkpoint before.
    const last = engine.stop({ checkpoint: onHeap && read === undefined });
    engine = undefined;
    await last;
    if (options.json === true) printJson(summary);
    else print(inWords(summary));
    if (summary.error === undefined) return { exitCode: 0 };
    note(`error: ${summary.error.message}`);
    return { exitCode: EXIT_FAILED };
  } finally {
    progress.stop();
    signals.release();
    await control?.close();
    await engine?.stop();
  }
}

const UNFINISHED_LISTED_MAX = 100;

interface RunSummary {
  readonly app: string;
  readonly backend: BackendName;
  readonly records: number;
  readonly batches: number;
  readonly invocations: number;
  readonly drained: boolean;
  readonly checkpoints: { readonly completed: number; readonly aborted: number; readonly last?: number };
  readonly generation: number;
  /** Splits that end in a record that is not whole yet: it was left unread. The first hundred. */
  readonly unfinished?: readonly { readonly function: string; readonly split: string; readonly text: string }[];
  readonly seconds: number;
  readonly requests?: EngineProgress["requests"];
  /** What did not go on by itself. */
  readonly stuck?: readonly StuckSplit[];
  readonly error?: { readonly kind: string; readonly message: string };
}

/** A split that is stuck may have been tried in part, and then no barrier passes it: a last checkpoint waits no longer, in ms. */
const STUCK_CHECKPOINT_MS = 15_000;

/** What was read to its end is kept in a last checkpoint. @param read undefined: somebody stopped it before */
async function finish(
  engine: Engine,
  read: { readonly stuck: readonly StuckSplit[] } | undefined,
): Promise<RunSummary> {
  const stuck = read?.stuck ?? [];
  const last = read === undefined ? undefined : await lastCheckpoint(engine, stuck.length > 0);
  const figures = await engine.progress();
  const unfinished = figures.splits
    .flatMap(({ function: name, split, unfinished: text }) =>
      text === undefined ? [] : [{ function: name, split, text }],
    )
    .slice(0, UNFINISHED_LISTED_MAX);
  return {
    app: engine.app.name,
    backend: figures.backend,
    records: figures.records,
    batches: figures.batches,
    invocations: figures.invocations,
    drained: figures.drained,
    checkpoints: {
      completed: figures.checkpointsCompleted,
      aborted: figures.checkpointsAborted,
      ...(last === undefined ? {} : { last }),
    },
    generation: figures.generation,
    ...(unfinished.length === 0 ? {} : { unfinished }),
    seconds: figures.milliseconds / 1000,
    ...(figures.requests === undefined ? {} : { requests: figures.requests }),
    ...(stuck.length === 0 ? {} : { stuck, error: { kind: "fix-configuration", message: stuckInWords(stuck) } }),
  };
}

async function lastCheckpoint(engine: Engine, isStuck: boolean): Promise<number | undefined> {
  const taken = engine.checkpoint().then(({ n }) => n);
  if (!isStuck) return taken;
  const waited = new AbortController();
  const late = systemClock.sleep(STUCK_CHECKPOINT_MS, waited.signal).then(() => undefined);
  try {
    return await Promise.race([taken.catch(() => undefined), late]);
  } finally {
    waited.abort();
  }
}

/** The reasons were said when they came up, and stand in the JSON. */
function stuckInWords(stuck: readonly StuckSplit[]): string {
  const names = stuck.map(({ function: name, split }) =>
    split === undefined ? `the source of ${name}` : `${split} of ${name}`,
  );
  const shown =
    names.length > STUCK_SHOWN_MAX
      ? [...names.slice(0, STUCK_SHOWN_MAX), `${names.length - STUCK_SHOWN_MAX} more`]
      : names;
  return `Not read to its end, for the reason said above: ${shown.join(", ")}. Everything else is read. Once that is mended, run again: it goes on from there.`;
}

const STUCK_SHOWN_MAX = 20;

function inWords({ records, batches, checkpoints, seconds, drained, unfinished = [], error }: RunSummary): string {
  const taken = `${checkpoints.completed} checkpoints${checkpoints.aborted > 0 ? `, ${checkpoints.aborted} aborted` : ""}`;
  const all = unfinished.length === 0 ? "All read" : `All read but ${unfinished.length} unfinished last lines`;
  const read = error === undefined ? "Stopped" : "Read what could be read";
  return `${drained ? all : read}: ${records} records in ${batches} batches, ${taken}, ${formatDuration(seconds * 1000)}.`;
}
