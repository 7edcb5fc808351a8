/** A worker process, as its supervisor sees it. */
import type { ChildProcess } from "node:child_process";
import type { AppDescription } from "../../shared/app/app-description.ts";
import type { RequestCounts } from "../../shared/dynamodb/request-meter.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { receiveError } from "../call-codec.ts";
import type { EngineObserver } from "../engine-event.ts";
import { forkModule } from "../fork-module.ts";
import { LOAD_MS, tooSlow } from "../load-app.ts";
import type { SupervisorSays, WorkerSays, WorkerSettings } from "./worker-messages.ts";

/** What the app module says of itself. */
export interface LoadedApp {
  readonly app: AppDescription;
  readonly sources: { readonly [name: string]: string };
}

/**
 * A heap engine makes garbage as fast as it folds. With a nursery of 64 MB instead of 16 the collector runs a quarter as
 * often, which takes a fifth off every event (bench/); it costs up to 150 MB of memory.
 */
export const HEAP_NODE_FLAGS = ["--max-semi-space-size=64"];

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

type Question = SupervisorSays extends infer Says
  ? Says extends { readonly id: number }
    ? Omit<Says, "id">
    : never
  : never;

export class Worker {
  readonly pid: number;
  /** Resolves with how the process ended: a signal's name or an exit code. */
  readonly ended: Promise<string>;
  /** DynamoDB requests of this worker so far. */
  counts: RequestCounts | undefined;
  /** A heap's: what it folded is in a checkpoint, so that the next process goes on behind it. */
  gotFurther = false;
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private readonly observe: EngineObserver;
  private started: { resolve: (message: WorkerSays) => void; reject: (error: Error) => void } | undefined;
  private next = 1;
  private end: string | undefined;
  /** Why the process ends by itself, once it has said so. */
  private why: string | undefined;
  private readonly lastAnswers: (() => void)[] = [];
  private failure: Error | undefined;

  /** @param entry the worker's module: an event worker, or the one that holds a heap engine */
  constructor(entry: "./worker-process" | "./heap-worker-process", observe: EngineObserver) {
    this.observe = observe;
    this.child = forkModule(entry, import.meta.url, [], {
      // What the app prints is no result of the command.
      stdio: ["ignore", 2, 2, "ipc"],
      execArgv: entry === "./heap-worker-process" ? HEAP_NODE_FLAGS : [],
    });
    this.pid = this.child.pid ?? 0;
    this.child.on("message", (message) => this.hear(message as WorkerSays));
    this.ended = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => resolve(this.close(signal ?? `exit code ${code}`)));
      this.child.once("error", (error) => resolve(this.close(error.message)));
    });
  }

  get hasEnded(): boolean {
    return this.end !== undefined;
  }

  /**
   * Imports the user's code, in so many ms at the most.
   * @throws TidemarkError of `loadApp`, also when the module ends the process
   */
  async load(appModule: string, loadMs = LOAD_MS): Promise<LoadedApp> {
    let late = false;
    const alarm = setTimeout(() => {
      late = true;
      this.kill("SIGKILL");
    }, loadMs);
    const said = await this.start({ type: "load", appModule })
      .catch((thrown: unknown) => {
        if (late) throw tooSlow(appModule, loadMs);
        throw this.end === undefined || this.failure !== undefined ? thrown : endedIn(appModule, this.end);
      })
      .finally(() => clearTimeout(alarm));
    if (said.type === "loaded") return said;
    throw new TidemarkError("report-bug", `A worker answered ${said.type} when it was told to load the app.`);
  }

  /** Opens stores and sources; afterwards the worker can be invoked. */
  async open(settings: WorkerSettings, options?: unknown): Promise<void> {
    await this.start({ type: "open", settings, options });
  }

  /** Asks, and rejects when the process dies before it has answered. */
  ask(question: Question): Promise<unknown> {
    if (this.end !== undefined) return Promise.reject(died(this.pid, this.end));
    const id = this.next++;
    return new Promise((resolve, reject) => {
      // It throws when the question holds what cannot be sent.
      this.say({ ...question, id });
      this.waiting.set(id, { resolve, reject });
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Lets the process go: it ends by itself when nobody listens to it any more. */
  async stop(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    await this.ended;
  }

  private start(message: SupervisorSays): Promise<WorkerSays> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.end !== undefined) return Promise.reject(died(this.pid, this.end));
    return new Promise((resolve, reject) => {
      this.started = { resolve, reject };
      this.say(message);
    });
  }

  private say(message: SupervisorSays): void {
    // A process that died meanwhile is reported by its exit.
    this.child.send(message, () => {});
  }

  private hear(message: WorkerSays): void {
    switch (message.type) {
      case "loaded":
      case "ready":
        this.started?.resolve(message);
        return;
      case "failed":
        this.failure ??= receiveError(message.error);
        this.started?.reject(this.failure);
        return;
      case "event":
        this.observe(message.event);
        return;
      case "got-further":
        this.gotFurther = true;
        return;
      case "ends":
        this.why = message.why;
        return;
      default: {
        if (message.counts !== undefined) this.counts = message.counts;
        const waiting = this.waiting.get(message.id);
        this.waiting.delete(message.id);
        const answer = (): void => {
          if (message.type === "answer") waiting?.resolve(message.answer);
          else waiting?.reject(receiveError(message.error));
        };
        // Who gets the answer of a process that ends might ask that process again.
        if (this.why === undefined) answer();
        else this.lastAnswers.push(answer);
      }
    }
  }

  private close(code: string): string {
    const how = this.why === undefined ? code : `${code}: ${this.why}`;
    this.end = how;
    for (const answer of this.lastAnswers.splice(0)) answer();
    const error = died(this.pid, how);
    this.started?.reject(error);
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
    return how;
  }
}

function endedIn(appModule: string, how: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The app module ${appModule} ended its process (${how}) while it was loaded. A module of an app only defines it: take out what ends the process (process.exit), there and in what it imports.`,
  );
}

function died(pid: number, how: string): TidemarkError {
  return new TidemarkError("retry", `The worker (pid ${pid}) ended with ${how} before it had answered.`);
}
