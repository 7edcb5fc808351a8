/** `tidemark run`: the embedded engine on an app module, until its files are read or somebody stops it. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Engine, type EngineProgress, startEngine } from "../local/engine.ts";
import type { BackendName } from "../local/home.ts";
import { openRunControl, type RunControl } from "../local/run-control.ts";
import { type CommonOptions, conclude, note, print, printJson, withCommonOptions } from "./command-line.ts";
import { formatDuration, parseCount, parseDuration } from "./duration.ts";
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

Ctrl-C stops in good order; a second one at once. Either way the next run on the same home goes on where this one ended.`;

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
    .option("--checkpoint-interval <duration>", "time between checkpoints (default: the app's)", parseDuration)
    .option("--workers <n>", "worker processes (default: 1)", parseCount)
    .option("--batch-size <n>", "the most records of a batch", parseCount, 500)
    .option("--batch-window <duration>", "how long records wait for a batch to fill", parseDuration, 0)
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
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError("Give NAME=BINDING: flights=data/*.jsonl.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

async function run(app: string, options: RunOptions): Promise<undefined> {
  const progress = runProgress();
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
    const drained = engine.drained().then(() => "drained" as const);
    const ended = await Promise.race(options.keepRunning === true ? [signals.asked] : [signals.asked, drained]);
    drained.catch(() => {});
    progress.stop();
    const summary = await finish(engine, ended === "drained");
    await control?.close();
    // Without its last checkpoint a heap's run would be read again from the checkpoint before.
    const last = engine.stop({ checkpoint: onHeap && ended !== "drained" });
    engine = undefined;
    await last;
    if (options.json === true) printJson(summary);
    else print(inWords(summary));
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
}

/** What was read to its end is kept in a last checkpoint. */
async function finish(engine: Engine, drained: boolean): Promise<RunSummary> {
  const last = drained ? (await engine.checkpoint()).n : undefined;
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
  };
}

function inWords({ records, batches, checkpoints, seconds, drained, unfinished = [] }: RunSummary): string {
  const taken = `${checkpoints.completed} checkpoints${checkpoints.aborted > 0 ? `, ${checkpoints.aborted} aborted` : ""}`;
  const read = unfinished.length === 0 ? "All read" : `All read but ${unfinished.length} unfinished last lines`;
  return `${drained ? read : "Stopped"}: ${records} records in ${batches} batches, ${taken}, ${formatDuration(seconds * 1000)}.`;
}
