/**
 * The stores of a history at the ports: the heap adapters, behind a view for each process in which every call waits for
 * its turn, and may go wrong.
 */
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import type { ControlAttributes, ControlStore, ItemKey, UpdateAnswer } from "../../shared/control/control-store.ts";
import { HeapControlStore } from "../../shared/control/heap/heap-control-store.ts";
import type { Clock, Randomness } from "../../shared/environment.ts";
import { HeapStateBackend } from "../../shared/state/heap/heap-state-backend.ts";
import type { ScanPage, StateBackend, StateScope } from "../../shared/state/state-backend.ts";
import type { StateItem } from "../../shared/state/state-item.ts";
import type { CheckpointStorage, StoredObject } from "../../shared/storage/checkpoint-storage.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import type { Choices } from "./choices.ts";
import { type ControlStep, controlStepOf } from "./control-step.ts";
import type { Coverage } from "./coverage.ts";
import type { Process } from "./process.ts";
import type { Call, Method, Scheduler } from "./scheduler.ts";

export interface Stores {
  readonly control: ControlStore;
  readonly state: StateBackend;
  readonly storage: CheckpointStorage;
}

/** What a history runs on. */
export interface WorldStores {
  /** One process's view: every call is a turn of its own. */
  open(process: Process, surroundings: { readonly clock: Clock; readonly randomness: Randomness }): Stores;
  /** What is there, without a turn: for whoever judges. */
  readonly truth: Stores;
  /** The step of the protocol that a call is about to write. */
  stepOf(call: Call): ControlStep | undefined;
}

/** What a world's stores are opened with. */
export interface StoresSurroundings {
  readonly scheduler: Scheduler;
  readonly watcher: Watcher;
  readonly choices: Choices;
  readonly coverage: Coverage;
  /** Items that a page of a scan has at the most. */
  readonly statePageItems: number;
}

/** Told of every write that was applied, in their order. May throw a violation. */
export interface Watcher {
  control(key: ItemKey, write: ConditionalWrite, answer: UpdateAnswer): void;
  state(functionName: string, item: StateItem, written: boolean): void;
  /** An item of the control table is gone. */
  controlRemoved(key: ItemKey): void;
  /** The item of a key is gone, or of all keys of older generations. */
  stateRemoved(scope: StateScope, key: string | undefined): void;
  object(path: string, body: Uint8Array | undefined): void;
}

/** Small pages, so that lists are interleaved with writes. */
const PAGE_ITEMS = 2;

export class PortStores implements WorldStores {
  readonly truth: Stores;
  readonly #scheduler: Scheduler;
  readonly #watcher: Watcher;

  constructor({ scheduler, statePageItems, watcher }: Omit<StoresSurroundings, "choices" | "coverage">) {
    this.#scheduler = scheduler;
    this.#watcher = watcher;
    this.truth = {
      control: new HeapControlStore(),
      state: new HeapStateBackend({ pageItems: statePageItems }),
      storage: new MemoryCheckpointStorage("memory:simulated"),
    };
  }

  stepOf({ method, first, second }: Call): ControlStep | undefined {
    return method === UPDATE ? controlStepOf(first as ItemKey, second as ConditionalWrite) : undefined;
  }

  open(process: Process): Stores {
    const { control, state, storage } = this.truth;
    const view: View = { control, state, storage, process, scheduler: this.#scheduler, watcher: this.#watcher };
    return {
      control: new ScheduledControl(view),
      state: new ScheduledState(view),
      storage: new ScheduledStorage(view),
    };
  }
}

interface View extends Stores {
  readonly process: Process;
  readonly scheduler: Scheduler;
  readonly watcher: Watcher;
}

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? `${inner}n` : inner));

const GET: Method = { store: "control", name: "get", writes: false, spell: (key: ItemKey) => at(key) };
const LIST: Method = { store: "control", name: "list", writes: false, spell: (partition: string) => partition };
const DELETE: Method = { store: "control", name: "delete", writes: true, spell: (key: ItemKey) => at(key) };
const UPDATE: Method = {
  store: "control",
  name: "update",
  writes: true,
  spell: (key: ItemKey, write: ConditionalWrite) => `${controlStepOf(key, write)} ${at(key)} ${written(write)}`,
};

const at = ({ partition, sort }: ItemKey): string => (partition === sort ? partition : `${partition}/${sort}`);

const written = ({ set = [], add = [], remove = [] }: ConditionalWrite): string =>
  [
    ...set.map(([path, to]) => `${path.join(".")}=${"value" in to ? shown(to.value) : to.attribute.join(".")}`),
    ...add.map(([path, addend]) => `${path.join(".")}+${addend}`),
    ...remove.map((path) => `-${path.join(".")}`),
  ].join(" ");

class ScheduledControl implements ControlStore {
  readonly #view: View;
  constructor(view: View) {
    this.#view = view;
  }

  get(key: ItemKey): Promise<ControlAttributes | undefined> {
    const { control, process, scheduler } = this.#view;
    return scheduler.call(process, GET, () => control.get(key), key);
  }

  /** Page by page, as a query of a table: what is put behind the page that was read is still met. */
  async *list(partition: string): AsyncGenerator<{ readonly sort: string; readonly attributes: ControlAttributes }> {
    const { control, process, scheduler } = this.#view;
    let after: string | undefined;
    for (;;) {
      const from = after;
      const page = await scheduler.call(
        process,
        LIST,
        async () => {
          const found: { readonly sort: string; readonly attributes: ControlAttributes }[] = [];
          for await (const one of control.list(partition)) {
            if (from !== undefined && one.sort <= from) continue;
            found.push(one);
            if (found.length > PAGE_ITEMS) break;
          }
          return found;
        },
        partition,
      );
      for (const one of page.slice(0, PAGE_ITEMS)) yield one;
      if (page.length <= PAGE_ITEMS) return;
      after = page[PAGE_ITEMS - 1]?.sort;
    }
  }

  update(key: ItemKey, write: ConditionalWrite): Promise<UpdateAnswer> {
    const { control, process, scheduler, watcher } = this.#view;
    const run = async (): Promise<UpdateAnswer> => {
      const answer = await control.update(key, write);
      watcher.control(key, write, answer);
      return answer;
    };
    return scheduler.call(process, UPDATE, run, key, write);
  }

  delete(key: ItemKey): Promise<void> {
    const { control, process, scheduler, watcher } = this.#view;
    const run = async (): Promise<void> => {
      await control.delete(key);
      watcher.controlRemoved(key);
    };
    return scheduler.call(process, DELETE, run, key);
  }
}

const LOAD: Method = {
  store: "state",
  name: "load",
  writes: false,
  spell: (scope: StateScope, keys: readonly string[]) => `g${scope.generation} ${keys.join(",")}`,
};
const SCAN: Method = {
  store: "state",
  name: "scan",
  writes: false,
  spell: (scope: StateScope) => `g${scope.generation}`,
};
const WRITE: Method = {
  store: "state",
  name: "write",
  writes: true,
  spell: (item: StateItem, expected: string | undefined) =>
    `g${item.generation} ${item.key}=${shown(item.state)} epoch=${item.epoch} applied=${shown(item.applied)} before=${shown(item.before)} v=${item.v} over ${expected}`,
};
const REMOVE: Method = {
  store: "state",
  name: "remove",
  writes: true,
  spell: (scope: StateScope, key: string) => `g${scope.generation} ${key}`,
};
const REMOVE_OLDER: Method = {
  store: "state",
  name: "removeOlderGenerations",
  writes: true,
  spell: (scope: StateScope, slice: number) => `below g${scope.generation} in slice ${slice}`,
};

class ScheduledState implements StateBackend {
  readonly itemBytesMax = undefined;
  readonly #view: View;
  constructor(view: View) {
    this.#view = view;
  }

  refuseOversized(): void {
    // Memory has no limit for one key.
  }

  load(scope: StateScope, keys: readonly string[]): Promise<Map<string, StateItem>> {
    const { process, scheduler, state } = this.#view;
    return scheduler.call(process, LOAD, () => state.load(scope, keys), scope, keys);
  }

  write(functionName: string, item: StateItem, expected: string | undefined): Promise<boolean> {
    const { process, scheduler, state, watcher } = this.#view;
    const run = async (): Promise<boolean> => {
      const wrote = await state.write(functionName, item, expected);
      watcher.state(functionName, item, wrote);
      return wrote;
    };
    return scheduler.call(process, WRITE, run, item, expected);
  }

  remove(scope: StateScope, key: string, v: string): Promise<boolean> {
    const { process, scheduler, state, watcher } = this.#view;
    const run = async (): Promise<boolean> => {
      const removed = await state.remove(scope, key, v);
      if (removed) watcher.stateRemoved(scope, key);
      return removed;
    };
    return scheduler.call(process, REMOVE, run, scope, key);
  }

  /** Each page is a scan of its own from where the last one ended, so that keys which came meanwhile are met too. */
  async *scan(
    scope: StateScope,
    slice: { readonly index: number; readonly count: number },
    cursor?: string,
  ): AsyncGenerator<ScanPage, void> {
    const { process, scheduler, state } = this.#view;
    let after = cursor;
    for (;;) {
      const from = after;
      const page = await scheduler.call(
        process,
        SCAN,
        async () => {
          for await (const first of state.scan(scope, slice, from)) return first;
          return { items: [], cursor: undefined };
        },
        scope,
      );
      yield page;
      if (page.cursor === undefined) return;
      after = page.cursor;
    }
  }

  removeOlderGenerations(
    scope: StateScope,
    slice: { readonly index: number; readonly count: number },
    cursor?: string,
  ): Promise<string | undefined> {
    const { process, scheduler, state, watcher } = this.#view;
    const run = async (): Promise<string | undefined> => {
      const next = await state.removeOlderGenerations(scope, slice, cursor);
      watcher.stateRemoved(scope, undefined);
      return next;
    };
    return scheduler.call(process, REMOVE_OLDER, run, scope, slice.index);
  }
}

const path = (given: string): string => given;
const PUT: Method = { store: "storage", name: "write", writes: true, spell: path };
const CREATE: Method = { store: "storage", name: "createExclusively", writes: true, spell: withBody };
const REPLACE: Method = { store: "storage", name: "replace", writes: true, spell: withBody };
const READ: Method = { store: "storage", name: "read", writes: false, spell: path };
const LIST_OBJECTS: Method = { store: "storage", name: "list", writes: false, spell: path };
const REMOVE_OBJECT: Method = { store: "storage", name: "remove", writes: true, spell: path };

function withBody(given: string, body: Uint8Array): string {
  try {
    return `${given} ${JSON.stringify(JSON.parse(Buffer.from(body).toString("utf8")))}`;
  } catch {
    return given;
  }
}

class ScheduledStorage implements CheckpointStorage {
  readonly url: string;
  readonly #view: View;
  constructor(view: View) {
    this.#view = view;
    this.url = view.storage.url;
  }

  async probe(): Promise<void> {}
  async close(): Promise<void> {}

  async write(given: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number }> {
    const { process, scheduler, storage, watcher } = this.#view;
    // A stream can be read once only, and what is sent twice or late is all of it.
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    const whole = Buffer.concat(chunks);
    const run = async (): Promise<{ readonly bytes: number }> => {
      const stored = await storage.write(given, pieces(whole));
      watcher.object(given, whole);
      return stored;
    };
    return scheduler.call(process, PUT, run, given);
  }

  createExclusively(given: string, body: Uint8Array): Promise<"created" | "exists"> {
    const { process, scheduler, storage, watcher } = this.#view;
    const run = async (): Promise<"created" | "exists"> => {
      const answer = await storage.createExclusively(given, body);
      if (answer === "created") watcher.object(given, body);
      return answer;
    };
    return scheduler.call(process, CREATE, run, given, body);
  }

  replace(given: string, body: Uint8Array, version: string): Promise<"replaced" | "changed"> {
    const { process, scheduler, storage, watcher } = this.#view;
    const run = async (): Promise<"replaced" | "changed"> => {
      const answer = await storage.replace(given, body, version);
      if (answer === "replaced") watcher.object(given, body);
      return answer;
    };
    return scheduler.call(process, REPLACE, run, given, body);
  }

  read(given: string): Promise<StoredObject | undefined> {
    const { process, scheduler, storage } = this.#view;
    return scheduler.call(process, READ, () => storage.read(given), given);
  }

  /** Page by page, as a listing of a bucket. */
  async *list(prefix: string): AsyncGenerator<{ readonly path: string; readonly bytes: number }> {
    const { process, scheduler, storage } = this.#view;
    let after = "";
    for (;;) {
      const from = after;
      const page = await scheduler.call(
        process,
        LIST_OBJECTS,
        async () => {
          const found: { readonly path: string; readonly bytes: number }[] = [];
          for await (const object of storage.list(prefix)) {
            if (object.path <= from) continue;
            found.push(object);
            if (found.length > PAGE_ITEMS) break;
          }
          return found;
        },
        prefix,
      );
      for (const object of page.slice(0, PAGE_ITEMS)) yield object;
      if (page.length <= PAGE_ITEMS) return;
      after = page[PAGE_ITEMS - 1]?.path ?? after;
    }
  }

  remove(given: string): Promise<void> {
    const { process, scheduler, storage, watcher } = this.#view;
    const run = async (): Promise<void> => {
      await storage.remove(given);
      watcher.object(given, undefined);
    };
    return scheduler.call(process, REMOVE_OBJECT, run, given);
  }
}

async function* pieces(whole: Uint8Array): AsyncGenerator<Uint8Array> {
  yield whole;
}
