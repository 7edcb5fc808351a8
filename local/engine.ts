/** The embedded engine: a whole Tidemark on one machine, through the same code that Lambda runs. */
import path from "node:path";
import type { AppDescription } from "../shared/app/app-description.ts";
import type { AppDefinition } from "../shared/app/define-app.ts";
import {
  BATCH_RECORDS_MAX,
  BATCH_WINDOW_MS_MAX,
  CHECKPOINT_INTERVAL_MS_MAX,
  INVOCATION_MS_MAX,
} from "../shared/app/limits.ts";
import type { CheckpointRequest } from "../shared/checkpoint/savepoints.ts";
import type { CheckpointRecord } from "../shared/control/control.ts";
import type { SkipChoice, Skipping } from "../shared/dead-letter/skip.ts";
import type { RequestCounts } from "../shared/dynamodb/request-meter.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { RestoreChoice } from "../shared/restore/restore.ts";
import type { RestoreReport } from "../shared/restore/restore-report.ts";
import type { RestoreStatus } from "../shared/restore/status.ts";
import type { Credentials } from "./dynamodb/endpoint-url.ts";
import { startDynamoDBEngine } from "./dynamodb-engine.ts";
import type { CoreProgress } from "./engine-core.ts";
import type { EngineObserver } from "./engine-event.ts";
import { startHeapEngine } from "./heap-engine.ts";
import { type BackendName, DEFAULT_HOME, type Home, openHome } from "./home.ts";
import type { DeliveryPauses } from "./pump/delivery.ts";
import type { StuckSplit } from "./pump/pump.ts";
import type { KeyState, StatePage } from "./read-states.ts";
import { workersMax } from "./workers-max.ts";

export interface EngineOptions {
  /** The folder for everything that outlives the engine; one engine at a time works on it. @default ".tidemark" */
  readonly home?: string;
  /** The file of the app module, `.ts` or `.js`. Give this or `app`. */
  readonly appModule?: string;
  /** An app that is loaded already: with `backend: "heap"` and `inProcess` alone, since functions cross no process boundary. */
  readonly app?: AppDefinition;
  /**
   * Where working state is kept. `dynamodb`: an embedded DynamoDB, and worker processes like Lambda's. `heap`: the
   * memory of one process, restored from the latest checkpoint when it starts. A home keeps the one that it began with.
   * @default the home's; "dynamodb" for a new one
   */
  readonly backend?: BackendName;
  /** Checkpoint storage: `file:///folder`, `s3://bucket/prefix`, or `memory:` with `heap`. @default that of the home's last run; the folder `checkpoints` of a new home */
  readonly storage?: string;
  /** Where to read sources, by name; overrides the app's own `sources`. Relative paths count from the working folder. */
  readonly sources?: { readonly [name: string]: string };
  /** Tails the files of every source, as `follow:` does for one: what is appended is read, new files are, and nothing is drained. @default false */
  readonly keepRunning?: boolean;
  /** A path of files may match none. @default false - refused at the start */
  readonly allowEmpty?: boolean;
  /** Time between checkpoints, in ms; overrides the app's. At most 7 days. @default the app's */
  readonly checkpointIntervalMs?: number;
  /** Worker processes of the `dynamodb` backend: how many batches are handled at once. At most what the machine bears: 8 for each processor, and half of its memory at 128 MB each. @default 1 */
  readonly workers?: number;
  /** The most records of a batch. More is fewer requests for each, and a longer wait for a barrier. At most 10,000, as on Lambda. @default 500 */
  readonly batchRecords?: number;
  /** How long records wait for a batch to fill, in ms. At most 5 minutes, as on Lambda. @default 0 */
  readonly batchWindowMs?: number;
  /** `embedded`, `aws` (the environment's region and credentials), or the URL of an emulator, with credentials where it checks them (`http://KEY:SECRET@127.0.0.1:8000`). @default the home's; "embedded" for a new one */
  readonly dynamodb?: string;
  /** Runs the heap engine in this very process: for benchmarks and tests. It cannot be killed then. @default false */
  readonly inProcess?: boolean;
  /** How long one invocation may take before its worker is killed, in ms. At most 15 minutes, as on Lambda. @default 60_000 */
  readonly invocationMs?: number;
  /** How long the app module may take to load, in ms. @default 30_000 */
  readonly loadMs?: number;
  /** Pauses between deliveries that fail. @default 100 ms, doubling up to 2 s */
  readonly pauses?: DeliveryPauses;
  /** Told everything that happens. From a heap engine's own process `batch` events are left out: they would cost more than the batches. */
  readonly observe?: EngineObserver;
}

export interface EngineProgress extends CoreProgress {
  readonly backend: BackendName;
  /** Ms since the engine was started. */
  readonly milliseconds: number;
  readonly workers: readonly { readonly pid: number; readonly busy: boolean }[];
  /** DynamoDB requests and units of this engine and its workers; absent with `heap`. */
  readonly requests?: RequestCounts;
}

/** A running engine. */
export interface Engine {
  readonly home: Home;
  /** What runs, with every default and override filled in; a redeployment changes it. */
  readonly app: AppDescription;
  readonly storageUrl: string;
  /** For whoever wants to look at the tables; absent with `heap`. */
  readonly dynamodb?: {
    /** Where an emulator, or the embedded one, answers; absent on AWS. */
    readonly endpoint?: string;
    /** What requests to `endpoint` are signed with: the embedded one answers nobody else. */
    readonly credentials?: Credentials;
    readonly tables: { readonly control: string; readonly state: { readonly [functionName: string]: string } };
  };
  progress(): Promise<EngineProgress>;
  /**
   * Takes a checkpoint that begins after this call; with a name, a savepoint. Resolves when it is durable.
   * @throws TidemarkError `retry` when it was aborted or a restore is under way; `fix-configuration` when there is a savepoint
   *   of that name and it was not to be replaced, or the name cannot be one
   */
  checkpoint(options?: CheckpointRequest): Promise<CheckpointRecord>;
  /**
   * Restores a checkpoint and resolves when events flow again; with `wait: false`, once the restore is recorded.
   * @throws TidemarkError; then nothing was changed
   */
  restore(choice?: RestoreChoice, how?: { readonly wait?: boolean }): Promise<RestoreReport>;
  restoreStatus(): Promise<RestoreStatus>;
  /**
   * Has splits pass over what they stand at, as dead letters and holes; the next batch of each does it.
   * @throws TidemarkError `fix-configuration` when nothing stands there; see `skipIn`
   */
  skip(choice: SkipChoice): Promise<Skipping>;
  /**
   * Resolves when nothing more happens by itself, with what is stuck: every split of bounded sources is resolved to its end,
   * or cannot be read on, or has stopped. What is stuck is tried on meanwhile.
   */
  settled(): Promise<readonly StuckSplit[]>;
  /** Resolves when every source is bounded and all of it is resolved. Follows through crashes and restores. */
  drained(): Promise<void>;
  /**
   * Kills a worker process, one in the middle of a batch if there is one; it is replaced at once.
   * @returns its pid; undefined: none was up just then. @throws TidemarkError `fix-configuration` with `inProcess`
   */
  killWorker(signal?: NodeJS.Signals): Promise<number | undefined>;
  /**
   * Replaces the running version of the app, as a deployment does: batches under way end on the old one.
   * @throws TidemarkError of the new module; then the old one goes on
   */
  redeploy(appModule: string): Promise<void>;
  /** The state of one key as it is now. */
  state(functionName: string, key: string): Promise<KeyState | undefined>;
  /** All states of a function, page by page. */
  statePage(functionName: string, cursor?: string): Promise<StatePage>;
  /** Lets batches that are under way end, and with `checkpoint` takes a last one. Then everything is closed. */
  stop(options?: { readonly checkpoint?: boolean }): Promise<void>;
}

export interface StartedOptions extends EngineOptions {
  readonly home_: Home;
  readonly storageUrl: string;
  readonly dynamodb: string;
  readonly observe: EngineObserver;
  readonly batchRecords: number;
  readonly batchWindowMs: number;
  readonly workers: number;
  readonly invocationMs: number;
}

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
