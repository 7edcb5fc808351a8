/**
 * One history: an app, what happens to it, and the judgement.
 *
 * First a while of everything at once: deliveries of every shape, checkpoints, restores, faults, zombies, time. Then
 * the faults stop, what is still on its way arrives, and all must come to its end: every event folded once, a
 * checkpoint complete, a restore of it the same.
 */
import type { AppDescription } from "../../shared/app/app-description.ts";
import type { AppResources } from "../../shared/app/app-resources.ts";
import { type BatchEngine, processBatch } from "../../shared/batch/process-batch.ts";
import { replaySplit } from "../../shared/batch/replay-split.ts";
import { StateCache } from "../../shared/batch/state-cache.ts";
import { runCoordinator } from "../../shared/checkpoint/coordinator.ts";
import type { Hole } from "../../shared/control/hole.ts";
import { allHoles } from "../../shared/control/hole-items.ts";
import type { Split } from "../../shared/control/split.ts";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { redrive } from "../../shared/dead-letter/redrive.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import { openRedriveSource } from "../../shared/dead-letter/redrive-source.ts";
import { withRedrive } from "../../shared/dead-letter/with-redrive.ts";
import { TidemarkError } from "../../shared/errors.ts";
import type { FunctionDefinition } from "../../shared/function/define-function.ts";
import type { TidemarkEvent } from "../../shared/observer.ts";
import { carryOnRestore } from "../../shared/restore/carry-on.ts";
import { requestRestore } from "../../shared/restore/restore.ts";
import type { Source, SourceRecord } from "../../shared/source/source.ts";
import { ABSENT } from "../../shared/state/state-item.ts";
import type { Compression } from "../../shared/storage/compression.ts";
import type { Choices } from "./choices.ts";
import type { Coverage } from "./coverage.ts";
import { flawOfFold, holeAt, type Reached } from "./fold-oracle.ts";
import { type Addressed, Monitor } from "./monitor.ts";
import { Process } from "./process.ts";
import { FUNCTION, idsIn, recordingFunction } from "./recording-function.ts";
import { type Call, type Method, Scheduler } from "./scheduler.ts";
import { drawSetup, HOUR_MS, MINUTE_MS, type Setup } from "./setup.ts";
import { at, numberAt, SimulatedSource, type SimulatedSplit } from "./simulated-source.ts";
import { promise, Violation } from "./violation.ts";
import { PortStores, type StoresSurroundings, type WorldStores } from "./world-stores.ts";

const START_MS = Date.parse("2026-01-01T00:00:00Z");
/** Longer than any invocation lives and any request is on its way: what forgetting tombstones relies on. */
const LIFETIME_MS_MAX = 74 * MINUTE_MS;
const LARGE_STATE_BYTES = 210_000;
/** A carrier tries a split that does not get on some 17 times, for some 200 calls each. */
const STEPS_MAX = 20_000;
const ROUNDS_MAX = 200;

export interface HistoryOptions {
  readonly choices: Choices;
  readonly coverage: Coverage;
  readonly tell?: ((line: string) => void) | undefined;
  /** What the history runs on. @default the heap adapters, at the ports */
  readonly open?: (surroundings: StoresSurroundings) => WorldStores;
  readonly settle?: "microtasks" | "event loop";
  /**
   * How many histories have states of more than half of what a store's item holds, so that a before-image does not fit
   * beside them. @default 0
   */
  readonly largeStates?: number;
  /** @default drawn */
  readonly setup?: Setup;
  /** Where somebody compares states: time stands still between calls, and tokens are each process's own. */
  readonly comparing?: {
    readonly answered: (call: Call, answer: unknown) => void;
    /** Before each turn of the first phase. */
    readonly turn: (history: History) => void;
    /** The faults stop. */
    readonly calm: () => void;
  };
}

/** Parts go as they are: the machine's compressor runs on threads of its own. */
const plain: Compression = {
  async *compress(lines) {
    for await (const line of lines) yield Buffer.from(line);
  },
  async *decompress(body) {
    yield* body;
  },
};

/** An event source mapping on one split. */
interface Delivery {
  readonly mapping: number;
  readonly split: SimulatedSplit;
  /** Records up to here were answered as resolved. */
  cursor: number;
  busy: Process | undefined;
}

const SLEEP: Method = { store: "clock", name: "sleep", writes: false, spell: (ms: number) => `${ms}` };

export class History {
  readonly setup: Setup;
  readonly scheduler: Scheduler;
  readonly monitor: Monitor;
  readonly stores: WorldStores;
  readonly source: SimulatedSource;
  readonly deliveries: Delivery[] = [];
  readonly processes: Process[] = [];
  nowMs = START_MS;
  readonly #choices: Choices;
  readonly #coverage: Coverage;
  readonly #tell: ((line: string) => void) | undefined;
  readonly #comparing: HistoryOptions["comparing"];
  /** By state version, the older one first. An invocation keeps the code that it began with, a zombie forever. */
  readonly #broken: readonly FunctionDefinition<never, never>[];
  readonly #sound: readonly FunctionDefinition<never, never>[];
  #repaired = false;
  /** Events whose dead letters were put back. */
  readonly #redriven = new Set<string>();
  #tokens = 0;
  #names = 0;
  #actionsLeft: number;
  #checkpointsLeft: number;
  #restoresLeft: number;
  #duplicatesLeft: number;
  #killsLeft: number;
  #redrivesLeft: number;
  #failed: unknown;
  /** Manifests that were committed, to be read once their writer has done. */
  readonly #unread: [number, Addressed][] = [];

  constructor(options: HistoryOptions) {
    const { choices, coverage, settle = "microtasks", tell } = options;
    this.#choices = choices;
    this.#coverage = coverage;
    this.#tell = tell;
    this.setup = options.setup ?? drawSetup(choices);
    const { setup } = this;
    tell?.(describeSetup(setup));
    this.#comparing = options.comparing;
    this.scheduler = new Scheduler({ choices, coverage, settle, tell, answered: options.comparing?.answered });
    this.monitor = new Monitor(coverage);
    this.monitor.committed = (n, manifest) => void this.#unread.push([n, manifest]);
    this.monitor.splitWritten = (name, split, before) => this.#splitWritten(name, split, before);
    const open = options.open ?? (({ scheduler, watcher }) => new PortStores(scheduler, watcher));
    this.stores = open({ scheduler: this.scheduler, watcher: this.monitor, choices, coverage });
    this.source = new SimulatedSource(setup, this.nowMs);
    const stateBytes = choices.chance(options.largeStates ?? 0) ? LARGE_STATE_BYTES : 0;
    const versions = setup.versions ? ([1, 2] as const) : ([1] as const);
    const inEachVersion = (act: (id: string) => void) =>
      versions.map((version) => recordingFunction({ act }, version, stateBytes) as never);
    this.#broken = inEachVersion((id) => this.#misbehave(id));
    this.#sound = inEachVersion(() => {});
    for (let mapping = 0; mapping < setup.mappings; mapping += 1) {
      for (const split of this.source.splits.values()) {
        this.deliveries.push({ mapping, split, cursor: 0, busy: undefined });
      }
    }
    this.#actionsLeft = setup.actions;
    this.#checkpointsLeft = setup.checkpoints;
    this.#restoresLeft = setup.restores;
    this.#duplicatesLeft = setup.duplicates;
    this.#killsLeft = setup.kills;
    this.#redrivesLeft = setup.redrives;
  }

  /** What the mappings know, and what is still to begin. */
  get outside(): string {
    const cursors = this.deliveries.map(({ cursor, busy }) => `${cursor}${busy?.dead === false ? busy.name : ""}`);
    return `${cursors.join()} ${this.#actionsLeft} ${this.#names} ${this.nowMs}`;
  }

  /** @throws Violation */
  async run(): Promise<void> {
    const { setup } = this;
    if (setup.headStart) await this.#headStart();
    this.scheduler.treatment = setup.treatment;
    this.scheduler.faultsLeft = setup.faultsMax;
    await this.scheduler.run(() => this.#anything());
    await this.#settleDown();
    await this.#judge();
    if (setup.lastCheckpoint || this.monitor.completed === 0) await this.#lastCheckpoint();
    if (setup.lastRestore) await this.#lastRestore();
  }

  /** Undisturbed: a batch of every split, and a checkpoint that can be restored. */
  async #headStart(): Promise<void> {
    const toRest = () =>
      this.scheduler.run(() => {
        this.#mustGoOn();
        return this.scheduler.step();
      });
    for (const delivery of this.deliveries) this.#deliver(delivery);
    await toRest();
    this.#startCoordinator({ ask: true, savepoint: false, seconds: 40, pollMs: 1_000 });
    await toRest();
  }

  // --- a while of everything at once

  #anything(): boolean {
    this.#mustGoOn();
    this.#comparing?.turn(this);
    const { eagerness } = this.setup;
    if (this.#actionsLeft > 0 && (this.#idle() || this.#choices.chance(eagerness))) {
      this.#actionsLeft -= 1;
      this.#begin();
      return true;
    }
    if (this.scheduler.late.length > 0 && this.#choices.chance(0.05)) {
      this.#coverage.hit("a late call arrives");
      this.scheduler.arrive();
      return true;
    }
    if (this.#comparing === undefined) this.nowMs += 1;
    return this.scheduler.step() || this.#actionsLeft > 0;
  }

  #idle(): boolean {
    return !this.scheduler.waiting.some(({ process }) => !process.stalled);
  }

  #mustGoOn(): void {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.scheduler.steps > STEPS_MAX) throw new Violation(`nothing has come to its end after ${STEPS_MAX} calls`);
    if (this.#unread.length > 0) this.#readCommitted();
  }

  #begin(): void {
    const { script } = this.setup;
    if (script !== undefined) {
      for (const action of script[script.length - 1 - this.#actionsLeft] ?? []) {
        if (action === "deliver") this.#deliverSome();
        else if (action === "restore") this.#startRestore(undefined, { carriedOn: true });
        else this.#startCoordinator({ ask: true, savepoint: false, seconds: 40, pollMs: 1_000 });
      }
      return;
    }
    if (this.#restoresLeft > 0 && this.monitor.completed > 0 && this.#choices.chance(0.25)) {
      this.#restore();
      return;
    }
    const dice = this.#choices.below(20);
    if (dice < 9) this.#deliverSome();
    else if (dice < 11) this.#duplicate();
    else if (dice < 14) this.#coordinate();
    else if (dice < 15) this.#restore();
    else if (dice < 16) this.#arriveSome();
    else if (dice < 17) this.#passTime();
    else if (dice < 18) this.#disturb();
    else if (dice < 19) this.#wake();
    else this.#putBack();
  }

  #deliverSome(): void {
    if (this.monitor.redriven > 0 && this.#choices.chance(0.3) && this.#deliverRedriven()) return;
    const first = this.#choices.below(this.deliveries.length);
    for (let index = 0; index < this.deliveries.length; index += 1) {
      if (this.#deliver(this.deliveries[(first + index) % this.deliveries.length] as Delivery)) return;
    }
  }

  /** What an event source mapping does next on a split. */
  #deliver(delivery: Delivery): boolean {
    const { split, mapping, busy } = delivery;
    if (busy !== undefined && !busy.dead && !busy.stalled) return false;
    if (!this.#mayBegin(delivery)) return false;
    const from = Math.max(delivery.cursor, split.expired) + 1;
    if (from > split.arrived) {
      delivery.cursor = Math.max(delivery.cursor, split.expired);
      return false;
    }
    const to = Math.min(split.arrived, from + this.#choices.below(this.setup.batchMax));
    if (busy !== undefined) this.#coverage.hit("a batch is delivered again");
    if (mapping > 0) this.#coverage.hit("a batch by a second mapping");
    const records = this.source.records(split.split, from, to);
    const process = this.#start(
      `H${this.#names + 1}`,
      async (process) => {
        try {
          const { failedFrom } = await this.#fold(process, split.split, records);
          if (delivery.busy !== process) return;
          delivery.busy = undefined;
          delivery.cursor = failedFrom === undefined ? to : numberAt(failedFrom.position) - 1;
        } catch (thrown) {
          if (delivery.busy === process) delivery.busy = undefined;
          throw thrown;
        }
      },
      `mapping ${mapping} delivers ${split.split}${from}..${to}`,
    );
    delivery.busy = process;
    return true;
  }

  /** A mapping reads a split's children after all of the split. */
  #mayBegin({ split, mapping }: Delivery): boolean {
    if (!this.source.isBorn(split)) return false;
    return split.parents.every((parent) =>
      this.deliveries.some((one) => {
        return one.mapping === mapping && one.split.split === parent && one.cursor >= one.split.events.length;
      }),
    );
  }

  #duplicate(): void {
    const { split, cursor } = this.deliveries[this.#choices.below(this.deliveries.length)] as Delivery;
    if (this.#duplicatesLeft === 0 || cursor === 0) {
      this.#deliverSome();
      return;
    }
    this.#duplicatesLeft -= 1;
    const from = 1 + this.#choices.below(cursor);
    const to = Math.min(split.arrived, from + this.#choices.below(this.setup.batchMax + 1));
    const records = this.source.records(split.split, from, to);
    if (records.length === 0) return;
    this.#coverage.hit("a duplicate of resolved records");
    this.#start(
      `D${this.#names + 1}`,
      (process) => this.#fold(process, split.split, records),
      `${split.split}${from}..${to} comes again`,
    );
  }

  #coordinate(): void {
    const control = this.monitor.known;
    const ask = this.#checkpointsLeft > 0 && this.#choices.chance(0.7);
    const owed = control?.phase === "REPLAYING" || control?.checkpoint?.settled === false;
    if (!ask && !owed) {
      this.#deliverSome();
      return;
    }
    if (ask) this.#checkpointsLeft -= 1;
    const savepoint = ask && this.#choices.chance(0.15);
    if (savepoint) this.#coverage.hit("a savepoint");
    const seconds = [40, 3, 10][this.#choices.below(3)] as number;
    const pollMs = this.#choices.chance(0.2) ? 25_000 : 1_000;
    this.#startCoordinator({ ask, savepoint, seconds, pollMs });
  }

  #startCoordinator(options: {
    readonly ask: boolean;
    readonly savepoint: boolean;
    readonly seconds: number;
    readonly pollMs: number;
  }): void {
    const { ask, savepoint, seconds, pollMs } = options;
    if (this.processes.some(({ name, dead }) => name.startsWith("C") && !dead)) {
      this.#coverage.hit("two coordinators at once");
    }
    const request = ask ? { request: savepoint ? { savepoint: "kept" } : {} } : {};
    this.#start(
      `C${this.#names + 1}`,
      (process) => this.#coordinator(process, { ...request, deadlineMs: this.nowMs + seconds * 1_000, pollMs }),
      `a coordinator${ask ? (savepoint ? ", asked for a savepoint" : ", asked for a checkpoint") : ""}`,
    );
  }

  /** As in the coordinator function: a restore that is under way comes first. */
  async #coordinator(process: Process, options: Parameters<typeof runCoordinator>[1]): Promise<void> {
    const resources = this.#resources(process);
    const report = await runCoordinator(resources, { slices: this.setup.slices, slicesConcurrency: 2, ...options });
    if (report.outcome === "restoring") await this.#carryOn(process, options.deadlineMs);
  }

  async #carryOn(process: Process, deadlineMs: number): Promise<void> {
    const resources = this.#resources(process);
    await carryOnRestore(resources, {
      deadlineMs,
      replay: ({ split, generation, milliseconds = Number.POSITIVE_INFINITY }) => {
        const name = `R${++this.#names}`;
        // The event function is an invocation of its own: it may outlive whoever asked for it.
        const replayer = new Process(name, this.nowMs);
        this.processes.push(replayer);
        this.#tell?.(`${name}: begins to replay ${split} in generation ${generation}, for ${process.name}`);
        return replaySplit(this.#engine(replayer), {
          split,
          generation,
          deadlineMs: Math.min(deadlineMs, this.nowMs + milliseconds),
          batchRecords: this.setup.batchMax,
        });
      },
      ...{ partConcurrency: 2, writeConcurrency: 2, splitConcurrency: 2 },
    });
  }

  #restore(): void {
    if (this.#restoresLeft === 0 || this.monitor.addressed.size === 0) {
      this.#coordinate();
      return;
    }
    this.#restoresLeft -= 1;
    const numbers = [...this.monitor.addressed.keys()];
    const checkpoint = this.#choices.chance(0.5) ? numbers[this.#choices.below(numbers.length)] : undefined;
    const alone = this.#choices.chance(0.4);
    this.#startRestore(checkpoint, { carriedOn: !alone });
  }

  #startRestore(checkpoint: number | undefined, { carriedOn }: { readonly carriedOn: boolean }): Process {
    this.#coverage.hit("a restore is asked for");
    const before = this.monitor.known?.maxGen ?? 0;
    return this.#start(
      `T${this.#names + 1}`,
      async (process) => {
        try {
          const report = await requestRestore(this.#resources(process), checkpoint === undefined ? {} : { checkpoint });
          // What others restored meanwhile may have left the lineage that this one was chosen from.
          const undisturbed = this.monitor.known?.maxGen === before + 1;
          if (checkpoint === undefined && report.outcome === "started" && undisturbed) {
            promise(this.monitor.isLive(report.checkpoint ?? 0), () => {
              return `the latest checkpoint is said to be ${report.checkpoint}, of a lineage that a restore abandoned`;
            });
          }
        } catch (thrown) {
          if (!(thrown instanceof TidemarkError) || thrown.kind === "report-bug") throw thrown;
          this.#coverage.hit("a restore is refused");
          throw thrown;
        }
        if (carriedOn) await this.#carryOn(process, Number.POSITIVE_INFINITY);
        else this.#coverage.hit("a restore by another carrier");
      },
      `a restore of ${checkpoint === undefined ? "the latest checkpoint" : `checkpoint ${checkpoint}`} is asked for`,
    );
  }

  #arriveSome(): void {
    const splits = [...this.source.splits.values()];
    const split = splits[this.#choices.below(splits.length)] as SimulatedSplit;
    if (this.source.arrive(split, this.nowMs)) this.#tell?.(`${split.split}${split.arrived} arrives`);
    else if (this.source.close(split)) {
      this.#coverage.hit("a split closes and its children begin");
      this.#tell?.(`${split.split} closes`);
    }
  }

  #passTime(): void {
    const { jumpsMs, clears } = this.setup;
    if (jumpsMs.length === 0) {
      this.#deliverSome();
      return;
    }
    const ms = jumpsMs[this.#choices.below(jumpsMs.length)] as number;
    this.nowMs += ms;
    this.#coverage.hit("time passes");
    this.#tell?.(`${ms / MINUTE_MS} minutes pass`);
    if (this.source.expire(this.nowMs) > 0) this.#coverage.hit("records expire");
    for (const { split, expired } of this.source.splits.values()) {
      if (expired > 0) this.#tell?.(`${split}1..${expired} have expired`);
    }
    if (!clears) return;
    const oldest = this.nowMs - LIFETIME_MS_MAX;
    for (const process of this.processes) if (process.startedAtMs < oldest) this.#kill(process);
    const { late } = this.scheduler;
    for (let index = late.length - 1; index >= 0; index -= 1) {
      if ((late[index]?.process.startedAtMs ?? 0) < oldest) late.splice(index, 1);
    }
  }

  /** A process is killed, or a call that nobody waits for arrives. */
  #disturb(): void {
    if (this.scheduler.late.length > 0 && this.#choices.chance(0.5)) {
      this.#coverage.hit("a late call arrives");
      this.scheduler.arrive();
      return;
    }
    const living = this.processes.filter(({ dead }) => !dead);
    if (this.#killsLeft === 0 || living.length === 0) return;
    this.#killsLeft -= 1;
    this.#coverage.hit("a process is killed");
    this.#kill(living[this.#choices.below(living.length)] as Process);
  }

  #kill(process: Process): void {
    if (process.dead) return;
    this.scheduler.kill(process);
    this.#tell?.(`${process.name} is dead`);
  }

  #wake(): void {
    const stalled = this.processes.filter((process) => process.stalled && !process.dead);
    const process = stalled[this.#choices.below(stalled.length)];
    if (process === undefined) {
      this.#deliverSome();
      return;
    }
    process.stalled = false;
    this.#coverage.hit("a stalled process wakes");
    if ((this.monitor.known?.gen ?? 1) > 1) this.#coverage.hit("a stalled process wakes after a restore");
    this.#tell?.(`${process.name} wakes`);
  }

  /** A dead letter is put back by hand. */
  #putBack(): void {
    if (this.#redrivesLeft === 0 || this.monitor.letters.size === 0) {
      this.#deliverSome();
      return;
    }
    this.#redrivesLeft -= 1;
    const letters = [...this.monitor.letters];
    const place = letters[this.#choices.below(letters.length)] as string;
    this.#coverage.hit("a letter is put back");
    this.#start(
      `L${this.#names + 1}`,
      async (process) => {
        const { clock, storage } = this.#resources(process);
        for await (const letter of listDeadLetters(storage, FUNCTION)) {
          const id = `${letter.split}${numberAt(letter.position)}`;
          if (letter.split === REDRIVE_SPLIT || id !== place) continue;
          this.#redriven.add(id);
          await redrive(storage, letter, { clock, source: "events" });
        }
      },
      `the dead letter of ${place} is put back`,
    );
  }

  /** The engine's pump delivers what was put back. */
  #deliverRedriven(): boolean {
    const position = this.monitor.splits.get(REDRIVE_SPLIT)?.position ?? "";
    if (Number(position) >= this.monitor.redriven) return false;
    if (this.processes.some(({ name, dead, stalled }) => name.startsWith("P") && !dead && !stalled)) return true;
    this.#coverage.hit("a redriven record is delivered");
    this.#start(
      `P${this.#names + 1}`,
      async (process) => {
        const { reader } = this.#resources(process).sourceOf(FUNCTION);
        const request = { split: REDRIVE_SPLIT, after: position, pageRecords: this.setup.batchMax, follow: false };
        for await (const { records } of reader.read(request)) {
          if (records.length > 0) await this.#fold(process, REDRIVE_SPLIT, records);
          return;
        }
      },
      `redriven records after ${position || "the beginning"} are delivered`,
    );
    return true;
  }

  // --- the end of it

  /** Faults stop; what is on its way arrives; everything is delivered, and every restore and checkpoint ends. */
  async #settleDown(): Promise<void> {
    this.scheduler.treatment = { ...this.setup.treatment, faultiness: 0, faults: [], stalling: 0 };
    this.scheduler.faultsLeft = 0;
    this.#comparing?.calm();
    this.#tell?.("the faults stop");
    if (this.setup.maxConsecutiveDeadLetters < 100 || this.setup.triesMax > 2) {
      this.#repaired = true;
      this.#coverage.hit("the function is repaired");
    }
    for (let round = 0; ; round += 1) {
      if (round > ROUNDS_MAX)
        throw new Violation(`the faults have stopped, and still not everything is done: ${this.#undone()}`);
      await this.scheduler.run(() => this.#toQuiet());
      if (!this.#next()) return;
    }
  }

  #toQuiet(): boolean {
    this.#mustGoOn();
    this.nowMs += 1;
    const { scheduler } = this;
    const calm = this.#idle();
    if (scheduler.late.length > 0 && (calm || this.#choices.chance(0.2))) {
      this.#coverage.hit("a late call arrives");
      scheduler.arrive();
      return true;
    }
    if (this.#hasStalled() && (calm || this.#choices.chance(0.2))) {
      this.#wake();
      return true;
    }
    return scheduler.step();
  }

  #hasStalled(): boolean {
    return this.processes.some(({ dead, stalled }) => stalled && !dead);
  }

  /** Begins the next thing that is still to be done. @returns whether there is one */
  #next(): boolean {
    for (const split of this.source.splits.values()) {
      while (this.source.arrive(split, this.nowMs));
      this.source.close(split);
    }
    const control = this.monitor.known;
    if (control?.phase === "REPLAYING" || control?.checkpoint?.settled === false) {
      const deadlineMs = this.nowMs + HOUR_MS;
      this.#start(`C${this.#names + 1}`, (process) => this.#coordinator(process, { deadlineMs }), "a coordinator");
      // Mappings go on meanwhile: a barrier may wait for them.
      for (const delivery of this.deliveries) this.#deliver(delivery);
      return true;
    }
    let any = this.#deliverRedriven();
    for (const delivery of this.deliveries) any = this.#deliver(delivery) || any;
    return any || this.deliveries.some((one) => one.cursor < one.split.events.length);
  }

  #undone(): string {
    const splits = [...this.monitor.splits].map(
      ([name, split]) => `${name} ${split.phase} at ${split.position || "its beginning"}`,
    );
    const { phase, checkpoint } = this.monitor.known ?? {};
    return `control ${phase}, checkpoint ${checkpoint?.n} ${checkpoint?.status}${checkpoint?.settled ? ", settled" : ""}; ${splits.join(", ")}`;
  }

  async #lastCheckpoint(): Promise<void> {
    const before = this.monitor.known?.epoch ?? 0;
    const deadlineMs = this.nowMs + HOUR_MS;
    this.#start(
      `C${this.#names + 1}`,
      (process) => this.#coordinator(process, { deadlineMs, request: {} }),
      "the last checkpoint",
    );
    await this.#settleDown();
    const { checkpoint } = this.monitor.known ?? {};
    promise(checkpoint !== undefined && checkpoint.n > before && checkpoint.status === "COMPLETED", () => {
      return `nothing is wrong any more, and checkpoint ${checkpoint?.n} is ${checkpoint?.status}: ${checkpoint?.reason}`;
    });
    await this.#judge();
  }

  async #lastRestore(): Promise<void> {
    const { gen = 0 } = this.monitor.known ?? {};
    const latest = this.monitor.latest;
    this.#startRestore(undefined, { carriedOn: true });
    await this.#settleDown();
    const control = this.monitor.known;
    // What the source has forgotten may be what a replay needs.
    const refused = control?.gen === gen && [...this.source.splits.values()].some(({ expired }) => expired > 0);
    promise(refused || ((control?.gen ?? 0) > gen && control?.restoredFrom?.checkpoint === latest), () => {
      return `the latest checkpoint is ${latest}, and generation ${control?.gen} was restored from ${control?.restoredFrom?.checkpoint}`;
    });
    await this.#judge();
  }

  // --- the judgement

  async #judge(): Promise<void> {
    const control = this.monitor.known;
    promise(control === undefined || (control.phase === "RUNNING" && control.gen === control.maxGen), () => {
      return `control is ${control?.phase} in generation ${control?.gen} of ${control?.maxGen}`;
    });
    const reached = new Map<string, Reached>();
    for (const { split, events, arrived, expired } of this.source.splits.values()) {
      if (arrived === 0) continue;
      const item = this.monitor.splits.get(split);
      // What the source has dropped is noted by the next batch or checkpoint.
      const dropped = expired === events.length;
      if (item === undefined && dropped) continue;
      const isAtEnd = item?.position === at(events.length) && item.position === item.attemptedTo;
      promise(item !== undefined && (isAtEnd || dropped), () => {
        return `all of split ${split} was delivered, and it stands at ${item?.position} (tried to ${item?.attemptedTo}) of ${at(events.length)}`;
      });
      promise(item.phase === "RUNNING" && item.gen === control?.gen, () => {
        return `split ${split} is ${item.phase} in generation ${item.gen}, and control in ${control?.gen}`;
      });
      const holes = await allHoles(this.stores.truth.control, { function: FUNCTION, split }, item);
      reached.set(split, { position: item.position, holes, maybeTo: item.attemptedTo });
    }
    const logs = new Map<string, readonly string[]>();
    const scope = { function: FUNCTION, generation: control?.gen ?? 1 };
    for await (const { items } of this.stores.truth.state.scan(scope, { index: 0, count: 1 })) {
      for (const { key, state } of items) if (state !== ABSENT) logs.set(key, idsIn(state.value));
    }
    this.#expectFold(reached, logs, "the live state");
  }

  #expectFold(reached: Map<string, Reached>, logs: ReadonlyMap<string, readonly string[]>, what: string): void {
    if (this.setup.mode === "at-least-once") {
      // Events after the positions may be in it.
      for (const { split, events } of this.source.splits.values()) {
        const { position, holes } = reached.get(split) ?? { position: "", holes: [] };
        reached.set(split, { position, holes, maybeTo: at(events.length) });
      }
    }
    const flaw = flawOfFold(this.source.splits, reached, logs, {
      unseen: this.#unseen,
      // Repaired code may have folded it in a batch that was overtaken, before its tries were counted up.
      faulty: (id) => !this.#repaired && (this.setup.poison.has(id) || this.setup.killers.has(id)),
      repeats: this.setup.mode === "at-least-once",
      redriven: this.#redriven,
    });
    promise(flaw === undefined, () => `${what} is not the fold of its events: ${flaw}`);
  }

  /** Each checkpoint is the fold over exactly its positions, at the moment at which its manifest stands. */
  #readCommitted(): void {
    for (const [n, manifest] of this.#unread.splice(0)) {
      const logs = new Map<string, readonly string[]>();
      for (const { name, items } of manifest.files ?? []) {
        const body = this.monitor.parts.get(`chk-${String(n).padStart(10, "0")}/${name}`);
        promise(body !== undefined, () => `the manifest of checkpoint ${n} stands, and its part ${name} is not there`);
        const lines = Buffer.from(body).toString("utf8").split("\n").slice(0, -1);
        promise(lines.length === items, () => `part ${name} has ${lines.length} items, and the manifest says ${items}`);
        for (const line of lines) {
          const [key, ids] = readLine(line);
          promise(!logs.has(key), () => `key ${key} is in checkpoint ${n} twice`);
          logs.set(key, ids);
        }
      }
      const reached = new Map<string, Reached>();
      for (const { name, splits, keys } of manifest.functions ?? []) {
        promise(
          name !== FUNCTION || keys === logs.size,
          () => `checkpoint ${n} has ${logs.size} keys, and says ${keys}`,
        );
        for (const { split, position, holes } of splits) {
          if (split !== REDRIVE_SPLIT) reached.set(split, { position, holes });
        }
      }
      if (manifest.mode === "at-least-once") this.#coverage.hit("a checkpoint in at-least-once mode");
      this.#expectFold(reached, logs, `checkpoint ${n}`);
    }
  }

  /** Which processes were last seen to hand a record to the user's code alone; of most, nobody knows what became. */
  readonly #entered = new Map<string, Set<Process>>();
  /** What the source had forgotten before a split was born was never seen by anybody. */
  readonly #unseen = new Map<string, number>();

  #splitWritten(name: string, split: Split, before: Split | undefined): void {
    const known = this.source.splits.get(name);
    if (known === undefined) return;
    if (before === undefined) this.#unseen.set(name, known.arrived);
    if (split.failing?.entered === true && this.scheduler.running !== undefined) {
      const id = `${name}${numberAt(split.failing.position)}`;
      const entered = this.#entered.get(id) ?? new Set();
      this.#entered.set(id, entered.add(this.scheduler.running));
    }
    this.#checkHoles(known, split, before);
  }

  /** A record may be in a hole only if it was given up: by us, for its fault, or by the source. */
  #checkHoles(known: SimulatedSplit, split: Split, before: Split | undefined): void {
    if (split.holes.length === 0 || split.holes === before?.holes) return;
    for (const [index, { id, key }] of known.events.entries()) {
      const hole = holeAt(split.holes, at(index + 1));
      if (hole === undefined) continue;
      promise(this.#mayBeIn(hole, known, index + 1, { id, key }), () => {
        return `${id} is in a hole of cause ${hole.cause}, and nothing is wrong with it`;
      });
    }
  }

  #mayBeIn(
    { cause }: Hole,
    split: SimulatedSplit,
    number: number,
    event: { id: string; key: string | undefined },
  ): boolean {
    if (cause !== "dead-letter") return number <= split.expired;
    if (event.key === undefined || this.setup.poison.has(event.id) || this.setup.killers.has(event.id)) return true;
    // Whoever died, or was overtaken, while it handled the record alone: the record may have been the cause.
    return number <= split.expired || (this.#entered.get(event.id)?.size ?? 0) >= this.setup.triesMax;
  }

  // --- what the processes run on

  /** What `handle` does before it folds, in the code from before the repair. */
  #misbehave(id: string): void {
    if (this.setup.killers.has(id) && this.scheduler.running !== undefined) {
      this.#coverage.hit("handle kills its process");
      this.#kill(this.scheduler.running);
      throw new Error(`killed by ${id}`);
    }
    if (this.setup.poison.has(id)) throw new Error(`cannot fold ${id}`);
  }

  #start(name: string, act: (process: Process) => Promise<unknown>, what: string): Process {
    this.#names += 1;
    const process = new Process(name, this.nowMs);
    this.processes.push(process);
    this.#tell?.(`${name}: ${what}`);
    this.scheduler.running = process;
    act(process).then(
      () => {
        process.dead = true;
        this.#tell?.(`${name}: done`);
      },
      (thrown) => this.#ended(process, thrown),
    );
    return process;
  }

  #ended(process: Process, thrown: unknown): void {
    if (process.dead) return;
    process.dead = true;
    this.#tell?.(`${process.name}: fails with ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    if (thrown instanceof TidemarkError && thrown.kind !== "report-bug") {
      if (thrown.message.includes("met state of version")) this.#coverage.hit("older code meets newer state");
      return;
    }
    this.#failed ??=
      thrown instanceof Violation
        ? thrown
        : new Violation(`${process.name} failed: ${(thrown as Error)?.stack ?? thrown}`);
  }

  #fold(process: Process, split: string, records: readonly SourceRecord[]) {
    return processBatch(this.#engine(process), {
      ...{ split, records, role: { phase: "RUNNING" } },
      deadlineMs: Number.POSITIVE_INFINITY,
    });
  }

  readonly #caches: StateCache[] = [new StateCache(), new StateCache()];

  #engine(process: Process): BatchEngine {
    const older = this.setup.versions && !this.#repaired && this.#choices.chance(0.4);
    const definitions = this.#repaired ? this.#sound : this.#broken;
    const definition = definitions[older ? 0 : definitions.length - 1];
    if (older) this.#coverage.hit("older code beside newer");
    const resources = this.#resources(process);
    const { retentionMs } = this.source;
    return {
      resources,
      definition: definition as never,
      source: resources.sourceOf(FUNCTION),
      ...(retentionMs === undefined ? {} : { retentionMs }),
      ...(this.setup.caches && !older ? { cache: this.#caches[this.#choices.below(2)] as StateCache } : {}),
    };
  }

  #resources(process: Process): AppResources {
    const clock = { now: () => this.nowMs, sleep: (ms: number) => this.#sleep(process, ms) };
    const randomness = { fraction: () => 0.5, token: () => this.#token(process) };
    const stores = this.stores.open(process, { clock, randomness });
    const source = this.#sourceOf(process, stores.storage);
    return {
      app: this.#app,
      ...stores,
      sourceOf: () => source,
      ...{ clock, randomness },
      observe: (event) => this.#observe(process, event),
      compression: plain,
    };
  }

  #token(process: Process): string {
    if (this.#comparing === undefined) return `t${++this.#tokens}`;
    process.tokens += 1;
    return `${process.name}t${process.tokens}`;
  }

  #sourceOf(process: Process, storage: AppResources["storage"]): Source {
    const own = this.source.open(process, this.scheduler);
    if (this.setup.redrives === 0) return own;
    const clock = { now: () => this.nowMs, sleep: (ms: number) => this.#sleep(process, ms) };
    return withRedrive(own, openRedriveSource({ storage, functionName: FUNCTION, original: own.events, clock }));
  }

  /** Whoever sleeps until a time has slept when its turn comes: time goes on with it. */
  #sleep(process: Process, ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    const run = async (): Promise<void> => {
      this.nowMs = Math.max(this.nowMs, untilMs);
    };
    return this.scheduler.call(process, SLEEP, run, ms);
  }

  #observe(process: Process, event: TidemarkEvent): void {
    this.#coverage.event(event);
    this.#tell?.(`${process.name}: * ${JSON.stringify(event)}`);
  }

  get #app(): AppDescription {
    const { mode, retained, triesMax, maxConsecutiveDeadLetters, versions } = this.setup;
    return {
      name: "simulated",
      functions: [{ name: FUNCTION, source: "events", stateVersion: versions ? 2 : 1 }],
      checkpointing: { mode, timeoutMs: 10 * MINUTE_MS, retained },
      deadLetters: { triesMax, maxConsecutiveDeadLetters },
    };
  }
}

function readLine(line: string): [string, readonly string[]] {
  const { Item } = JSON.parse(line) as {
    Item: { key: { S: string }; state: { S?: string; M?: { ids: { S: string } } } };
  };
  return [Item.key.S, idsIn(Item.state.S ?? { ids: Item.state.M?.ids.S ?? "" })];
}

function describeSetup(setup: Setup): string {
  return JSON.stringify(setup, (_, value) => (value instanceof Set ? [...value] : value));
}
