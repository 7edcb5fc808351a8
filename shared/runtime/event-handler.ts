/**
 * What runs in an event function, on Lambda as in the embedded engine: a source's events, and a restore's instruction
 * to replay a split.
 */
import type { AppResources } from "../app/app-resources.ts";
import type { AppDefinition } from "../app/define-app.ts";
import { decodingOf } from "../app/source-options.ts";
import { StoppedError } from "../batch/fold-batch.ts";
import { type BatchEngine, processBatch } from "../batch/process-batch.ts";
import { replaySplit } from "../batch/replay-split.ts";
import { StateCache } from "../batch/state-cache.ts";
import { TidemarkError } from "../errors.ts";
import type { ReplayAnswer, ReplayRequest } from "../restore/replay-invoker.ts";
import type { SourceBatch } from "../source/source.ts";

/** What a Lambda function answers to an event source mapping with ReportBatchItemFailures. */
export interface BatchAnswer {
  /** The first record that is not resolved, from which on all is delivered again; none: all are resolved. */
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
  /** Why, for people; the mapping ignores it. */
  readonly reason?: string;
  /** The split has stopped: it will not pass by itself. The mapping ignores this as well. */
  readonly stopped?: true;
}

/** The event by which a restore has a function replay a split. */
export interface ReplayInstruction extends ReplayRequest {
  readonly tidemark: "replay";
}

export interface InvocationOptions {
  /** When folding stops and what was done is written down, in ms since 1970: earlier than the environment's own end. */
  readonly deadlineMs: number;
}

export type EventHandler = (event: unknown, options: InvocationOptions) => Promise<BatchAnswer | ReplayAnswer>;

/** The same work without events around it, for an engine that reads the source in the process that folds. */
export interface FunctionHandler {
  fold(batch: SourceBatch, options: InvocationOptions): Promise<BatchAnswer>;
  replay(request: ReplayRequest, options: InvocationOptions): Promise<ReplayAnswer>;
}

export interface HandlerOptions {
  /** Keeps the items that were written or loaded last, so that a batch reads only keys it does not know. @default true */
  readonly cacheItems?: boolean;
}

export function replayInstruction(request: ReplayRequest): ReplayInstruction {
  return { tidemark: "replay", ...request };
}

/**
 * The handler of one function, to be made once in an environment and called once at a time for a split.
 *
 * A crash at any point loses nothing: the mapping delivers the batch again. Cost: see `processBatch`.
 * @throws TidemarkError `fix-configuration` when the app has no such function, or an event is not of its source. What
 *   will pass by itself (throttling, a restore under way) is answered as a failure of the batch, not thrown.
 */
export function createEventHandler(
  app: AppDefinition,
  functionName: string,
  resources: AppResources,
  options: HandlerOptions = {},
): EventHandler {
  const { fold, replay } = createFunctionHandler(app, functionName, resources, options);
  const { events } = resources.sourceOf(functionName);
  return async (event, invocation) => {
    if (!isReplayInstruction(event)) return fold(events.parse(event), invocation);
    if (event.function === functionName) return replay(event, invocation);
    throw new TidemarkError(
      "fix-configuration",
      `The function ${functionName} was told to replay a split of ${JSON.stringify(event.function)}. Invoke that function instead.`,
    );
  };
}

/** See {@link createEventHandler}. */
export function createFunctionHandler(
  app: AppDefinition,
  functionName: string,
  resources: AppResources,
  { cacheItems = true }: HandlerOptions = {},
): FunctionHandler {
  const binding = app.functions.find(({ function: { name } }) => name === functionName);
  if (binding === undefined) {
    throw new TidemarkError(
      "fix-configuration",
      `The app ${app.name} has no function ${JSON.stringify(functionName)}; it has ${app.functions.map((binding) => binding.function.name).join(", ")}.`,
    );
  }
  const source = resources.sourceOf(functionName);
  const base: BatchEngine = {
    resources,
    definition: binding.function,
    source,
    decoding: decodingOf(app, binding.source),
    ...(cacheItems ? { cache: new StateCache() } : {}),
  };
  /** Asked at every batch: it may be changed while this environment lives, and sources know for how long they may not ask. */
  const engine = async (): Promise<BatchEngine> => {
    const retentionMs = await source.retentionMs();
    return retentionMs === undefined ? base : { ...base, retentionMs };
  };
  return {
    async fold({ split, records }, { deadlineMs }) {
      try {
        const request = { split, records, role: { phase: "RUNNING" }, deadlineMs } as const;
        const { failedFrom, error } = await processBatch(await engine(), request);
        return failedFrom === undefined ? ALL_RESOLVED : failedAt(failedFrom.itemIdentifier, error);
      } catch (thrown) {
        const first = records[0];
        if (!(thrown instanceof TidemarkError) || thrown.kind !== "retry" || first === undefined) throw thrown;
        return failedAt(first.itemIdentifier, thrown);
      }
    },
    async replay({ split, generation, stop, milliseconds = Number.POSITIVE_INFINITY }, invocation) {
      const deadlineMs = Math.min(invocation.deadlineMs, resources.clock.now() + milliseconds);
      const request = { split, generation, deadlineMs, ...(stop === undefined ? {} : { stop }) };
      const { position, done, stopped } = await replaySplit(await engine(), request);
      return { position, done, ...(stopped === undefined ? {} : { stopped }) };
    },
  };
}

const ALL_RESOLVED: BatchAnswer = { batchItemFailures: [] };

function failedAt(itemIdentifier: string, error: TidemarkError | undefined): BatchAnswer {
  return {
    batchItemFailures: [{ itemIdentifier }],
    ...(error === undefined ? {} : { reason: error.message }),
    ...(error instanceof StoppedError ? { stopped: true } : {}),
  };
}

export function isReplayInstruction(event: unknown): event is ReplayInstruction {
  return typeof event === "object" && event !== null && (event as Partial<ReplayInstruction>).tidemark === "replay";
}
