/**
 * What an engine does wherever it runs: it feeds the functions, drives checkpoints and carries on restores. The stores
 * and the way to the handlers are given to it.
 */
import type { AppResources } from "../shared/app/app-resources.ts";
import { type CheckpointRequest, checkSavepointName } from "../shared/checkpoint/savepoints.ts";
import type { CheckpointRecord } from "../shared/control/control.ts";
import { readControl } from "../shared/control/control-steps.ts";
import { REDRIVE_SPLIT } from "../shared/dead-letter/redrive-letter.ts";
import type { SkipChoice, Skipping } from "../shared/dead-letter/skip.ts";
import { describeThrown, TidemarkError } from "../shared/errors.ts";
import type { ReplayInvoker } from "../shared/restore/replay-invoker.ts";
import { type RestoreChoice, requestRestore } from "../shared/restore/restore.ts";
import type { RestoreReport } from "../shared/restore/restore-report.ts";
import { restoreStatus } from "../shared/restore/status.ts";
import { createCoordinatorHandler, skipIn } from "../shared/runtime/coordinator-handler.ts";
import { BEGINNING } from "../shared/source/position.ts";
import type { LeftOut } from "../shared/source/source.ts";
import { checkpointOutcome } from "./checkpoint-outcome.ts";
import { describeLeftOut } from "./describe-left-out.ts";
import type { EngineObserver } from "./engine-event.ts";
import type { Deliver } from "./pump/delivery.ts";
import { Pump, type PumpOptions, type StuckSplit } from "./pump/pump.ts";
import type { SplitProgress } from "./pump/split-pump.ts";

/** Figures since the engine started, and what control says now. */
export interface CoreProgress {
  /** Records delivered and resolved, over all functions: a record that two functions read counts twice. */
  readonly records: number;
  readonly batches: number;
  /** More than batches where some had to be delivered again. */
  readonly invocations: number;
  readonly splits: readonly SplitProgress[];
  readonly drained: boolean;
  /** What will not go on by itself. */
  readonly stuck: readonly StuckSplit[];
  readonly phase: "RUNNING" | "REPLAYING";
  readonly generation: number;
  /** The number of the last checkpoint that was begun; 0: none. */
  readonly epoch: number;
  readonly checkpoint?: CheckpointRecord;
  readonly checkpointsCompleted: number;
  readonly checkpointsAborted: number;
}

export interface CoreOptions extends PumpOptions {
  readonly deliver: Deliver;
  readonly replay: ReplayInvoker;
  readonly observe: EngineObserver;
  /** The pause between two invocations of the coordinator, in ms. */
  readonly coordinatorMs: number;
  /**
   * How long what is asked for outlasts stores that are out of reach, in ms: they may be started again just then.
   * @default 0
   */
  readonly patienceMs?: number;
}

/** How long one invocation of the coordinator goes on; the next carries on. */
const COORDINATOR_DEADLINE_MS = 15_000;
/** The same while a split is stuck: a checkpoint may wait for it until somebody stops the engine, who should not. */
const STUCK_DEADLINE_MS = 2_000;
/** How often a running checkpoint's splits, and a restore's end, are looked at. */
const POLL_MS = 25;
const FAILED_PAUSE_MS_MAX = 5_000;
const PATIENCE_POLL_MS = 200;

/**
 * Looks at every source and its first split once, so that a stream's wrong name, a permission, a package that is
 * missing, or a path that matches nothing is said at once, and not by a run that goes on for ever, or ends as if all were read.
 * What is wrong with a file alone is left to the pump: it must not keep the others from being read.
 * @throws TidemarkError `fix-configuration`; what may pass by itself is left to the pump
 */
export async function checkSources(
  { app, sourceOf }: AppResources,
  { allowEmpty = false }: { readonly allowEmpty?: boolean },
): Promise<void> {
  const functions = new Map(app.functions.map(({ source, name }) => [source, name]));
  for (const [source, name] of functions) {
    try {
      const read = sourceOf(name);
      const { reader } = read;
      let found = false;
      for await (const { split } of reader.splits()) {
        if (split === REDRIVE_SPLIT) continue;
        found = true;
        await reader.look(split, BEGINNING).catch(async (thrown: unknown) => {
          // What is kept for ever is a file.
          if (isMissingPackage(thrown) || (await read.retentionMs()) !== undefined) throw thrown;
        });
        break;
      }
      const leftOut = reader.leftOut?.();
      if (!found && !allowEmpty && leftOut !== undefined) throw noFiles(source, leftOut);
    } catch (thrown) {
      if (thrown instanceof TidemarkError && thrown.kind === "fix-configuration") throw thrown;
    }
  }
}

function noFiles(source: string, leftOut: LeftOut): TidemarkError {
  const left = leftOut.total === 0 ? "" : ` Left out: ${describeLeftOut(leftOut)}.`;
  return new TidemarkError(
    "fix-configuration",
    `The source ${JSON.stringify(source)} has no file to read: nothing of ${JSON.stringify(leftOut.place)} is JSON lines (also gzipped) or Parquet.${left} Correct the path, or let it be empty (--allow-empty).`,
  );
}

/** A package that a kind of file is read with: nothing is wrong with the file. */
function isMissingPackage(thrown: unknown): boolean {
  return (
    thrown instanceof TidemarkError && (thrown.cause as { readonly code?: unknown })?.code === "ERR_MODULE_NOT_FOUND"
  );
}

export class EngineCore {
  private resources: AppResources;
  private readonly options: CoreOptions;
  private readonly pump: Pump;
  private loop: Promise<void> | undefined;
  /** No periodic checkpoint begins any more; a last one may still be asked for. */
  private ending = false;
  private stopping = false;
  private turn: Promise<unknown> = Promise.resolve();
  private completed = 0;
  private aborted = 0;

  constructor(resources: AppResources, options: CoreOptions) {
    this.resources = this.counting(resources);
    this.options = options;
    this.pump = new Pump(this.resources, options.deliver, options.observe, options);
  }

  start(): void {
    this.pump.start(this.resources.app.functions.map(({ name }) => name));
    this.loop = this.coordinateForEver();
  }

  /** A deployment: the same stores, another description of the app. Functions that are new are fed from now on. */
  deploy(resources: AppResources): void {
    this.resources = this.counting(resources);
    this.pump.use(this.resources);
    this.pump.start(resources.app.functions.map(({ name }) => name));
  }

  async progress(): Promise<CoreProgress> {
    const splits = this.pump.progress;
    const control = await this.patiently(() => readControl(this.resources.control));
    const sum = (of: (split: SplitProgress) => number): number => splits.reduce((total, split) => total + of(split), 0);
    return {
      records: sum(({ records }) => records),
      batches: sum(({ batches }) => batches),
      invocations: sum(({ invocations }) => invocations),
      splits,
      drained: this.pump.isDrained,
      stuck: this.pump.stuck,
      phase: control?.phase ?? "RUNNING",
      generation: control?.gen ?? 1,
      epoch: control?.epoch ?? 0,
      ...(control?.checkpoint === undefined ? {} : { checkpoint: control.checkpoint }),
      checkpointsCompleted: this.completed,
      checkpointsAborted: this.aborted,
    };
  }

  /**
   * Takes a checkpoint that begins after this call, and waits for its outcome.
   * @throws TidemarkError `retry` when it was aborted, with the reason; `retry` too while a restore is under way
   */
  async checkpoint(options: CheckpointRequest = {}): Promise<CheckpointRecord> {
    const { control, clock, randomness } = this.resources;
    if (options.savepoint !== undefined) checkSavepointName(options.savepoint);
    const trigger = { ...options, token: options.token ?? randomness.token() };
    const asked = { ...trigger, after: (await this.patiently(() => readControl(control)))?.epoch ?? 0 };
    for (;;) {
      if (this.stopping) throw new TidemarkError("retry", "The engine is stopping; no checkpoint was taken.");
      await this.patiently(() => this.coordinate(trigger));
      const now = await this.patiently(() => readControl(control));
      const taken = await checkpointOutcome(this.resources, now, asked);
      if (taken !== undefined) return taken;
      await clock.sleep(POLL_MS);
    }
  }

  /**
   * Restores a checkpoint and waits until every split has been replayed and events flow again.
   * @param how.wait false: returns once the restore is recorded, which this engine then carries out
   * @throws what `requestRestore` throws; then nothing was changed
   */
  async restore(choice: RestoreChoice = {}, how: { readonly wait?: boolean } = {}): Promise<RestoreReport> {
    const { control, clock } = this.resources;
    const report = await requestRestore(this.resources, choice);
    if (how.wait === false || (report.outcome !== "started" && report.outcome !== "under-way")) return report;
    for (;;) {
      const now = await this.patiently(() => readControl(control));
      if (now?.phase === "RUNNING" && now.gen >= (report.generation ?? 0)) {
        return { ...report, outcome: now.gen === report.generation ? "finished" : "superseded" };
      }
      if (this.stopping) return { ...report, outcome: "unfinished" };
      await clock.sleep(POLL_MS);
    }
  }

  restoreStatus(): ReturnType<typeof restoreStatus> {
    return restoreStatus(this.resources);
  }

  skip(choice: SkipChoice): Promise<Skipping> {
    return skipIn(this.resources, choice);
  }

  settled(): Promise<readonly StuckSplit[]> {
    return this.pump.settled();
  }

  drained(): Promise<void> {
    return this.pump.drained();
  }

  /** Lets batches that are under way end. With `checkpoint`, takes a last one of all that was processed. */
  async stop(options: { readonly checkpoint?: boolean } = {}): Promise<void> {
    this.ending = true;
    try {
      await this.pump.stop();
      if (options.checkpoint === true) await this.checkpoint();
    } finally {
      this.stopping = true;
      await this.loop;
      await this.turn.catch(() => {});
    }
  }

  /** A step that may be repeated, until the stores answer again or the patience ends. */
  private async patiently<Answer>(step: () => Promise<Answer>): Promise<Answer> {
    const { clock } = this.resources;
    const givesUpAtMs = clock.now() + (this.options.patienceMs ?? 0);
    for (;;) {
      try {
        return await step();
      } catch (thrown) {
        const mayPass = thrown instanceof TidemarkError && thrown.kind === "retry";
        if (!mayPass || this.stopping || clock.now() >= givesUpAtMs) throw thrown;
        await clock.sleep(PATIENCE_POLL_MS);
      }
    }
  }

  private async coordinateForEver(): Promise<void> {
    const { clock } = this.resources;
    let failures = 0;
    while (!this.ending) {
      try {
        await this.coordinate(undefined);
        failures = 0;
      } catch (thrown) {
        failures += 1;
        this.options.observe({ type: "coordinator-failed", error: describeThrown(thrown) });
      }
      let leftMs = Math.min(FAILED_PAUSE_MS_MAX, this.options.coordinatorMs * 2 ** Math.min(failures, 10));
      for (; leftMs > 0 && !this.ending; leftMs -= 50) await clock.sleep(Math.min(50, leftMs));
    }
  }

  /** One invocation at a time: two would be safe, and do the same work twice. */
  private async coordinate(trigger: CheckpointRequest | undefined): Promise<void> {
    const mine = this.turn
      .catch(() => {})
      .then(async () => {
        // What was queued before a stop has nobody left to wait for it.
        if (this.stopping) return;
        const turnMs = this.pump.stuck.length > 0 ? STUCK_DEADLINE_MS : COORDINATOR_DEADLINE_MS;
        await createCoordinatorHandler(this.resources, { replay: this.options.replay, pollMs: POLL_MS })({
          deadlineMs: this.resources.clock.now() + turnMs,
          ...(trigger === undefined ? {} : { trigger }),
        });
      });
    this.turn = mine;
    await mine;
  }

  private counting(resources: AppResources): AppResources {
    return {
      ...resources,
      observe: (event) => {
        if (event.type === "checkpoint-completed") this.completed += 1;
        if (event.type === "checkpoint-aborted") this.aborted += 1;
        resources.observe(event);
      },
    };
  }
}
