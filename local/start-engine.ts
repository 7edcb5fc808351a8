/** Starts the embedded engine on a home, by the backend that it is given or began with. */
import path from "node:path";
import {
  BATCH_RECORDS_MAX,
  BATCH_WINDOW_MS_MAX,
  CHECKPOINT_INTERVAL_MS_MAX,
  INVOCATION_MS_MAX,
} from "../shared/app/limits.ts";
import { TidemarkError } from "../shared/errors.ts";
import { startDynamoDBEngine } from "./dynamodb-engine.ts";
import type { Engine, EngineOptions, StartedOptions } from "./engine.ts";
import { startHeapEngine } from "./heap-engine.ts";
import { DEFAULT_HOME, openHome } from "./home.ts";
import { workersMax } from "./workers-max.ts";

/**
 * Starts an engine. After a crash of any of its processes, or of all, start it again on the same home: it goes on.
 * @throws TidemarkError `fix-configuration` when another run works on the home, the app module, the storage or a
 *   source cannot be used, or an option is out of its range
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const home = openHome(options.home ?? DEFAULT_HOME);
  const before = home.settingsOfLastRun();
  const backend = options.backend ?? before?.backend ?? "dynamodb";
  check(options, backend);
  if (before !== undefined && before.backend !== backend) {
    throw new TidemarkError(
      "fix-configuration",
      `The home ${home.folder} keeps its state with the ${before.backend} backend, and this run asks for ${backend}; state does not move from one to the other. Leave the backend out, or give this run a home of its own: --home FOLDER.`,
    );
  }
  const mended = home.keepPrivate();
  if (mended !== undefined) options.observe?.({ type: "home-closed", folder: home.folder, ...mended });
  const lock = home.lockRun();
  const started: StartedOptions = {
    ...options,
    ...(options.sources === undefined ? {} : { sources: absoluteBindings(options.sources) }),
    home_: home,
    dynamodb: options.dynamodb ?? before?.dynamodb ?? "embedded",
    storageUrl: options.storage ?? before?.storageUrl ?? home.defaultStorageUrl,
    observe: options.observe ?? (() => {}),
    batchRecords: options.batchRecords ?? 500,
    batchWindowMs: options.batchWindowMs ?? 0,
    workers: options.workers ?? 1,
    invocationMs: options.invocationMs ?? 60_000,
  };
  try {
    const engine = await (backend === "heap" ? startHeapEngine(started) : startDynamoDBEngine(started));
    const stop = engine.stop.bind(engine);
    return Object.assign(engine, {
      stop: async (how?: { readonly checkpoint?: boolean }) => {
        try {
          await stop(how);
        } finally {
          lock.release();
        }
      },
    });
  } catch (thrown) {
    lock.release();
    throw thrown;
  }
}

/** Only the caller knows what its paths are relative to. */
function absoluteBindings(bindings: { readonly [name: string]: string }): { readonly [name: string]: string } {
  return Object.fromEntries(
    Object.entries(bindings).map(([name, binding]) => {
      if (binding.startsWith("kinesis:")) return [name, binding];
      const follow = binding.startsWith("follow:") ? "follow:" : "";
      return [name, follow + path.resolve(binding.slice(follow.length))];
    }),
  );
}

function check(options: EngineOptions, backend: string): void {
  const refuse = (message: string): never => {
    throw new TidemarkError("fix-configuration", message);
  };
  if (backend !== "dynamodb" && backend !== "heap") {
    refuse(`The backend is ${JSON.stringify(backend)}; it must be "dynamodb" or "heap".`);
  }
  const wholes = {
    workers: workersMax(),
    batchRecords: BATCH_RECORDS_MAX,
    checkpointIntervalMs: CHECKPOINT_INTERVAL_MS_MAX,
    invocationMs: INVOCATION_MS_MAX,
    loadMs: INVOCATION_MS_MAX,
  };
  for (const [name, max] of Object.entries(wholes) as [keyof typeof wholes, number][]) {
    const given = options[name];
    if (given === undefined || (Number.isSafeInteger(given) && given >= 1 && given <= max)) continue;
    const whose = name === "workers" ? ", which is what this machine can bear" : "";
    refuse(`${name} is ${given}; it must be a whole number from 1 to ${max.toLocaleString("en-US")}${whose}.`);
  }
  const { batchWindowMs = 0 } = options;
  if (!(batchWindowMs >= 0 && batchWindowMs <= BATCH_WINDOW_MS_MAX)) {
    refuse(`batchWindowMs is ${batchWindowMs}; it must be from 0 to ${BATCH_WINDOW_MS_MAX.toLocaleString("en-US")}.`);
  }
  if (options.dynamodb !== undefined && !isDynamoDB(options.dynamodb)) {
    // What it may hold of credentials is not repeated.
    refuse(
      `dynamodb is ${JSON.stringify(options.dynamodb.replace(/\/\/[^/@]*@/, "//…@"))}; it must be "embedded", "aws", or the URL of an emulator: "http://127.0.0.1:8000".`,
    );
  }
  if (options.appModule?.trim() === "") {
    refuse(
      `The app module is ${JSON.stringify(options.appModule)}; it must be the path of a file. Give it: my-app.ts.`,
    );
  }
  if ((options.app === undefined) === (options.appModule === undefined)) {
    refuse("Give the engine appModule (a file) or app (with backend heap and inProcess), one of the two.");
  }
  if (options.app !== undefined && !(backend === "heap" && options.inProcess === true)) {
    refuse(
      'An app that is loaded already can only run with backend: "heap" and inProcess: true. Give appModule instead.',
    );
  }
  if (options.inProcess === true && backend !== "heap") {
    refuse('inProcess is for backend: "heap"; the dynamodb backend runs the app in worker processes.');
  }
  if (backend === "heap" && options.workers !== undefined && options.workers !== 1) {
    refuse(`workers is ${options.workers}; the heap backend keeps state in one process: leave it out.`);
  }
  if (backend === "dynamodb" && options.storage?.startsWith("memory:") === true) {
    refuse(
      'The storage memory: is gone with its process, and the dynamodb backend has several. Use file:///folder or s3://bucket/prefix, or backend: "heap".',
    );
  }
}

function isDynamoDB(given: string): boolean {
  if (given === "embedded" || given === "aws") return true;
  const url = /^https?:\/\/./.test(given) && URL.canParse(given) ? new URL(given) : undefined;
  return url !== undefined && url.hostname !== "" && url.port !== "0" && url.search === "" && url.hash === "";
}
