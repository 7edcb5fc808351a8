/** What a user's app module exports: which functions there are, what they read, and when checkpoints are taken. */
import type { CheckpointingMode } from "../control/control.ts";
import type { FunctionDefinition } from "../function/function-definition.ts";
import { checkApp } from "./check-app.ts";
import type { SourceOptions } from "./source-options.ts";

export type { CheckpointingMode, SourceOptions };

export interface CheckpointingOptions {
  /** Time between the starts of two checkpoints, in ms. At most 7 days. @default none - periodic checkpoints are off, as in Flink */
  readonly intervalMs?: number;
  /** @default "exactly-once" */
  readonly mode?: CheckpointingMode;
  /** A checkpoint that takes longer is aborted, in ms. At most 7 days. @default 600_000 (Flink's default: 10 minutes) */
  readonly timeoutMs?: number;
  /** How many completed checkpoints are kept; savepoints are kept besides. At most 1,000. @default 10 */
  readonly retained?: number;
}

export interface DeadLetterOptions {
  /**
   * How often the function may throw at a record before it becomes a dead letter. Where it takes another record of the batch
   * after that, all tries are made at once; else one a delivery, with growing pauses. A record that the schema refuses, that
   * cannot be read, or whose key or state cannot be kept, is tried once. @default 10
   */
  readonly triesMax?: number;
  /**
   * After so many records in a row that failed, a split stops: the function is broken, not the records. Records that the
   * schema refuses do not count, except of a version of the code that has taken no record of the split yet. @default 100
   */
  readonly maxConsecutiveDeadLetters?: number;
}

export interface FunctionBinding {
  // biome-ignore lint/suspicious/noExplicitAny: an app holds functions of any event and state
  readonly function: FunctionDefinition<any, any>;
  /** The name of the source that the function reads; deployments bind it to a stream, `tidemark run` to files. */
  readonly source: string;
  /** Earlier records are dropped: "earliest", or a time. @default "earliest" */
  readonly startFrom?: "earliest" | Date;
}

export interface AppDefinition {
  /** Letters, digits, `-` and `_`, at most 64: part of the names of tables and settings. */
  readonly name: string;
  /** At least one, each of another name. */
  readonly functions: readonly FunctionBinding[];
  /**
   * The sources by name: where `tidemark run` reads each (a path or glob of files relative to the app module,
   * `"data/*.jsonl"`, or `kinesis:STREAM`), or its options: `{ url: "data/*.jsonl", integers: "text" }`. Where a source is
   * read is overridden by `--source`, and by a deployment's own streams; how its records are decoded is said here alone.
   */
  readonly sources?: { readonly [source: string]: string | SourceOptions };
  /** @default {} - no periodic checkpoints */
  readonly checkpointing?: CheckpointingOptions;
  readonly deadLetters?: DeadLetterOptions;
}

/**
 * Marks what `defineApp` has checked. A registered symbol, since the command line may have loaded another copy of
 * this module than the app did; not enumerable, so that it shows in no output.
 */
const CHECKED_APP = Symbol.for("tidemark.app");

/**
 * Defines an app: the default export of the module that deployments, `tidemark run` and the Lambda entry points load.
 * Costs no request.
 *
 * @throws TidemarkError `fix-configuration` when an option is missing, misspelt or out of its range, two functions
 * claim one name, or `sources` names a source that no function reads; the message says which, and the way out.
 */
export function defineApp(options: AppDefinition): AppDefinition {
  if (typeof TIDEMARK_CHECKED === "undefined") checkApp(options);
  const app = {
    ...options,
    functions: Object.freeze(options.functions.map((binding) => Object.freeze({ ...binding }))),
    ...(options.sources === undefined ? {} : { sources: frozenSources(options.sources) }),
    ...(options.checkpointing === undefined ? {} : { checkpointing: Object.freeze({ ...options.checkpointing }) }),
    ...(options.deadLetters === undefined ? {} : { deadLetters: Object.freeze({ ...options.deadLetters }) }),
  };
  Object.defineProperty(app, CHECKED_APP, { value: true });
  return Object.freeze(app);
}

function frozenSources(sources: NonNullable<AppDefinition["sources"]>): NonNullable<AppDefinition["sources"]> {
  const frozen = Object.entries(sources).map(([name, source]) => {
    return [name, typeof source === "string" ? source : Object.freeze({ ...source })] as const;
  });
  return Object.freeze(Object.fromEntries(frozen));
}

/** Whether a value (what a loaded module exports) came from {@link defineApp}, of any copy of this module. */
export function isApp(value: unknown): value is AppDefinition {
  return typeof value === "object" && value !== null && (value as { [CHECKED_APP]?: unknown })[CHECKED_APP] === true;
}
