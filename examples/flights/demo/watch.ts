/** What the demo knows of the run: told by the engine's events, and by a look at its progress now and then. */
import { setTimeout as sleep } from "node:timers/promises";
import { inWords } from "../../../cli/run-progress.ts";
import type { Engine, EngineProgress } from "../../../local/engine.ts";
import type { EngineEvent } from "../../../local/engine-event.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { rowOfPosition } from "../../../shared/source/file/file-position.ts";
import type { DealtSplit } from "./data.ts";
import type { Feed } from "./feed.ts";
import type { Narrator } from "./narrator.ts";

export type Fate = "open" | "completed" | "aborted";

export interface WatchOptions {
  readonly feed: Feed;
  readonly splits: readonly DealtSplit[];
  readonly functions: readonly string[];
  readonly narrator: Narrator;
  readonly signal: AbortSignal;
}

const LOOK_MS = 250;
const POLL_MS = 20;
/** Nothing at all has happened for so long: something is stuck, and waiting on would hide it. */
const STALLED_MS = 180_000;

export class Watch {
  /** What became of each checkpoint since its number was given out. */
  readonly checkpoints = new Map<number, Fate>();
  newestTriggered = 0;
  newestCompleted = 0;
  completed = 0;
  aborted = 0;
  /** Those of some state that completed before all flights were folded, and after some came or were folded since the one before. */
  completedWhileFlowing = 0;
  checkpointBytes = 0;
  /** Events folded, replays included, as far as the engine tells (a heap's process does not). */
  folded = 0;
  /** The last look. */
  progress: EngineProgress | undefined;
  private batchesBefore = 0;
  private movedBefore = 0;
  private happenedAtMs = performance.now();
  private readonly rows = new Map<string, number>();
  private readonly options: WatchOptions;
  private readonly listeners = new Set<(event: EngineEvent) => void>();

  constructor(options: WatchOptions) {
    this.options = options;
  }

  readonly observe = (event: EngineEvent): void => {
    this.note(event);
    for (const listener of this.listeners) listener(event);
    const words = inWords(event);
    if (words !== undefined) this.options.narrator.say(words);
  };

  /** Told every event from now on, after it was noted; until the returned function is called. */
  listen(listener: (event: EngineEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Looks at the engine until `signal` says stop. */
  async follow(engine: Engine): Promise<void> {
    const { signal } = this.options;
    while (!signal.aborted) {
      // A worker that is just being replaced answers at the next look.
      await this.look(engine).catch(() => {});
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  async look(engine: Engine): Promise<EngineProgress> {
    const progress = await engine.progress();
    // The process of a heap counts from its own start.
    if (progress.batches < (this.progress?.batches ?? 0)) this.batchesBefore += this.progress?.batches ?? 0;
    this.progress = progress;
    for (const { function: name, split, position } of progress.splits) {
      const row = rowOfPosition(position);
      const place = placeOf(name, split);
      if (this.rows.get(place) !== row) this.happenedAtMs = performance.now();
      this.rows.set(place, row);
    }
    const { narrator, feed } = this.options;
    narrator.arrived({ folded: this.foldedByAll, flights: feed.flights, checkpoints: this.completed });
    return progress;
  }

  get batches(): number {
    return this.batchesBefore + (this.progress?.batches ?? 0);
  }

  /** Flights that a function is past, at the last look. */
  flightsOf(functionName: string): number {
    return this.options.splits.reduce((sum, { split }) => sum + (this.rows.get(placeOf(functionName, split)) ?? 0), 0);
  }

  get foldedByAll(): number {
    return Math.min(...this.options.functions.map((name) => this.flightsOf(name)));
  }

  /**
   * Waits until something is so.
   * @param what for the message if nothing happens any more: "the second checkpoint"
   */
  async until(what: string, isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      this.options.signal.throwIfAborted();
      if (performance.now() - this.happenedAtMs > STALLED_MS) {
        throw new TidemarkError(
          "report-bug",
          `Nothing happened for ${STALLED_MS / 1000} s while the demo waited for ${what}. Please report this, with what was printed so far.`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  private note(event: EngineEvent): void {
    switch (event.type) {
      case "batch":
        this.folded += event.folded;
        this.happenedAtMs = performance.now();
        return;
      case "checkpoint-triggered":
        this.newestTriggered = event.checkpoint;
        this.checkpoints.set(event.checkpoint, "open");
        return;
      case "checkpoint-completed":
        this.checkpoints.set(event.checkpoint, "completed");
        this.newestCompleted = event.checkpoint;
        this.completed += 1;
        this.checkpointBytes += event.bytes;
        this.noteFlow(event.keys);
        return;
      case "checkpoint-aborted":
        this.checkpoints.set(event.checkpoint, "aborted");
        this.aborted += 1;
    }
  }

  private noteFlow(keys: number): void {
    const { arrived, flights } = this.options.feed;
    let moved = arrived;
    for (const row of this.rows.values()) moved += row;
    if (keys > 0 && this.foldedByAll < flights && moved !== this.movedBefore) this.completedWhileFlowing += 1;
    this.movedBefore = moved;
  }
}

const placeOf = (functionName: string, split: string): string => JSON.stringify([functionName, split]);
