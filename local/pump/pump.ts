/**
 * The embedded engine's event source mappings: every split of every function's source, each fed by one batch at a time.
 *
 * Invariants:
 * - A split starts at its `position` in control, so a pump that dies and starts again skips nothing.
 * - A split starts after its parents are drained (Kinesis resharding keeps a key's order that way).
 */
import { setMaxListeners } from "node:events";
import type { AppResources } from "../../shared/app/app-resources.ts";
import { listSplits } from "../../shared/control/split-steps.ts";
import { describeThrown, TidemarkError } from "../../shared/errors.ts";
import { BEGINNING } from "../../shared/source/position.ts";
import { Slots } from "../../shared/source/slots.ts";
import type { Source } from "../../shared/source/source.ts";
import type { EngineObserver } from "../engine-event.ts";
import type { BatchLimits } from "./batches.ts";
import { DELIVERY_PAUSES, type Deliver, type DeliveryPauses } from "./delivery.ts";
import { type SplitProgress, SplitPump } from "./split-pump.ts";

export interface PumpOptions extends BatchLimits {
  /** How often each source is asked for new splits, in ms. */
  readonly discoveryMs: number;
  readonly pauses?: DeliveryPauses;
}

/** What will not go on by itself, and why. */
export interface StuckSplit {
  readonly function: string;
  /** Absent: the splits of the source cannot even be listed. */
  readonly split?: string;
  readonly reason: string;
}

/** The names of splits that never end and hold nothing that must be waited for. */
const NEVER_ENDING = new Set(["redrive"]);

const NAP_MS = 50;
/** Splits that are looked up in control to begin with, at a time. */
const BEGINS_AT_ONCE = 64;
/** A folder in which files come and go is not spoken of for ever. */
const LEFT_OUT_TOLD_MAX = 10_000;
/** A source that cannot be listed is asked ever more seldom. */
const DISCOVERY_MS_MAX = 30_000;

export class Pump {
  private resources: AppResources;
  private readonly deliver: Deliver;
  private readonly observe: EngineObserver;
  private readonly options: PumpOptions;
  private readonly splits = new Map<string, SplitPump>();
  /** Those that were not seen drained yet: looked through at every change, of a hundred thousand files perhaps. */
  private readonly undrained = new Set<SplitPump>();
  private readonly begins = new Slots(BEGINS_AT_ONCE);
  private readonly stopping = new AbortController();
  private readonly tasks = new Set<Promise<void>>();
  private readonly mappings = new Set<string>();
  private readonly discovered = new Set<string>();
  private readonly stuckPumps = new Set<SplitPump>();
  /** Functions whose source cannot be listed, with the reason. */
  private readonly unlisted = new Map<string, string>();
  /** Splits whose parents are not drained yet. */
  private readonly waiting = new Set<string>();
  private readonly changed = new EventTarget();
  /** By source: the names of the files left out that were told, and how many more there were. */
  private readonly toldLeftOut = new Map<string, { readonly names: Set<string>; total: number }>();

  constructor(resources: AppResources, deliver: Deliver, observe: EngineObserver, options: PumpOptions) {
    this.resources = resources;
    this.deliver = deliver;
    this.observe = observe;
    this.options = options;
    // Every split that waits for more listens to it: Node takes more than ten listeners for a leak.
    setMaxListeners(0, this.stopping.signal);
  }

  /** Starts the mappings of these functions; those that run already are left alone. */
  start(functions: readonly string[]): void {
    for (const name of functions) {
      if (this.mappings.has(name)) continue;
      this.mappings.add(name);
      this.follow(this.discover(name));
    }
  }

  /** Another version of the app: its sources are looked at from now on; splits that are being read go on. */
  use(resources: AppResources): void {
    this.resources = resources;
  }

  get progress(): readonly SplitProgress[] {
    return [...this.splits.values()].map((pump) => pump.progress);
  }

  /** Whether every split that is known has ended and is resolved to its end. */
  get isDrained(): boolean {
    if (this.discovered.size < this.mappings.size || this.waiting.size > 0) return false;
    for (const pump of this.undrained) {
      if (pump.drained) this.undrained.delete(pump);
      else if (!NEVER_ENDING.has(pump.progress.split) || !pump.caughtUp) return false;
    }
    return true;
  }

  get stuck(): readonly StuckSplit[] {
    const unlisted = [...this.unlisted].map(([name, reason]) => ({ function: name, reason }));
    const splits = [...this.stuckPumps].flatMap(({ progress, stuck }) =>
      stuck === undefined ? [] : { function: progress.function, split: progress.split, reason: stuck },
    );
    return [...unlisted, ...splits];
  }

  /** Whether nothing more happens by itself: every split is resolved to its end, or stuck. */
  get isSettled(): boolean {
    if (this.stuckPumps.size === 0 && this.unlisted.size === 0) return this.isDrained;
    if ([...this.mappings].some((name) => !this.discovered.has(name) && !this.unlisted.has(name))) return false;
    for (const pump of this.undrained) {
      if (pump.drained) this.undrained.delete(pump);
      else if (pump.stuck === undefined && !(NEVER_ENDING.has(pump.progress.split) && pump.caughtUp)) return false;
    }
    return true;
  }

  /** Resolves when nothing more happens by itself, with what is stuck; with an unbounded source it waits for ever. */
  async settled(): Promise<readonly StuckSplit[]> {
    while (!this.isSettled && !this.stopping.signal.aborted) await this.nextChange();
    return this.stuck;
  }

  /** Resolves when the sources are bounded and all of them is resolved; with an unbounded source it waits for ever. */
  async drained(): Promise<void> {
    while (!this.isDrained && !this.stopping.signal.aborted) await this.nextChange();
  }

  private nextChange(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.changed.addEventListener("change", () => resolve(), { once: true });
    });
  }

  /** Lets every batch that is under way end, and starts none. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.tell();
    while (this.tasks.size > 0) await Promise.all(this.tasks);
  }

  private follow(task: Promise<void>): void {
    const tracked = task.finally(() => {
      this.tasks.delete(tracked);
      this.tell();
    });
    this.tasks.add(tracked);
  }

  private tell(): void {
    this.changed.dispatchEvent(new Event("change"));
  }

  private async discover(functionName: string): Promise<void> {
    const { clock } = this.resources;
    const { signal } = this.stopping;
    let failures = 0;
    let said = "";
    while (!signal.aborted) {
      try {
        const source = this.resources.sourceOf(functionName);
        const listed = new Map<string, readonly string[]>();
        for await (const { split, parents } of source.reader.splits()) listed.set(split, parents);
        if (!this.discovered.has(functionName)) await this.addTakenAway(functionName, source, listed);
        this.tellLeftOut(functionName, source);
        this.startReady(functionName, source, listed);
        this.discovered.add(functionName);
        this.unlisted.delete(functionName);
        this.tell();
        failures = 0;
      } catch (thrown) {
        failures += 1;
        const error = describeThrown(thrown);
        if (error !== said) this.observe({ type: "source-failed", function: functionName, error });
        said = error;
        if (thrown instanceof TidemarkError && thrown.kind !== "retry") {
          const isNew = !this.unlisted.has(functionName);
          this.unlisted.set(functionName, error);
          if (isNew) this.observe({ type: "split-stuck", function: functionName, reason: error });
        }
        this.tell();
      }
      const restMs = this.options.discoveryMs * 2 ** Math.min(failures, 30);
      await this.pauseOrStop(clock.now() + Math.min(restMs, Math.max(DISCOVERY_MS_MAX, this.options.discoveryMs)));
    }
  }

  /**
   * A file that was read in part before, and is no longer listed, is read on like any other: that it is not there is said
   * by whoever opens it. A source that forgets its records by itself may forget their splits.
   */
  private async addTakenAway(name: string, source: Source, listed: Map<string, readonly string[]>): Promise<void> {
    if ((await source.retentionMs()) !== undefined) return;
    for await (const { split, item } of listSplits(this.resources.control, name)) {
      if (listed.has(split) || item === "unborn" || item.ended === true || NEVER_ENDING.has(split)) continue;
      if (item.attemptedTo !== BEGINNING) listed.set(split, []);
    }
  }

  /** What is new in this listing: two functions may read one source, and a file may stay there for good. */
  private tellLeftOut(functionName: string, { reader }: Source): void {
    const leftOut = reader.leftOut?.();
    const source = this.resources.app.functions.find(({ name }) => name === functionName)?.source;
    if (leftOut === undefined || source === undefined) return;
    const told = this.toldLeftOut.get(source) ?? { names: new Set<string>(), total: 0 };
    this.toldLeftOut.set(source, told);
    const files = leftOut.files.filter(({ name }) => !told.names.has(name) && told.names.size < LEFT_OUT_TOLD_MAX);
    for (const { name } of files) told.names.add(name);
    const more = Math.max(0, leftOut.total - leftOut.files.length - told.total);
    told.total += more;
    if (files.length + more > 0) {
      this.observe({ type: "left-out", source, leftOut: { ...leftOut, files, total: files.length + more } });
    }
  }

  private startReady(functionName: string, source: Source, listed: ReadonlyMap<string, readonly string[]>): void {
    for (const [split, parents] of listed) {
      const name = nameOf(functionName, split);
      if (this.splits.has(name)) continue;
      // A parent that the source no longer lists has expired: nothing of it is left to wait for.
      const unready = parents.some(
        (parent) => listed.has(parent) && !this.splits.get(nameOf(functionName, parent))?.drained,
      );
      if (unready) {
        this.waiting.add(name);
        continue;
      }
      this.waiting.delete(name);
      const { control, clock, randomness } = this.resources;
      const pump = new SplitPump({
        function: functionName,
        split,
        source,
        control,
        clock,
        randomness,
        deliver: this.deliver,
        observe: this.observe,
        batchRecords: this.options.batchRecords,
        batchWindowMs: this.options.batchWindowMs,
        begins: this.begins,
        pauses: this.options.pauses ?? DELIVERY_PAUSES,
        signal: this.stopping.signal,
        changed: () => {
          if (pump.stuck === undefined) this.stuckPumps.delete(pump);
          else this.stuckPumps.add(pump);
          this.tell();
        },
      });
      this.splits.set(name, pump);
      this.undrained.add(pump);
      this.follow(pump.run());
    }
  }

  /** In short naps, so that a stop need not wait for the next look. */
  private async pauseOrStop(untilMs: number): Promise<void> {
    const { clock } = this.resources;
    while (!this.stopping.signal.aborted && clock.now() < untilMs) {
      await clock.sleep(Math.min(NAP_MS, untilMs - clock.now()));
    }
  }
}

const nameOf = (functionName: string, split: string): string => JSON.stringify([functionName, split]);
