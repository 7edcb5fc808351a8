/** The engine on a heap: in a process of its own, which may be killed and is started again, or in the caller's. */
import path from "node:path";
import { describeApp } from "../shared/app/app-description.ts";
import { sourceUrls } from "../shared/app/source-options.ts";
import type { Skipping } from "../shared/dead-letter/skip.ts";
import { systemClock } from "../shared/environment.ts";
import { describeThrown, TidemarkError } from "../shared/errors.ts";
import type { RestoreReport } from "../shared/restore/restore-report.ts";
import type { RestoreStatus } from "../shared/restore/status.ts";
import { codeVersionOf } from "./code-version.ts";
import type { Engine, EngineProgress, StartedOptions } from "./engine.ts";
import type { CoreProgress } from "./engine-core.ts";
import { HeapCore, type HeapCoreOptions } from "./heap-core.ts";
import { loadApp } from "./load-app.ts";
import type { StuckSplit } from "./pump/pump.ts";
import type { KeyState, StatePage } from "./read-states.ts";
import { Worker } from "./worker/worker.ts";
import type { WorkerSettings } from "./worker/worker-messages.ts";
import { homeSettings, workerSettings } from "./worker-settings.ts";

const PLACE = { backend: "heap", dynamodb: "aws" } as const;
const RELAUNCH_MS = 500;
/** An app that cannot be loaded so often in a row will not be, unless somebody mends it. */
const LAUNCHES_MAX = 3;
/**
 * So often in a row a process that got no further may end by itself: as often as a record is tried. The tries of a record are on
 * the heap that ended with it, so that none of them would be the last.
 */
const DEATHS_MAX = 10;
/** The longest pause between such ends, in ms, where nobody wants the run to end for them. */
const DEATH_PAUSE_MS_MAX = 30_000;
/** Somebody else ended it, which says nothing about the app. */
const KILLS: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"]);

export async function startHeapEngine(options: StartedOptions): Promise<Engine> {
  if (options.inProcess === true) return startInProcess(options);
  const engine = new HeapProcessEngine(options);
  await engine.start();
  return engine;
}

const coreOptions = ({
  batchRecords,
  batchWindowMs,
  invocationMs,
  allowEmpty = false,
  pauses,
}: StartedOptions): HeapCoreOptions => ({
  batchRecords,
  batchWindowMs,
  invocationMs,
  allowEmpty,
  ...(pauses === undefined ? {} : { pauses }),
});

async function startInProcess(options: StartedOptions): Promise<Engine> {
  const startedAtMs = systemClock.now();
  const app = options.app ?? (await loadApp(options.appModule ?? "", options));
  const codeVersion = options.appModule === undefined ? undefined : codeVersionOf(options.appModule);
  let settings = workerSettings({ app: describeApp(app), sources: sourceUrls(app) }, options, PLACE);
  const heap = await HeapCore.start({ app, codeVersion }, settings, coreOptions(options), options.observe);
  options.home_.writeSettings(homeSettings(settings, options, options.appModule));
  const { core } = heap;
  return {
    home: options.home_,
    storageUrl: options.storageUrl,
    get app() {
      return settings.app;
    },
    progress: async () => ({
      ...(await core.progress()),
      backend: "heap",
      milliseconds: systemClock.now() - startedAtMs,
      workers: [],
    }),
    checkpoint: (given) => core.checkpoint(given),
    restore: (choice, how) => core.restore(choice, how),
    restoreStatus: () => core.restoreStatus(),
    skip: (choice) => core.skip(choice),
    settled: () => core.settled(),
    drained: () => core.drained(),
    killWorker: async () => {
      throw new TidemarkError(
        "fix-configuration",
        "The engine runs in this very process; there is no worker to kill. Leave inProcess out.",
      );
    },
    async redeploy(appModule) {
      const next = await loadApp(appModule, options);
      settings = workerSettings(
        { app: describeApp(next), sources: sourceUrls(next) },
        { ...options, appModule },
        PLACE,
      );
      heap.deploy({ app: next, codeVersion: codeVersionOf(appModule) });
      options.home_.writeSettings(homeSettings(settings, options, appModule));
    },
    state: (functionName, key) => heap.state(functionName, key),
    statePage: (functionName, cursor) => heap.statePage(functionName, cursor),
    stop: (how) => heap.stop(how),
  };
}

class HeapProcessEngine implements Engine {
  readonly home;
  readonly storageUrl: string;
  private readonly options: StartedOptions;
  private readonly startedAtMs = systemClock.now();
  private appModule: string;
  private settings: WorkerSettings | undefined;
  /** The worker that is up, or coming up. */
  private worker: Promise<Worker> | undefined;
  private pid = 0;
  /** Processes in a row that ended by themselves and got no further. */
  private deaths = 0;
  private stopping = false;

  constructor(options: StartedOptions) {
    this.options = options;
    this.home = options.home_;
    this.storageUrl = options.storageUrl;
    this.appModule = options.appModule ?? "";
  }

  async start(): Promise<void> {
    this.worker = this.launch(this.appModule);
    await this.worker;
  }

  get app() {
    if (this.settings === undefined) throw new Error("The engine has not started.");
    return this.settings.app;
  }

  async progress(): Promise<EngineProgress> {
    return {
      ...((await this.callThrough("progress")) as CoreProgress),
      backend: "heap",
      milliseconds: systemClock.now() - this.startedAtMs,
      workers: [{ pid: this.pid, busy: true }],
    };
  }

  checkpoint: Engine["checkpoint"] = async (given) =>
    (await this.call("checkpoint", given)) as Awaited<ReturnType<Engine["checkpoint"]>>;

  restore: Engine["restore"] = async (choice = {}, how = {}) => {
    // A function cannot be sent; progress is asked for with restoreStatus.
    const { onProgress: _left, ...sent } = choice;
    return (await this.call("restore", sent, how)) as RestoreReport;
  };

  restoreStatus: Engine["restoreStatus"] = async () => (await this.callThrough("restoreStatus")) as RestoreStatus;

  skip: Engine["skip"] = async (choice) => (await this.call("skip", choice)) as Skipping;

  settled: Engine["settled"] = async () => (await this.callThrough("settled")) as readonly StuckSplit[];

  drained: Engine["drained"] = async () => void (await this.callThrough("drained"));

  state: Engine["state"] = async (functionName, key) =>
    (await this.callThrough("state", functionName, key)) as KeyState | undefined;

  statePage: Engine["statePage"] = async (functionName, cursor) =>
    (await this.callThrough("statePage", functionName, cursor)) as StatePage;

  killWorker: Engine["killWorker"] = async (signal = "SIGKILL") => {
    const worker = await this.worker;
    worker?.kill(signal);
    return worker?.pid;
  };

  /** Takes a checkpoint, so that the new version has little to replay; the new process restores it. */
  async redeploy(appModule: string): Promise<void> {
    const old = await this.worker;
    let swap: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      swap = resolve;
    });
    const previous = this.appModule;
    this.worker = ready.then(() => this.launch(appModule));
    this.worker.catch(() => {});
    await old?.ask({ type: "call", method: "stop", arguments: [{ checkpoint: true }] }).catch(() => {});
    await old?.stop();
    swap();
    try {
      await this.worker;
      this.appModule = appModule;
    } catch (thrown) {
      this.worker = this.relaunch(previous);
      throw thrown;
    }
  }

  async stop(how?: { readonly checkpoint?: boolean }): Promise<void> {
    this.stopping = true;
    const worker = await this.worker?.catch(() => undefined);
    try {
      await worker?.ask({ type: "call", method: "stop", arguments: [how] });
    } catch (thrown) {
      // One that died has stopped as well; only the checkpoint that was asked for is missed.
      if (worker?.hasEnded !== true || how?.checkpoint === true) throw thrown;
    } finally {
      await worker?.stop();
    }
  }

  /** What a method answers; rejects when the process dies meanwhile: nobody knows what was done. */
  private async call(method: string, ...given: readonly unknown[]): Promise<unknown> {
    const worker = await this.worker;
    if (worker === undefined) throw new Error("The engine has not started.");
    return worker.ask({ type: "call", method, arguments: given });
  }

  /** The same for questions, which change nothing: asked again of the next process. */
  private async callThrough(method: string, ...given: readonly unknown[]): Promise<unknown> {
    for (;;) {
      const worker = await this.worker;
      try {
        return await this.call(method, ...given);
      } catch (thrown) {
        if (worker?.hasEnded !== true || this.stopping) throw thrown;
        await systemClock.sleep(10);
      }
    }
  }

  private async launch(appModule: string): Promise<Worker> {
    const startedAtMs = systemClock.now();
    const worker = new Worker("./heap-worker-process", this.options.observe);
    try {
      const loaded = await worker.load(path.resolve(appModule), this.options.loadMs);
      const settings = workerSettings(loaded, { ...this.options, appModule }, PLACE);
      await worker.open(settings, coreOptions(this.options));
      this.settings = settings;
      this.home.writeSettings(homeSettings(settings, this.options, appModule));
    } catch (thrown) {
      await worker.stop();
      throw thrown;
    }
    this.pid = worker.pid;
    this.options.observe({ type: "worker-started", pid: worker.pid, milliseconds: systemClock.now() - startedAtMs });
    void worker.ended.then(async (how) => {
      const current = await Promise.race([this.worker, undefined]).catch(() => undefined);
      const replaced = this.stopping || current !== worker;
      this.options.observe({ type: "worker-ended", pid: worker.pid, how, expected: replaced });
      if (replaced) return;
      this.countDeath(worker, how);
      this.worker =
        this.deaths >= DEATHS_MAX && !this.waits ? Promise.reject(keepsDying(how)) : this.relaunch(appModule);
      // Whoever asks next is told.
      this.worker.catch(() => {});
    });
    return worker;
  }

  private get waits(): boolean {
    return this.options.keepRunning === true;
  }

  private countDeath({ gotFurther }: Worker, how: string): void {
    if (gotFurther) this.deaths = 0;
    if (!KILLS.has(how)) this.deaths += 1;
  }

  private async relaunch(appModule: string): Promise<Worker> {
    const deathsBeyond = this.deaths - DEATHS_MAX;
    if (deathsBeyond >= 0) await systemClock.sleep(Math.min(RELAUNCH_MS * 2 ** deathsBeyond, DEATH_PAUSE_MS_MAX));
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.launch(appModule);
      } catch (thrown) {
        const isRetried = !(thrown instanceof TidemarkError) || thrown.kind === "retry";
        const isLasting = failures >= (isRetried ? DEATHS_MAX : LAUNCHES_MAX);
        if (this.stopping || (isLasting && !this.waits)) throw thrown;
        this.options.observe({ type: "worker-ended", pid: 0, how: describeThrown(thrown), expected: false });
        await systemClock.sleep(RELAUNCH_MS);
      }
    }
  }
}

function keepsDying(how: string): TidemarkError {
  return new TidemarkError(
    "fix-function",
    `The process that runs the app ended by itself ${DEATHS_MAX} times in a row and got no further (the last time: ${how}). Most likely a record makes the app's code end it: ` +
      "a rejection that nobody handles, process.exit, a change of the language's own objects, more memory than there is. Mend that and run again: it goes on from the latest checkpoint. " +
      "With --backend dynamodb, in a home of its own, the record is named and becomes a dead letter.",
  );
}
