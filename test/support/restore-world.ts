/**
 * A small app on heap stores for tests of restores: two splits of numbered events, a function that keeps, per key, the
 * events it folded. What a key holds tells at once what was lost, folded twice, or folded out of order.
 */
import { expect } from "vitest";
import { z } from "zod";
import type { AppDescription, FunctionDescription } from "../../shared/app/app-description.ts";
import type { AppResources } from "../../shared/app/app-resources.ts";
import { processBatch } from "../../shared/batch/process-batch.ts";
import type { Manifest, ManifestFile, ManifestFunction } from "../../shared/checkpoint/manifest.ts";
import { encodeManifest } from "../../shared/checkpoint/manifest.ts";
import { encodePartItem, writePart } from "../../shared/checkpoint/part-file.ts";
import type { CheckpointRecord } from "../../shared/control/control.ts";
import { ensureControl, readControl, recordCheckpoint, triggerCheckpoint } from "../../shared/control/control-steps.ts";
import { HeapControlStore } from "../../shared/control/heap/heap-control-store.ts";
import { isInHole } from "../../shared/control/hole.ts";
import { allHoles } from "../../shared/control/hole-items.ts";
import type { Split } from "../../shared/control/split.ts";
import { listSplits, moveIdle, readSplit } from "../../shared/control/split-steps.ts";
import { type Clock, systemRandomness } from "../../shared/environment.ts";
import { defineFunction } from "../../shared/function/define-function.ts";
import type { TidemarkEvent } from "../../shared/observer.ts";
import type { ReplayInvoker } from "../../shared/restore/replay-invoker.ts";
import { HeapStateBackend } from "../../shared/state/heap/heap-state-backend.ts";
import { ABSENT, imageAtCut } from "../../shared/state/state-item.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { manifestPath, partName } from "../../shared/storage/object-paths.ts";
import { at, ListSource, numberAt } from "./list-source.ts";

export const KEYS = ["a", "b", "c"] as const;
const PAGE = 3;

/** Event number `number` of a split: its key goes round, its id says where it stands. */
export const eventOf = (split: string, number: number) => ({
  key: KEYS[(number + split.length) % KEYS.length] as string,
  id: `${split}${number}`,
});

export const logFunction = (name: string, version = 1) =>
  defineFunction({
    name,
    event: z.object({ key: z.string(), id: z.string() }),
    key: (event) => event.key,
    state: { version, initial: (): { log: string[] } => ({ log: [] }) },
    handle: (state, event) => ({ log: [...state.log, event.id] }),
  });

/** Moves on with every sleep: nothing waits in earnest. */
export class TestClock implements Clock {
  ms = Date.parse("2026-01-01T00:00:00Z");
  now(): number {
    return this.ms;
  }
  async sleep(ms: number): Promise<void> {
    this.ms += ms;
  }
}

export type Stores = Pick<AppResources, "control" | "state" | "storage">;

export interface WorldOptions {
  readonly functions?: readonly FunctionDescription[];
  readonly splits?: { readonly [split: string]: number };
  readonly stores?: Partial<Stores>;
  readonly source?: ListSource;
}

export const describeFunction = (name: string, more: Partial<FunctionDescription> = {}): FunctionDescription => ({
  name,
  source: "numbers",
  stateVersion: 1,
  ...more,
});

export class RestoreWorld {
  readonly clock = new TestClock();
  readonly source: ListSource;
  readonly events: TidemarkEvent[] = [];
  readonly stores: Stores;
  functions: readonly FunctionDescription[];

  constructor(options: WorldOptions = {}) {
    this.functions = options.functions ?? [describeFunction("log")];
    this.stores = {
      control: options.stores?.control ?? new HeapControlStore(),
      state: options.stores?.state ?? new HeapStateBackend(),
      storage: options.stores?.storage ?? new MemoryCheckpointStorage(),
    };
    this.source = options.source ?? new ListSource();
    if (options.source !== undefined) return;
    for (const [split, length] of Object.entries(options.splits ?? { s: 12, tt: 12 })) this.addSplit(split, length);
  }

  addSplit(split: string, length: number, parents: string[] = []): void {
    const values = Array.from({ length }, (_, index) => eventOf(split, index + 1));
    this.source.add(split, values, { parents });
  }

  get app(): AppDescription {
    return {
      name: "test-app",
      functions: this.functions,
      checkpointing: { mode: "exactly-once", timeoutMs: 600_000, retained: 10 },
      deadLetters: { triesMax: 3, maxConsecutiveDeadLetters: 100 },
    };
  }

  /** What the restore runs on; other stores may stand in for the world's own. */
  resources(stores: Partial<Stores> = {}): AppResources {
    return {
      ...{ app: this.app, ...this.stores, ...stores },
      sourceOf: () => this.source,
      clock: this.clock,
      randomness: systemRandomness,
      observe: (event) => void this.events.push(event),
    };
  }

  private engine(name: string, stores: Partial<Stores> = {}) {
    const version = this.functions.find((one) => one.name === name)?.stateVersion ?? 1;
    return { resources: this.resources(stores), definition: logFunction(name, version), source: this.source };
  }

  /** The mapping delivers records `from` to `to` of a split. */
  async deliver(split: string, from: number, to: number, name = "log"): Promise<void> {
    await processBatch(this.engine(name), {
      ...{ split, records: this.source.records(split, from, to), role: { phase: "RUNNING" } },
      deadlineMs: Number.POSITIVE_INFINITY,
    });
  }

  /** Replays as an event function does: a page a call, nothing beyond `until`. */
  replayer(stores: Partial<Stores> = {}): ReplayInvoker {
    return async ({ function: name, split, generation }) => {
      const control = stores.control ?? this.stores.control;
      const item = await this.splitOf(split, name, control);
      const until = numberAt(item.until ?? "");
      const from = numberAt(item.position) + 1;
      const records = this.source.records(split, from, Math.min(until, from + PAGE - 1));
      if (records.length === 0) return { position: item.position, done: true };
      const { position } = await processBatch(this.engine(name, stores), {
        ...{ split, records, role: { phase: "REPLAYING", generation } },
        deadlineMs: Number.POSITIVE_INFINITY,
      });
      return { position, done: numberAt(position) >= until };
    };
  }

  async splitOf(split: string, name = "log", control = this.stores.control): Promise<Split> {
    const item = await readSplit(control, { function: name, split });
    if (item === undefined || item === "unborn") throw new Error(`split ${split} of ${name} is not born`);
    return item;
  }

  /** A checkpoint of everything delivered so far, every split being clean; returns its number. */
  async checkpoint(options: { readonly savepoint?: string; readonly abandon?: "open" } = {}): Promise<number> {
    const { control: store, storage, state } = this.stores;
    const control = await ensureControl(store, "exactly-once");
    const n = control.epoch + 1;
    const token = systemRandomness.token();
    const triggeredAtMs = this.clock.now();
    const opened: CheckpointRecord = { n, open: true, status: "TRIGGERED", token, triggeredAtMs, settled: false };
    await triggerCheckpoint(store, { epochRead: control.epoch, checkpoint: opened });
    const functions: ManifestFunction[] = [];
    const files: ManifestFile[] = [];
    for (const { name, stateVersion, source } of this.functions) {
      const splits: ManifestFunction["splits"][number][] = [];
      for await (const { split } of listSplits(store, name)) {
        await moveIdle(store, { function: name, split }, { generation: control.gen, n });
        const item = await this.splitOf(split, name);
        const holes = await allHoles(store, { function: name, split }, item);
        splits.push({
          ...{ split, position: item.barriers[n] ?? "", freshAt: new Date(item.freshAt).toISOString() },
          ...{ ended: item.ended ?? false, holes },
        });
      }
      let keys = 0;
      // A part a key: small, but many, as tests of progress want them.
      for await (const { items } of state.scan({ function: name, generation: control.gen }, { index: 0, count: 1 })) {
        for (const item of items) {
          const image = imageAtCut(item, n);
          if (image === ABSENT) continue;
          const part = partName({ function: name, slice: 0, sequence: keys, writer: "writer" });
          const line = encodePartItem({ key: item.key, state: image.value, stateVersion: image.version });
          const written = await writePart(storage, n, part, one(line));
          files.push({ name: part, function: name, items: 1, ...written });
          keys += 1;
        }
      }
      functions.push({ name, stateVersion, source, keys, splits });
    }
    if (options.abandon === "open") return n;
    const manifest: Manifest = {
      ...{ format: "tidemark-checkpoint", formatVersion: 1, kind: "manifest", app: "test-app", checkpoint: n, token },
      ...{ generation: control.gen, mode: "exactly-once", functions, files },
      ...(control.restoredFrom === undefined ? {} : { restoredFrom: control.restoredFrom }),
      ...(options.savepoint === undefined ? {} : { savepoint: options.savepoint }),
      triggeredAt: new Date(triggeredAtMs).toISOString(),
      completedAt: new Date(this.clock.now()).toISOString(),
    };
    await storage.createExclusively(manifestPath(n), encodeManifest(manifest));
    await recordCheckpoint(store, { ...opened, open: false, status: "COMPLETED", settled: true });
    this.clock.ms += 60_000;
    return n;
  }

  /** Replaces a manifest by an altered one. */
  async editManifest(n: number, edit: (manifest: Manifest) => void): Promise<void> {
    const { storage } = this.stores;
    const found = await readWhole(storage, manifestPath(n));
    if (found === undefined) throw new Error(`there is no checkpoint ${n}`);
    const manifest = JSON.parse(found.text) as Manifest;
    edit(manifest);
    await storage.replace(manifestPath(n), encodeManifest(manifest), found.version);
  }

  async logs(name = "log"): Promise<Map<string, string[]>> {
    const control = await readControl(this.stores.control);
    const found = await this.stores.state.load({ function: name, generation: control?.gen ?? 1 }, KEYS);
    const logs = new Map<string, string[]>();
    for (const [key, { state }] of found) if (state !== ABSENT) logs.set(key, (state.value as { log: string[] }).log);
    return logs;
  }

  /** The promise: every key holds each event up to its split's position once and in order, holes left out. */
  async expectPromise(name = "log"): Promise<void> {
    const logs = await this.logs(name);
    for await (const { split, item } of listSplits(this.stores.control, name)) {
      if (item === "unborn") continue;
      const holes = await allHoles(this.stores.control, { function: name, split }, item);
      for (const key of KEYS) {
        const due: string[] = [];
        for (let number = 1; number <= numberAt(item.position); number++) {
          if (eventOf(split, number).key !== key || holes.some((hole) => isInHole(hole, at(number)))) continue;
          due.push(eventOf(split, number).id);
        }
        const folded = (logs.get(key) ?? []).filter((id) => id.replace(/\d+$/, "") === split);
        expect(folded, `events of split ${split} in key ${key}`).toEqual(due);
      }
    }
  }

  /** One live generation: control and every split run in it. */
  async expectRunning(generation: number, name = "log"): Promise<void> {
    expect(await readControl(this.stores.control)).toMatchObject({
      phase: "RUNNING",
      gen: generation,
      maxGen: generation,
    });
    for await (const { split, item } of listSplits(this.stores.control, name)) {
      expect(item, `split ${split}`).toMatchObject({ phase: "RUNNING", gen: generation });
    }
  }
}

async function* one(line: string): AsyncGenerator<string> {
  yield line;
}
