/** What the processes of a history run: the production code, on the stores of its world, with its clock and its tokens. */
import type { AppDescription } from "../../shared/app/app-description.ts";
import type { AppResources } from "../../shared/app/app-resources.ts";
import { type BatchEngine, processBatch } from "../../shared/batch/process-batch.ts";
import { StateCache } from "../../shared/batch/state-cache.ts";
import { openRedriveSource } from "../../shared/dead-letter/redrive-source.ts";
import { withRedrive } from "../../shared/dead-letter/with-redrive.ts";
import { TidemarkError } from "../../shared/errors.ts";
import type { FunctionDefinition } from "../../shared/function/function-definition.ts";
import type { TidemarkEvent } from "../../shared/observer.ts";
import { DEFAULT_DECODING, type Decoding } from "../../shared/source/decoding.ts";
import type { Source, SourceRecord } from "../../shared/source/source.ts";
import type { Compression } from "../../shared/storage/compression.ts";
import { Process } from "./process.ts";
import {
  FUNCTION,
  type FunctionName,
  NEW_NAME,
  recordingFunction,
  type UserCode,
  withBrokenSchema,
} from "./recording-function.ts";
import type { Scene } from "./scene.ts";
import type { Method } from "./scheduler.ts";
import { MINUTE_MS } from "./setup.ts";
import { eventsOf, type SimulatedEvent } from "./simulated-source.ts";
import { Violation } from "./violation.ts";

/** A tenth or so of the time that a checkpoint has: the polls of a split that its last batch left in doubt. */
const OVERSLEPT_MS = 29_000;

const SEVERAL: Decoding = {
  ...DEFAULT_DECODING,
  decode: (bytes) => eventsOf(JSON.parse(Buffer.from(bytes).toString()) as SimulatedEvent),
};

/** Parts go as they are: the machine's compressor runs on threads of its own. */
const plain: Compression = {
  async *compress(lines) {
    for await (const line of lines) yield Buffer.from(line);
  },
  async *decompress(body) {
    yield* body;
  },
};

/** Names the version whose schema takes nothing. */
export const REFUSES_ALL = "refuses all";

const SLEEP: Method = { store: "clock", name: "sleep", writes: false, spell: (ms: number) => `${ms}` };

/** The function under one of its names. */
interface Code {
  /** By state version, the older one first. */
  readonly broken: readonly FunctionDefinition<never, never>[];
  readonly sound: readonly FunctionDefinition<never, never>[];
  readonly caches: readonly StateCache[];
  readonly app: AppDescription;
}

export class Invocations {
  readonly #scene: Scene;
  /** An invocation keeps the code that it began with, a zombie forever. */
  readonly #codes: ReadonlyMap<FunctionName, Code>;
  #tokens = 0;
  #names = 0;

  /** @param stateBytes - what each key's state has at least */
  constructor(scene: Scene, stateBytes: number) {
    this.#scene = scene;
    const names: FunctionName[] = scene.setup.renames ? [FUNCTION, NEW_NAME] : [FUNCTION];
    this.#codes = new Map(names.map((name) => [name, this.#codeOf(name, stateBytes)]));
  }

  #codeOf(name: FunctionName, stateBytes: number): Code {
    const { mode, retained, triesMax, maxConsecutiveDeadLetters, versions } = this.#scene.setup;
    const inEachVersion = (act: UserCode["act"]) =>
      (versions ? ([1, 2] as const) : ([1] as const)).map(
        (version) => recordingFunction({ act }, { name, version, stateBytes }) as never,
      );
    const formerly = name === FUNCTION ? {} : { previousName: FUNCTION };
    return {
      broken: inEachVersion((id, ids) => this.#misbehave(id, ids)),
      sound: inEachVersion(() => {}),
      caches: [new StateCache(), new StateCache()],
      app: {
        name: "simulated",
        functions: [{ name, ...formerly, source: "events", stateVersion: versions ? 2 : 1 }],
        checkpointing: { mode, timeoutMs: 10 * MINUTE_MS, retained },
        deadLetters: { triesMax, maxConsecutiveDeadLetters },
      },
    };
  }

  #codeFor({ functionName }: Process): Code {
    return this.#codes.get(functionName) as Code;
  }

  /** How many there have been. */
  get count(): number {
    return this.#names;
  }

  /** A process that somebody else runs. @param kind - a letter for its name: what it does */
  add(kind: string): Process {
    this.#names += 1;
    const process = new Process(`${kind}${this.#names}`, this.#scene.nowMs, this.#scene.functionName);
    this.#scene.processes.push(process);
    return process;
  }

  /** @param what - it does, for the log */
  start(kind: string, act: (process: Process) => Promise<unknown>, what: string): Process {
    const process = this.add(kind);
    this.#scene.tell?.(`${process.name}: ${what}`);
    this.#scene.scheduler.running = process;
    act(process).then(
      () => {
        process.dead = true;
        process.cameOut = true;
        this.#scene.tell?.(`${process.name}: done`);
      },
      (thrown) => this.#ended(process, thrown),
    );
    return process;
  }

  /**
   * Starts an invocation that `caller` waits for. Of one that dies or stalls it hears as of a connection that breaks; the
   * one that stalls may go on all the same.
   */
  call<Answer>(
    { caller, kind, what }: { readonly caller: Process; readonly kind: string; readonly what: string },
    act: (process: Process) => Promise<Answer>,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const process = this.start(
        kind,
        async (process) => {
          process.forsake = () => {
            caller.heard.push(`${process.name} is gone`);
            reject(new TidemarkError("retry", `nobody knows what became of ${process.name}`));
          };
          try {
            const answer = await act(process);
            caller.heard.push(`${process.name} answers`);
            resolve(answer);
          } catch (thrown) {
            caller.heard.push(`${process.name} fails`);
            reject(thrown);
            throw thrown;
          }
        },
        what,
      );
      if (process.dead) process.forsake();
    });
  }

  #ended(process: Process, thrown: unknown): void {
    if (process.dead) return;
    process.dead = true;
    this.#scene.tell?.(`${process.name}: fails with ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    if (thrown instanceof TidemarkError && thrown.kind !== "report-bug") {
      process.cameOut = thrown.message.includes("took over split");
      if (thrown.message.includes("met state of version")) this.#scene.coverage.hit("older code meets newer state");
      return;
    }
    this.#scene.failed ??=
      thrown instanceof Violation
        ? thrown
        : new Violation(`${process.name} failed: ${(thrown as Error)?.stack ?? thrown}`);
  }

  fold(process: Process, split: string, records: readonly SourceRecord[]) {
    return processBatch(this.engine(process), {
      ...{ split, records, role: { phase: "RUNNING" } },
      deadlineMs: Number.POSITIVE_INFINITY,
    });
  }

  engine(process: Process): BatchEngine {
    const older = this.#scene.setup.versions && !this.#scene.repaired && this.#scene.choices.chance(0.4);
    const refuses = this.#scene.setup.brokenSchemas && !this.#scene.repaired && this.#scene.choices.chance(0.4);
    const { broken, sound, caches } = this.#codeFor(process);
    const definitions = this.#scene.repaired ? sound : broken;
    const taking = definitions[older ? 0 : definitions.length - 1] as FunctionDefinition<never, never>;
    const definition = refuses ? withBrokenSchema(taking) : taking;
    if (older) this.#scene.coverage.hit("older code beside newer");
    if (refuses) this.#scene.coverage.hit("a schema that refuses everything");
    const version = refuses ? REFUSES_ALL : this.#scene.repaired ? "repaired" : older ? "older" : "first";
    const resources = { ...this.resources(process), codeVersion: () => version };
    const { retentionMs } = this.#scene.source;
    return {
      resources,
      definition: definition as never,
      source: resources.sourceOf(process.functionName),
      ...(this.#scene.setup.splits.some(({ more }) => more !== undefined) ? { decoding: SEVERAL } : {}),
      ...(retentionMs === undefined ? {} : { retentionMs }),
      ...(this.#scene.setup.caches && !older ? { cache: caches[this.#scene.choices.below(2)] as StateCache } : {}),
    };
  }

  resources(process: Process): AppResources {
    const clock = { now: () => this.#scene.nowMs, sleep: (ms: number) => this.#sleep(process, ms) };
    const randomness = { fraction: () => 0.5, token: () => this.#token(process) };
    const stores = this.#scene.stores.open(process, { clock, randomness });
    const source = this.#sourceOf(process, stores.storage);
    const { partItemsMax } = this.#scene.setup;
    return {
      app: this.#codeFor(process).app,
      ...stores,
      sourceOf: () => source,
      ...{ clock, randomness },
      observe: (event) => this.#observe(process, event),
      compression: plain,
      ...(partItemsMax === undefined ? {} : { partItemsMax }),
    };
  }

  kill(process: Process): void {
    if (process.dead) return;
    this.#scene.scheduler.kill(process);
    this.#scene.tell?.(`${process.name} is dead`);
  }

  #token(process: Process): string {
    if (this.#scene.explorer === undefined) return `t${++this.#tokens}`;
    process.tokens += 1;
    return `${process.name}t${process.tokens}`;
  }

  #sourceOf(process: Process, storage: AppResources["storage"]): Source {
    const own = this.#scene.source.open(process, this.#scene.scheduler);
    if (this.#scene.setup.redrives === 0) return own;
    const clock = { now: () => this.#scene.nowMs, sleep: (ms: number) => this.#sleep(process, ms) };
    return withRedrive(
      own,
      openRedriveSource({ storage, functionName: process.functionName, original: own.events, clock }),
    );
  }

  /** Whoever sleeps until a time has slept when its turn comes: time goes on with it. */
  #sleep(process: Process, ms: number): Promise<void> {
    const untilMs = this.#scene.nowMs + ms;
    const run = async (): Promise<void> => {
      // Whoever is alone with what the faults left behind would look again and again at what nothing changes but time.
      const alone =
        this.#scene.faultless && this.#scene.scheduler.waiting.length + this.#scene.scheduler.late.length === 0;
      this.#scene.nowMs = Math.max(this.#scene.nowMs, untilMs) + (alone ? OVERSLEPT_MS : 0);
    };
    return this.#scene.scheduler.call(process, SLEEP, run, ms);
  }

  #observe(process: Process, event: TidemarkEvent): void {
    this.#scene.coverage.event(event);
    this.#scene.tell?.(`${process.name}: * ${JSON.stringify(event)}`);
  }

  /** What `handle` does before it folds, in the code from before the repair. */
  #misbehave(id: string, ids: string): void {
    if (this.#scene.setup.killers.has(id) && this.#scene.scheduler.running !== undefined) {
      this.#scene.coverage.hit("handle kills its process");
      this.kill(this.#scene.scheduler.running);
      throw new Error(`killed by ${id}`);
    }
    if (this.#scene.setup.poison.has(id)) throw new Error(`cannot fold ${id}`);
    const isRival =
      this.#scene.setup.rivals.has(id) && ids.split(" ").some((other) => other !== "" && other[0] !== id[0]);
    if (!isRival) return;
    this.#scene.coverage.hit("a record fails over what another split has written");
    throw new Error(`cannot fold ${id} over ${ids}`);
  }
}
