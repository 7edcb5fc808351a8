/** The embedded engine: what it is given, and what can be done with one that runs. */
import type { AppDescription } from "../shared/app/app-description.ts";
import type { AppDefinition } from "../shared/app/define-app.ts";
import type { CheckpointRequest } from "../shared/checkpoint/savepoints.ts";
import type { CheckpointRecord } from "../shared/control/control.ts";
import type { SkipChoice, Skipping } from "../shared/dead-letter/skip.ts";
import type { RequestCounts } from "../shared/dynamodb/request-meter.ts";
import type { RestoreChoice } from "../shared/restore/restore.ts";
import type { RestoreReport } from "../shared/restore/restore-report.ts";
import type { RestoreStatus } from "../shared/restore/status.ts";
import type { Credentials } from "./dynamodb/endpoint-url.ts";
import type { CoreProgress } from "./engine-core.ts";
import type { EngineObserver } from "./engine-event.ts";
import type { BackendName, Home } from "./home.ts";
import type { DeliveryPauses } from "./pump/delivery.ts";
import type { StuckSplit } from "./pump/pump.ts";
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
