/**
 * An app on heap stores, with as many processes as a test wants, for tests that try to break the protocol. State is the
 * list of event ids folded into a key: a loss, a repeat or a wrong order shows at once.
 *
 * Records are written as text, a letter a record: `"aab"` are events of the keys a, a and b; a capital letter clears its
 * key; `!` is refused by the schema. Record `n` of split `s` has the id `s<n>`. Where records are of `several` events,
 * those of one record stand in brackets: `"a(ab)()"` are records of one, two and no events, `s1`, `s2.1`, `s2.2`.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { AppDescription, FunctionDescription } from "../../shared/app/app-description.ts";
import type { AppResources } from "../../shared/app/app-resources.ts";
import type { CheckpointingMode } from "../../shared/app/define-app.ts";
import { type BatchEngine, type BatchResult, processBatch } from "../../shared/batch/process-batch.ts";
import { replaySplit } from "../../shared/batch/replay-split.ts";
import type { StateCache } from "../../shared/batch/state-cache.ts";
import {
  type CoordinatorOptions,
  type CoordinatorReport,
  runCoordinator,
} from "../../shared/checkpoint/coordinator.ts";
import type { Control } from "../../shared/control/control.ts";
import { readControl } from "../../shared/control/control-steps.ts";
import { HeapControlStore } from "../../shared/control/heap/heap-control-store.ts";
import type { Split } from "../../shared/control/split.ts";
import { listSplits, readSplit } from "../../shared/control/split-steps.ts";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { redrive } from "../../shared/dead-letter/redrive.ts";
import { openRedriveSource } from "../../shared/dead-letter/redrive-source.ts";
import { withRedrive } from "../../shared/dead-letter/with-redrive.ts";
import type { Clock } from "../../shared/environment.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { defineFunction } from "../../shared/function/define-function.ts";
import type { FunctionDefinition } from "../../shared/function/function-definition.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import type { TidemarkEvent } from "../../shared/observer.ts";
import { askForRestore } from "../../shared/restore/ask-for-restore.ts";
import { type CarryOnOptions, carryOnRestore } from "../../shared/restore/carry-on.ts";
import { type RestoreChoice, requestRestore } from "../../shared/restore/restore.ts";
import type { RestoreReport } from "../../shared/restore/restore-report.ts";
import {
  type CoordinatorHandlerOptions,
  type CoordinatorInvocation,
  createCoordinatorHandler,
} from "../../shared/runtime/coordinator-handler.ts";
import { DEFAULT_DECODING, type Decoding } from "../../shared/source/decoding.ts";
import type { Source, SourceRecord } from "../../shared/source/source.ts";
import { HeapStateBackend } from "../../shared/state/heap/heap-state-backend.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { FaultyProcess, type Stores } from "./faulty-stores.ts";
import { at, ListSource, type ListSplit, numberAt } from "./list-source.ts";
import { SeededRandomness } from "./seeded-randomness.ts";

export const START_MS = Date.parse("2026-01-01T00:00:00Z");
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
const ROUNDS_MAX = 400;

/** Virtual time: who sleeps moves it on. What is planned for the sleeps runs meanwhile, one piece a sleep. */
export class ManualClock implements Clock {
  ms = START_MS;
  readonly slept: number[] = [];
  readonly planned: (() => Promise<unknown>)[] = [];
  now(): number {
    return this.ms;
  }
  async sleep(ms: number): Promise<void> {
    this.slept.push(ms);
    this.ms += ms;
    await this.planned.shift()?.();
  }
}

export interface TestEvent {
  readonly key: string;
  readonly id: string;
  readonly clear: boolean;
}

export interface LogState {
  readonly log: readonly string[];
}

const eventSchema: StandardSchemaV1<unknown, TestEvent> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value) => {
      const event = value as Partial<TestEvent>;
      if (typeof event?.key === "string") return { value: event as TestEvent };
      return { issues: [{ message: "a key is required", path: ["key"] }] };
    },
  },
};

/** What the user's code does at which records, besides folding them. */
export interface Behaviour {
  /** Ids of events that `handle` throws at. */
  readonly poison?: ReadonlySet<string> | readonly string[];
  /** Ids of events that `handle` throws at over a state that another split has come into. */
  readonly rivals?: readonly string[];
  /** Ids of events that kill the process in `handle`. */
  readonly killers?: readonly string[];
  /** Ids of events that kill the process in the key selector. */
  readonly keyKillers?: readonly string[];
}

export interface WorldOptions {
  readonly seed?: number;
  readonly mode?: CheckpointingMode;
  readonly triesMax?: number;
  readonly maxConsecutiveDeadLetters?: number;
  readonly retained?: number;
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
  readonly functions?: readonly string[];
  /** The source has a `decode`: see above. @default false */
  readonly several?: boolean;
  readonly stores?: Partial<Stores>;
}

export interface On {
  readonly process?: FaultyProcess;
}

export interface DeliverOptions extends On {
  readonly function?: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests bring functions of any event and state
  readonly definition?: FunctionDefinition<any, any>;
  readonly cache?: StateCache;
  readonly deadlineMs?: number;
}

export class TestWorld {
  readonly clock = new ManualClock();
  readonly source = new ListSource();
  readonly randomness: SeededRandomness;
  readonly stores: Stores;
  readonly events: TidemarkEvent[] = [];
  readonly main: FaultyProcess;
  behaviour: Behaviour = {};
  /** Names the code that takes the records. */
  version = "v1";
  app: AppDescription;
  readonly decoding: Decoding;

  constructor(options: WorldOptions = {}) {
    this.decoding = options.several
      ? { ...DEFAULT_DECODING, decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) }
      : DEFAULT_DECODING;
    this.randomness = new SeededRandomness(options.seed ?? 1);
    this.stores = {
      control: new HeapControlStore(),
      state: new HeapStateBackend({ pageItems: 2 }),
      storage: new MemoryCheckpointStorage(),
      ...options.stores,
    };
    this.main = this.start();
    this.app = {
      name: "test-app",
      functions: (options.functions ?? ["log"]).map((name) => ({ name, source: "letters", stateVersion: 1 })),
      checkpointing: {
        mode: options.mode ?? "exactly-once",
        timeoutMs: options.timeoutMs ?? 600_000,
        retained: options.retained ?? 10,
        ...(options.intervalMs === undefined ? {} : { intervalMs: options.intervalMs }),
      },
      deadLetters: {
        triesMax: options.triesMax ?? 3,
        maxConsecutiveDeadLetters: options.maxConsecutiveDeadLetters ?? 100,
      },
    };
  }

  start(plan?: ConstructorParameters<typeof FaultyProcess>[1]): FaultyProcess {
    return new FaultyProcess(this.stores, plan);
  }

  /** Adds a split, or appends to it. */
  split(split: string, letters: string, more: Partial<ListSplit> = {}): void {
    const known = this.source.splits.get(split);
    const first = (known?.values.length ?? 0) + 1;
    const values =
      this.decoding.decode === undefined
        ? [...letters].map((letter, index) => eventOf(split, first + index, letter))
        : recordsOf(letters).map((record, index) => eventsOf(split, first + index, record));
    if (known === undefined) this.source.add(split, values, more);
    else known.values.push(...values);
  }

  describe(name: string, more: Partial<FunctionDescription>): void {
    const functions = this.app.functions.map((one) => (one.name === name ? { ...one, ...more } : one));
    this.app = { ...this.app, functions };
  }

  resources(process: FaultyProcess = this.main): AppResources {
    return {
      app: this.app,
      ...process.stores,
      sourceOf: (name) => this.sourceOf(name, process),
      clock: this.clock,
      randomness: this.randomness,
      observe: (event) => void this.events.push(event),
      codeVersion: () => this.version,
    };
  }

  sourceOf(functionName: string, process: FaultyProcess = this.main): Source {
    const { storage } = process.stores;
    const original = this.source.events;
    return withRedrive(this.source, openRedriveSource({ storage, functionName, original, clock: this.clock }));
  }

  /** The function that records what it folds. */
  definition(name: string, process: FaultyProcess): FunctionDefinition<TestEvent, LogState> {
    return logFunction(
      name,
      (id, log) => this.#act(id, log, process),
      (id) => this.#kill(id, process, this.behaviour.keyKillers),
    );
  }

  engine(options: DeliverOptions = {}): BatchEngine {
    const process = options.process ?? this.main;
    const name = options.definition?.name ?? options.function ?? this.app.functions[0]?.name ?? "log";
    const { retention } = this.source;
    return {
      resources: this.resources(process),
      definition: options.definition ?? this.definition(name, process),
      source: this.sourceOf(name, process),
      decoding: this.decoding,
      ...(retention === undefined ? {} : { retentionMs: retention }),
      ...(options.cache === undefined ? {} : { cache: options.cache }),
    };
  }

  #act(id: string, log: readonly string[], process: FaultyProcess): void {
    const { poison = [], rivals = [], killers } = this.behaviour;
    this.#kill(id, process, killers);
    const isRival = rivals.includes(id) && log.some((other) => other[0] !== id[0]);
    if ([...poison].includes(id) || isRival) throw new Error(`cannot fold ${id}`);
  }

  get #mayKill(): boolean {
    return this.behaviour.killers !== undefined || this.behaviour.keyKillers !== undefined;
  }

  #kill(id: string, process: FaultyProcess, killers: readonly string[] = []): void {
    if (!killers.includes(id)) return;
    process.kill();
    throw new Error(`killed by ${id}`);
  }

  /** One delivery of records `from` to `to`. */
  deliver(split: string, from: number, to: number, options: DeliverOptions = {}): Promise<BatchResult> {
    return this.deliverRecords(split, this.source.records(split, from, to), options);
  }

  deliverRecords(split: string, records: readonly SourceRecord[], options: DeliverOptions = {}): Promise<BatchResult> {
    return processBatch(this.engine(options), {
      split,
      records,
      role: { phase: "RUNNING" },
      deadlineMs: options.deadlineMs ?? Number.POSITIVE_INFINITY,
    });
  }

  /** As an event source mapping does: delivers again from the first record that is not resolved, until all are. */
  async deliverUntilDone(split: string, from: number, to: number, options: DeliverOptions = {}): Promise<number> {
    let first = from;
    for (let round = 1; round <= ROUNDS_MAX; round += 1) {
      if (this.source.records(split, first, to).length === 0) return round - 1;
      try {
        const process = options.process ?? (this.#mayKill ? this.start() : this.main);
        const { failedFrom } = await this.deliver(split, first, to, { ...options, process });
        if (failedFrom === undefined) return round;
        first = numberAt(failedFrom.position);
      } catch (thrown) {
        if (!isPassing(thrown) || options.process?.dead === true) throw thrown;
      }
    }
    throw new Error(`records ${from} to ${to} of ${split} are not done after ${ROUNDS_MAX} deliveries`);
  }

  /** Delivers everything that every split still has. */
  async drain(batch = 3): Promise<void> {
    for (const { name } of this.app.functions) {
      for (const [split, { values }] of this.source.splits) {
        for (;;) {
          const item = await this.itemOf(split, name);
          const from = numberAt(item?.position ?? "") + 1;
          const [first] = this.source.records(split, from, values.length);
          if (first === undefined) break;
          const begin = numberAt(first.position);
          await this.deliverUntilDone(split, begin, Math.min(begin + batch - 1, values.length), { function: name });
        }
      }
    }
  }

  coordinate(options: Partial<CoordinatorOptions> & On = {}): Promise<CoordinatorReport> {
    const { process, ...rest } = options;
    return runCoordinator(this.resources(process), {
      deadlineMs: this.clock.now() + HOUR_MS,
      ...{ slices: 2, slicesConcurrency: 1 },
      ...rest,
    });
  }

  /** Takes a checkpoint, which must complete. */
  async checkpoint(options: { readonly savepoint?: string } & On = {}): Promise<number> {
    const { process, ...request } = options;
    const report = await this.coordinate({ request, ...(process === undefined ? {} : { process }) });
    if (report.outcome !== "completed") throw new Error(`the checkpoint did not complete: ${JSON.stringify(report)}`);
    this.clock.ms += MINUTE_MS;
    return report.checkpoint;
  }

  request(choice: RestoreChoice = {}, { process }: On = {}): Promise<RestoreReport> {
    return requestRestore(this.resources(process), choice);
  }

  carryOn(options: Partial<CarryOnOptions> & On = {}): Promise<RestoreReport> {
    const { process, ...rest } = options;
    return carryOnRestore(this.resources(process), {
      deadlineMs: Number.POSITIVE_INFINITY,
      replay: ({ function: name, split, generation }) =>
        replaySplit(this.engine({ function: name, ...(process === undefined ? {} : { process }) }), {
          ...{ split, generation, deadlineMs: Number.POSITIVE_INFINITY, batchRecords: 2 },
        }),
      ...{ partConcurrency: 1, writeConcurrency: 1, splitConcurrency: 1 },
      ...rest,
    });
  }

  async restore(choice: RestoreChoice = {}, on: On = {}): Promise<RestoreReport> {
    await this.request(choice, on);
    return this.carryOn(on);
  }

  ask(choice: RestoreChoice = {}, { process }: On = {}): Promise<RestoreReport> {
    return askForRestore(this.resources(process), choice);
  }

  /** One run of a deployed coordinator: it carries on what was asked for, what is under way, and mappings. */
  runCoordinator(
    options: Omit<CoordinatorHandlerOptions, "replay"> &
      On & { readonly forMs?: number; readonly invocation?: Omit<CoordinatorInvocation, "deadlineMs"> } = {},
  ) {
    const { process = this.main, mappings, forMs = HOUR_MS, invocation = {}, ...others } = options;
    return createCoordinatorHandler(this.resources(process), {
      replay: ({ function: name, split, generation, stop }) =>
        replaySplit(this.engine({ function: name, process }), {
          ...{ split, generation, deadlineMs: Number.POSITIVE_INFINITY, batchRecords: 2 },
          ...(stop === undefined ? {} : { stop }),
        }),
      ...(mappings === undefined ? {} : { mappings: process.mappings(mappings) }),
      ...others,
    })({ deadlineMs: this.clock.now() + forMs, ...invocation });
  }

  /** Puts every dead letter of a function back that `chosen` takes. */
  async redriveLetters(functionName = "log", chosen: (split: string) => boolean = () => true): Promise<string[]> {
    const positions: string[] = [];
    for await (const letter of listDeadLetters(this.stores.storage, functionName)) {
      if (!chosen(letter.split)) continue;
      positions.push(await redrive(this.stores.storage, letter, { clock: this.clock, source: "letters" }));
    }
    return positions;
  }

  /** The engine's pump delivers what was put back, from the split's position on. */
  async deliverRedriven(options: DeliverOptions = {}): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const name = options.function ?? "log";
      const item = await this.itemOf("redrive", name);
      const records: SourceRecord[] = [];
      const { reader } = this.sourceOf(name);
      const request = { split: "redrive", after: item?.position ?? "", pageRecords: 100, follow: false };
      for await (const page of reader.read(request)) records.push(...page.records);
      if (records.length === 0) return;
      await this.deliverRecords("redrive", records, options);
    }
    throw new Error("redriven records are not done");
  }

  async itemOf(split: string, functionName = "log"): Promise<Split | undefined> {
    const item = await readSplit(this.stores.control, { function: functionName, split });
    return item === "unborn" ? undefined : item;
  }

  async control(): Promise<Control> {
    const control = await readControl(this.stores.control);
    if (control === undefined) throw new Error("the app has not begun");
    return control;
  }

  async items(functionName = "log"): Promise<Map<string, Split>> {
    const items = new Map<string, Split>();
    for await (const { split, item } of listSplits(this.stores.control, functionName)) {
      if (item !== "unborn") items.set(split, item);
    }
    return items;
  }

  ofType<Type extends TidemarkEvent["type"]>(type: Type): Extract<TidemarkEvent, { readonly type: Type }>[] {
    return this.events.filter((event) => event.type === type) as never;
  }
}

/** Letters that stand in brackets are of one record. */
const recordsOf = (letters: string): string[] =>
  (letters.match(/\([^)]*\)|[^()]/g) ?? []).map((record) => record.replaceAll(/[()]/g, ""));

function eventsOf(split: string, number: number, letters: string): JsonValue[] {
  const id = `${split}${number}`;
  if (letters.length === 1) return [eventOf(split, number, letters)];
  return [...letters].map((letter, index) => eventOf(split, number, letter, `${id}.${index + 1}`));
}

export function eventOf(split: string, number: number, letter: string, id = `${split}${number}`): JsonValue {
  if (letter === "!") return { id };
  return { id, key: letter.toLowerCase(), clear: letter !== letter.toLowerCase() };
}

export function logFunction(
  name: string,
  act: (id: string, log: readonly string[]) => void = () => {},
  actInKey: (id: string) => void = () => {},
): FunctionDefinition<TestEvent, LogState> {
  return defineFunction({
    name,
    event: eventSchema,
    key: (event) => {
      actInKey(event.id);
      return event.key;
    },
    state: { initial: (): LogState => ({ log: [] }) },
    handle: (state, event) => {
      act(event.id, state.log);
      return event.clear ? null : { log: [...state.log, event.id] };
    },
  });
}

/** What goes away by itself: the batch is delivered again. */
export const isPassing = (thrown: unknown): boolean =>
  (thrown instanceof TidemarkError && thrown.kind === "retry") || (thrown as Error)?.name === "Error";

export { at, numberAt };
