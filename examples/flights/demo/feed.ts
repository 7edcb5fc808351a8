/**
 * The flights as they arrive: each split's file grows, and the engine tails it.
 *
 * A share of what the present act may have is let in at each tick, and never far ahead of the functions, so that flights
 * flow for as long as the act takes on this machine, and there are always some to come for the acts that follow.
 */
import { type FileHandle, mkdir, open } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DealtSplit } from "./data.ts";

const TICK_MS = 100;
/** Of what the act has left, per tick: most of it comes within two seconds, the rest ever slower. */
const SHARE = 0.06;
/** How far flights may be ahead of the functions: a full batch for each split, or this part of all. */
const LEAD_FLIGHTS = 3_000;
const LEAD_PART = 0.003;
const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 10;

export class Feed {
  /** What the engine's source is bound to. */
  readonly binding: string;
  readonly flights: number;
  private readonly splits: readonly FeedSplit[];
  private ceiling = 0;
  private draining = false;
  private stopped = false;
  private running: Promise<void> = Promise.resolve();

  private constructor(folder: string, splits: readonly FeedSplit[]) {
    this.binding = `follow:${path.join(folder, "*.jsonl")}`;
    this.splits = splits;
    this.flights = splits.reduce((sum, { flights }) => sum + flights, 0);
  }

  /** Makes the files of the splits, still empty, in `folder`. */
  static async open(dealt: readonly DealtSplit[], folder: string): Promise<Feed> {
    await mkdir(folder, { recursive: true });
    return new Feed(folder, await Promise.all(dealt.map((split) => FeedSplit.open(split, folder))));
  }

  /** Flights that have arrived. */
  get arrived(): number {
    return this.splits.reduce((sum, { arrived }) => sum + arrived, 0);
  }

  get toCome(): number {
    return this.flights - this.arrived;
  }

  /** @param folded how many flights the functions are past */
  start(folded: () => number): void {
    this.running = this.run(folded);
    this.running.catch(() => {});
  }

  /** The part of all flights that may arrive from now on, from 0 to 1. */
  letIn(part: number): void {
    this.ceiling = part;
  }

  /** Lets in all the rest, as fast as it can be written. */
  drain(): void {
    this.ceiling = 1;
    this.draining = true;
  }

  /** @throws what writing failed with */
  async stop(): Promise<void> {
    this.stopped = true;
    try {
      await this.running;
    } finally {
      await Promise.all(this.splits.map((split) => split.close()));
    }
  }

  private async run(folded: () => number): Promise<void> {
    const leadMax = Math.max(LEAD_FLIGHTS, this.flights * LEAD_PART);
    while (!this.stopped && this.toCome > 0) {
      const room = Math.ceil((leadMax - (this.arrived - folded())) / this.splits.length);
      for (const split of this.splits) {
        const left = Math.ceil(split.flights * this.ceiling) - split.arrived;
        const flights = this.draining ? left : Math.min(room, Math.ceil(left * SHARE));
        if (flights > 0) await split.letIn(flights);
        if (this.stopped) return;
      }
      await sleep(TICK_MS);
    }
  }
}

class FeedSplit {
  readonly flights: number;
  arrived = 0;
  private readonly from: FileHandle;
  private readonly to: FileHandle;
  private readonly chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  private used = 0;
  private filled = 0;

  private constructor(flights: number, from: FileHandle, to: FileHandle) {
    this.flights = flights;
    this.from = from;
    this.to = to;
  }

  static async open({ split, file, flights }: DealtSplit, folder: string): Promise<FeedSplit> {
    return new FeedSplit(flights, await open(file), await open(path.join(folder, split), "wx"));
  }

  /** Copies bytes up to the end of the `flights`-th line from here; a line in writing is nothing new to who tails. */
  async letIn(flights: number): Promise<void> {
    for (let left = flights; left > 0; ) {
      if (this.used === this.filled && !(await this.fill())) return;
      let end = this.used;
      let newline = this.chunk.indexOf(NEWLINE, end);
      for (; left > 0 && newline !== -1 && newline < this.filled; newline = this.chunk.indexOf(NEWLINE, end)) {
        end = newline + 1;
        left -= 1;
        this.arrived += 1;
      }
      if (left > 0) end = this.filled;
      await this.to.write(this.chunk, this.used, end - this.used);
      this.used = end;
    }
  }

  async close(): Promise<void> {
    await this.from.close();
    await this.to.close();
  }

  private async fill(): Promise<boolean> {
    const { bytesRead } = await this.from.read(this.chunk, 0, CHUNK_BYTES);
    this.used = 0;
    this.filled = bytesRead;
    return bytesRead > 0;
  }
}
