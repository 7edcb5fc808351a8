/** The embedded engine: a whole Tidemark on one machine, through the same code that Lambda runs. */
import path from "node:path";
import type { AppDescription } from "../shared/app/app-description.ts";
import type { AppDefinition } from "../shared/app/define-app.ts";
import type { CheckpointRecord } from "../shared/control/control.ts";
import type { SkipChoice, Skipping } from "../shared/dead-letter/skip.ts";
import type { RequestCounts } from "../shared/dynamodb/request-meter.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { RestoreChoice } from "../shared/restore/restore.ts";
import type { RestoreReport } from "../shared/restore/restore-report.ts";
import type { RestoreStatus } from "../shared/restore/status.ts";
import { startDynamoDBEngine } from "./dynamodb-engine.ts";
import type { CoreProgress } from "./engine-core.ts";
import type { EngineObserver } from "./engine-event.ts";
import { startHeapEngine } from "./heap-engine.ts";
import { type BackendName, DEFAULT_HOME, type Home, openHome } from "./home.ts";
import type { DeliveryPauses } from "./pump/delivery.ts";
import type { KeyState, StatePage } from "./read-states.ts";

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
  /** Time between checkpoints, in ms; overrides the app's. @default the app's */
  readonly checkpointIntervalMs?: number;
  /** Worker processes of the `dynamodb` backend: how many batches are handled at once. @default 1 */
  readonly workers?: number;
  /** The most records of a batch. More is fewer requests for each, and a longer wait for a barrier. @default 500 */
  readonly batchRecords?: number;
  /** How long records wait for a batch to fill, in ms. @default 0 */
  readonly batchWindowMs?: number;
  /** `embedded`, `aws` (the environment's region and credentials), or the URL of an emulator. @default the home's; "embedded" for a new one */
  readonly dynamodb?: string;
  /** Runs the heap engine in this very process: for benchmarks and tests. It cannot be killed then. @default false */
  readonly inProcess?: boolean;
  /** How long one invocation may take before its worker is killed, in ms. @default 60_000 */
  readonly invocationMs?: number;
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
    readonly endpoint: string;
    readonly tables: { readonly control: string; readonly state: { readonly [functionName: string]: string } };
  };
  progress(): Promise<EngineProgress>;
  /**
   * Takes a checkpoint that begins after this call; with a name, a savepoint. Resolves when it is durable.
   * @throws TidemarkError `retry` when it was aborted or a restore is under way
   */
  checkpoint(options?: { readonly savepoint?: string }): Promise<CheckpointRecord>;
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
  for (const name of ["workers", "batchRecords", "checkpointIntervalMs", "invocationMs"] as const) {
    const given = options[name];
    if (given !== undefined && !(Number.isSafeInteger(given) && given >= 1)) {
      refuse(`${name} is ${given}; it must be a whole number of at least 1.`);
    }
  }
  if (options.batchRecords !== undefined && options.batchRecords > 10_000) {
    refuse(`batchRecords is ${options.batchRecords}; at most 10,000 are delivered at once, as on Lambda.`);
  }
  if (options.batchWindowMs !== undefined && !(options.batchWindowMs >= 0)) {
    refuse(`batchWindowMs is ${options.batchWindowMs}; it must be 0 or more.`);
  }
  if (options.dynamodb !== undefined && !/^(?:embedded|aws|https?:\/\/[^/].*)$/.test(options.dynamodb)) {
    refuse(
      `dynamodb is ${JSON.stringify(options.dynamodb)}; it must be "embedded", "aws", or the URL of an emulator: "http://127.0.0.1:8000".`,
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
