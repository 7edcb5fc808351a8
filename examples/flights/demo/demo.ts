/** One whole run of the demo on a home of its own. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { BackendName } from "../../../local/home.ts";
import { startEngine } from "../../../local/start-engine.ts";
import { type DataSet, dealFlights } from "./data.ts";
import { Feed } from "./feed.ts";
import type { Narrator } from "./narrator.ts";
import { type DemoReport, reportOf } from "./report.ts";
import { HASH_CHAIN, ON_TIME, type Stage } from "./stage.ts";
import { type Apps, type Told, tellStory } from "./story.ts";
import { judge, type Verdict } from "./verdict.ts";
import { Watch } from "./watch.ts";

export interface DemoOptions {
  readonly flights: DataSet;
  readonly backend: BackendName;
  /** An empty folder; whoever made it removes it. */
  readonly home: string;
  readonly checkpointIntervalMs: number;
  /** Of the `dynamodb` backend: how many batches are handled at once. */
  readonly workers: number;
  readonly batchRecords: number;
  readonly narrator: Narrator;
  /** Ends the demo early; then it throws the signal's reason. Nothing is left running either way. */
  readonly signal: AbortSignal;
}

export async function runDemo(
  options: DemoOptions,
): Promise<{ readonly report: DemoReport; readonly verdict: Verdict }> {
  const { flights, backend, home, narrator, signal } = options;
  const startedAtMs = performance.now();
  const temporaryFolder = path.join(home, "temporary");
  narrator.act(`Real US flights (vega-datasets, ${flights}) on ${backend === "heap" ? "the heap" : "DynamoDB"}.`);
  const splits = await dealFlights(flights, path.join(home, "dealt"));
  const total = splits.reduce((sum, split) => sum + split.flights, 0);
  narrator.say(`${total} flights dealt into ${splits.length} splits in ${home}.`);

  const feed = await Feed.open(splits, path.join(home, "flights"));
  const done = new AbortController();
  const ended = AbortSignal.any([signal, done.signal]);
  const watch = new Watch({ feed, splits, functions: [ON_TIME, HASH_CHAIN], narrator, signal: ended });
  try {
    const told = await play(options, { splits, feed, watch }, () => done.abort());
    narrator.say("Comparing with DuckDB and with a plain pass over the files.");
    const verdict = await unlessAborted(judge(told.computed, { flights, splits, temporaryFolder }), signal);
    const seconds = (performance.now() - startedAtMs) / 1000;
    return {
      report: reportOf({ dataSet: flights, backend, flights: total, seconds }, { told, verdict, watch }),
      verdict,
    };
  } finally {
    done.abort();
    narrator.stop();
    await feed.stop();
  }
}

/** The engine's part: it is stopped, with all its processes, when this returns or throws. */
async function play(
  { backend, home, narrator, signal, ...options }: DemoOptions,
  parts: Pick<Stage, "splits" | "feed" | "watch">,
  ending: () => void,
): Promise<Told> {
  const { feed, watch } = parts;
  const engine = await startEngine({
    home,
    appModule: apps.good,
    backend,
    sources: { flights: feed.binding },
    checkpointIntervalMs: options.checkpointIntervalMs,
    batchRecords: options.batchRecords,
    observe: watch.observe,
    ...(backend === "heap" ? {} : { workers: options.workers }),
  });
  const following = watch.follow(engine);
  try {
    const story = tellStory({ engine, backend, narrator, ...parts }, apps, path.join(home, "temporary"));
    return await unlessAborted(story, signal);
  } finally {
    ending();
    await following;
    await engine.stop();
  }
}

/** Beside this module's package, built or not. */
const apps: Apps = {
  good: appModule("app"),
  buggy: appModule("buggy-app"),
};

function appModule(name: string): string {
  const extension = path.extname(fileURLToPath(import.meta.url));
  return fileURLToPath(new URL(`../${name}${extension}`, import.meta.url));
}

async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const aborted = new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}
