/**
 * The workers of an engine: invocations wait for one that is free, one that dies is replaced, and a deployment replaces
 * all of them without losing an invocation.
 */
import { availableParallelism } from "node:os";
import pMap from "p-map";
import type { Clock } from "../../shared/environment.ts";
import { describeThrown, TidemarkError } from "../../shared/errors.ts";
import type { EngineObserver } from "../engine-event.ts";
import type { Worker } from "./worker.ts";

export interface Invocation {
  readonly function: string;
  readonly event: unknown;
}

export interface WorkerPoolOptions {
  readonly workers: number;
  /** Starts a worker and makes it ready. */
  readonly launch: () => Promise<Worker>;
  readonly clock: Clock;
  readonly observe: EngineObserver;
  /** How long one invocation may take, in ms; a worker that takes longer is killed, as on Lambda. */
  readonly invocationMs: number;
}

/** Folding stops so long before an invocation's end, so that what was done can be written down. */
const MARGIN_MS = 5_000;
const RELAUNCH_MS = 500;
/** A worker loads for a second or two with a processor of its own. */
const LAUNCHES_AT_A_TIME = Math.max(2, availableParallelism());

interface Seat {
  worker: Worker | undefined;
  busy: boolean;
}

export class WorkerPool {
  private readonly options: WorkerPoolOptions;
  private launch: () => Promise<Worker>;
  private readonly seats: Seat[] = [];
  private readonly queue: { readonly resolve: (seat: Seat) => void; readonly reject: (error: Error) => void }[] = [];
  /** Seats that a deployment waits for. */
  private readonly reserved = new Map<Seat, () => void>();
  private stopping = false;
  /** Requests of the workers that have ended, for the figures. */
  readonly retired: Worker[] = [];

  constructor(options: WorkerPoolOptions) {
    this.options = options;
    this.launch = options.launch;
  }

  /** @throws what the first launch throws: an app that cannot be loaded never starts */
  async start(): Promise<void> {
    for (const worker of await this.launchAll(this.launch)) {
      const seat: Seat = { worker: undefined, busy: true };
      this.sit(seat, worker);
      this.seats.push(seat);
    }
    for (const seat of this.seats) this.free(seat);
  }

  get workers(): readonly { readonly pid: number; readonly busy: boolean }[] {
    return this.seats.flatMap(({ worker, busy }) => (worker === undefined ? [] : [{ pid: worker.pid, busy }]));
  }

  get all(): readonly Worker[] {
    return [...this.retired, ...this.seats.flatMap(({ worker }) => worker ?? [])];
  }

  /** Invokes a function on the next free worker; rejects when that one dies, or none can be started any more. */
  async invoke({ function: functionName, event }: Invocation): Promise<unknown> {
    const seat = await this.take();
    const worker = seat.worker as Worker;
    const { clock, invocationMs } = this.options;
    const endsAtMs = clock.now() + invocationMs;
    const alarm = setTimeout(() => worker.kill("SIGKILL"), invocationMs);
    try {
      const deadlineMs = endsAtMs - Math.min(MARGIN_MS, invocationMs / 2);
      return await worker.ask({ type: "invoke", function: functionName, event, deadlineMs });
    } finally {
      clearTimeout(alarm);
      // One that ended is replaced first.
      if (seat.worker === worker && !worker.hasEnded) this.free(seat);
    }
  }

  /**
   * Kills a worker, one in the middle of an invocation if there is one; it is replaced.
   * @returns its pid, or undefined when no worker is up just now
   */
  kill(signal: NodeJS.Signals): number | undefined {
    const seat =
      this.seats.find(({ worker, busy }) => busy && worker !== undefined) ?? this.seats.find(({ worker }) => worker);
    seat?.worker?.kill(signal);
    return seat?.worker?.pid;
  }

  /**
   * Replaces every worker once it is free. What was being handled ends on the old one.
   * @throws what a launch throws; then nothing was replaced
   */
  async redeploy(launch: () => Promise<Worker>): Promise<void> {
    const fresh = await this.launchAll(launch);
    this.launch = launch;
    await Promise.all(
      this.seats.map(async (seat, index) => {
        await this.takeSeat(seat);
        const old = seat.worker;
        seat.worker = undefined;
        if (old !== undefined) {
          this.retired.push(old);
          await old.stop();
        }
        this.sit(seat, fresh[index] as Worker);
        this.free(seat);
      }),
    );
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(
      this.seats.map(async (seat) => {
        const { worker } = seat;
        seat.worker = undefined;
        if (worker !== undefined) {
          this.retired.push(worker);
          await worker.stop();
        }
      }),
    );
  }

  /** As many as there are to be, or none. @throws what a launch throws, when those that came up have ended again */
  private async launchAll(launch: () => Promise<Worker>): Promise<Worker[]> {
    const launched = await pMap(
      Array.from({ length: this.options.workers }, (_, index) => index),
      () => settled(this.launchTimed(launch)),
      { concurrency: LAUNCHES_AT_A_TIME },
    );
    const failed = launched.find((result) => result.status === "rejected");
    const fresh = launched.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    if (failed === undefined) return fresh;
    // One that nobody stops would keep this process alive for ever.
    await Promise.all(fresh.map((worker) => worker.stop()));
    throw failed.reason;
  }

  private async launchTimed(launch: () => Promise<Worker> = this.launch): Promise<Worker> {
    const startedAtMs = this.options.clock.now();
    const worker = await launch();
    this.options.observe({
      type: "worker-started",
      pid: worker.pid,
      milliseconds: this.options.clock.now() - startedAtMs,
    });
    return worker;
  }

  private sit(seat: Seat, worker: Worker): void {
    seat.worker = worker;
    void worker.ended.then((how) => {
      const expected = seat.worker !== worker;
      this.options.observe({ type: "worker-ended", pid: worker.pid, how, expected });
      if (expected || this.stopping) return;
      this.retired.push(worker);
      seat.worker = undefined;
      seat.busy = true;
      void this.replace(seat);
    });
  }

  /** Tries until a worker is up: the app may be broken now and repaired by the next deployment. */
  private async replace(seat: Seat): Promise<void> {
    while (!this.stopping) {
      try {
        const worker = await this.launchTimed();
        if (this.stopping) return void (await worker.stop());
        this.sit(seat, worker);
        return this.free(seat);
      } catch (thrown) {
        this.options.observe({ type: "worker-ended", pid: 0, how: describeThrown(thrown), expected: false });
        if (thrown instanceof TidemarkError && thrown.kind !== "retry") this.refuseWaiting(thrown);
        await this.options.clock.sleep(RELAUNCH_MS);
      }
    }
  }

  /** Who waits is told why nobody comes, and asks again: the app cannot be loaded any more. */
  private refuseWaiting(why: TidemarkError): void {
    if (this.seats.some(({ worker }) => worker !== undefined)) return;
    for (const { reject } of this.queue.splice(0)) reject(why);
  }

  private take(): Promise<Seat> {
    if (this.stopping) return Promise.reject(new TidemarkError("retry", "The engine is stopping."));
    const seat = this.seats.find(({ busy, worker }) => !busy && worker !== undefined);
    if (seat === undefined) return new Promise((resolve, reject) => this.queue.push({ resolve, reject }));
    seat.busy = true;
    return Promise.resolve(seat);
  }

  /** That very seat, before anybody who waits for any. */
  private async takeSeat(seat: Seat): Promise<void> {
    if (seat.busy) await new Promise<void>((resolve) => this.reserved.set(seat, resolve));
    seat.busy = true;
  }

  private free(seat: Seat): void {
    const reserved = this.reserved.get(seat);
    if (reserved !== undefined) {
      this.reserved.delete(seat);
      reserved();
      return;
    }
    const next = this.queue.shift();
    seat.busy = next !== undefined;
    next?.resolve(seat);
  }
}

async function settled<Answer>(promise: Promise<Answer>): Promise<PromiseSettledResult<Answer>> {
  const [result] = await Promise.allSettled([promise]);
  return result;
}
