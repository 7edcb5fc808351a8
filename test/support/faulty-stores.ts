/**
 * One process's view of the stores, which can go wrong at any chosen call. Several processes share the stores
 * underneath; each has a view of its own, so that one can die, stall or be throttled while the others go on.
 */
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import type { ControlStore, ItemKey } from "../../shared/control/control-store.ts";
import { TidemarkError } from "../../shared/errors.ts";
import type { EventSourceMappings } from "../../shared/restore/event-source-mappings.ts";
import type { StateBackend } from "../../shared/state/state-backend.ts";
import type { CheckpointStorage } from "../../shared/storage/checkpoint-storage.ts";

export interface Stores {
  readonly control: ControlStore;
  readonly state: StateBackend;
  readonly storage: CheckpointStorage;
}

export type Fault =
  /** Not applied; the caller is told so, and lives. */
  | "refused"
  /** Applied; the caller hears nothing of it and gets a time-out. */
  | "answer lost"
  /** Applied, its answer lost, sent again by the client: the caller gets the second answer. */
  | "sent twice"
  /** The caller gets a time-out; the call is applied when it is released. */
  | "delayed"
  /** The process is dead before the call is sent. */
  | "dies before"
  /** The process is dead once the call was applied. */
  | "dies after"
  /** The process is dead, and the call it sent last is applied when it is released. */
  | "dies, delayed";

export class ProcessDied extends Error {
  constructor(call: string) {
    super(`the process died at ${call}`);
  }
}

export interface Call {
  /** Counts the calls of its process, from 1. */
  readonly number: number;
  readonly store: Port;
  readonly method: string;
  readonly given: readonly unknown[];
  /** Which of the protocol's steps it is, for tests that wait for one. */
  readonly step: string;
}

type Port = keyof Stores | "mappings";

const READS = new Set(["get", "list", "load", "scan", "read", "look"]);
const ITERATED = new Set(["list", "scan"]);
const CALLS = new Set([
  ...READS,
  "update",
  "delete",
  "write",
  "remove",
  "createExclusively",
  "replace",
  "removeOlderGenerations",
  "turn",
]);

export const isWrite = (call: Call): boolean => !READS.has(call.method);

interface Gate {
  readonly matches: (call: Call) => boolean;
  readonly arrive: () => void;
  readonly opened: Promise<void>;
  used: boolean;
}

export class FaultyProcess {
  readonly stores: Stores;
  readonly log: string[] = [];
  dead = false;
  calls = 0;
  /** Waited for at every call: a scheduler's turn. */
  turn: (() => Promise<void>) | undefined;
  /** Asked at every call. */
  plan: (call: Call) => Fault | undefined;
  readonly #held: (() => Promise<unknown>)[] = [];
  readonly #gates: Gate[] = [];

  constructor(stores: Stores, plan: (call: Call) => Fault | undefined = () => undefined) {
    this.plan = plan;
    this.stores = {
      control: this.#wrap("control", stores.control),
      state: this.#wrap("state", stores.state),
      storage: this.#wrap("storage", stores.storage),
    };
  }

  /** The mappings as this process reaches them. */
  mappings(mappings: EventSourceMappings): EventSourceMappings {
    return this.#wrap("mappings", mappings);
  }

  /** Nothing this process does from here on reaches a store. */
  kill(): void {
    this.dead = true;
  }

  /** Holds the process at the first call that matches, before it is sent, until `release` is called. */
  pauseAt(matches: (call: Call) => boolean): { readonly reached: Promise<void>; release(): void } {
    let arrive: () => void = () => {};
    let release: () => void = () => {};
    const reached = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const opened = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#gates.push({ matches, arrive, opened, used: false });
    return { reached, release };
  }

  /** The calls that were held back arrive, in the order they were sent. */
  async releaseDelayed(): Promise<number> {
    const held = this.#held.splice(0);
    // What such a call answers, or throws, reaches nobody any more.
    for (const apply of held) await apply().catch(() => undefined);
    return held.length;
  }

  #wrap<Store extends object>(name: Port, store: Store): Store {
    return new Proxy(store, {
      get: (target, member) => {
        const method = Reflect.get(target, member) as unknown;
        if (typeof method !== "function") return method;
        if (typeof member !== "string" || !CALLS.has(member)) return method.bind(target);
        return (...given: unknown[]) => {
          const run = (again: readonly unknown[] = given): unknown => Reflect.apply(method, target, again);
          // A store may answer without a promise; what this process hears is always one.
          if (!ITERATED.has(member)) return this.#call(name, member, given, async (again) => run(again));
          return this.#iterate(name, member, given, run as never);
        };
      },
    });
  }

  async *#iterate(
    store: Port,
    method: string,
    given: readonly unknown[],
    run: () => AsyncIterable<unknown>,
  ): AsyncGenerator<unknown> {
    await this.#call(store, method, given, async () => undefined);
    for await (const one of run()) {
      if (this.dead) throw new ProcessDied(`${store}.${method}`);
      yield one;
    }
  }

  async #call(
    store: Port,
    method: string,
    given: readonly unknown[],
    run: (given?: readonly unknown[]) => Promise<unknown>,
  ): Promise<unknown> {
    const step = stepOf(store, method, given);
    if (this.dead) throw new ProcessDied(step);
    this.calls += 1;
    const call: Call = { number: this.calls, store, method, given, step };
    this.log.push(step);
    for (const gate of this.#gates) {
      if (gate.used || !gate.matches(call)) continue;
      gate.used = true;
      gate.arrive();
      await gate.opened;
      if (this.dead) throw new ProcessDied(step);
    }
    if (this.turn !== undefined) {
      await this.turn();
      if (this.dead) throw new ProcessDied(step);
    }
    const fault = this.plan(call);
    if (fault === undefined) return run();
    return this.#goWrong(fault, call, run);
  }

  async #goWrong(fault: Fault, call: Call, run: (given?: readonly unknown[]) => Promise<unknown>): Promise<unknown> {
    const applied = isWrite(call);
    if (fault.startsWith("dies")) this.kill();
    if (fault === "refused") throw throttled(call);
    if (fault === "dies before") throw new ProcessDied(call.step);
    // A stream can be read once only: what is sent twice or late is kept.
    const given = call.store === "storage" && call.method === "write" ? await kept(call.given) : call.given;
    if (fault === "delayed" || fault === "dies, delayed") {
      if (applied) this.#held.push(() => run(given));
      throw fault === "delayed" ? timedOut(call) : new ProcessDied(call.step);
    }
    if (applied) await run(given);
    if (fault === "answer lost") throw timedOut(call);
    if (fault === "dies after") throw new ProcessDied(call.step);
    return run(given);
  }
}

const throttled = ({ step }: Call) => new TidemarkError("retry", `throttled: ${step}`);
const timedOut = ({ step }: Call) => new TidemarkError("retry", `no answer: ${step}`);

async function kept(given: readonly unknown[]): Promise<readonly unknown[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of given[1] as AsyncIterable<Uint8Array>) chunks.push(chunk);
  const body: AsyncIterable<Uint8Array> = {
    async *[Symbol.asyncIterator]() {
      yield* chunks;
    },
  };
  return [given[0], body];
}

/** The protocol's name of a call, told from what it writes: `begin s`, `end s`, `trigger`, `state.write a`, … */
function stepOf(store: Port, method: string, given: readonly unknown[]): string {
  if (store === "mappings") return `mapping ${method} ${given.join(" ")}`;
  if (store === "storage") return `storage.${method} ${String(given[0])}`;
  if (store === "state") return `state.${method} ${stateKey(method, given)}`;
  if (method === "list") return `control.list ${String(given[0])}`;
  const { partition, sort } = given[0] as ItemKey;
  if (method !== "update") return `control.${method} ${partition}/${sort}`;
  const write = given[1] as ConditionalWrite;
  const sets = new Set((write.set ?? []).map(([[name]]) => name));
  const adds = new Set((write.add ?? []).map(([[name]]) => name));
  const attempted = write.conditions.some((one) => "attribute" in one && one.attribute[0] === "attempt");
  if (partition === "CONTROL") return controlStep(sets, write);
  if (!partition.startsWith("SPLIT#")) return `control.update ${partition}/${sort}`;
  return `${splitStep(sets, adds, attempted, write)} ${sort}`;
}

function stateKey(method: string, given: readonly unknown[]): string {
  if (method === "write") return (given[1] as { readonly key: string }).key;
  if (method === "load") return (given[1] as readonly string[]).join(",");
  return method === "remove" ? String(given[1]) : "";
}

function controlStep(sets: ReadonlySet<string>, write: ConditionalWrite): string {
  const restoreMember = write.set?.some(([[name, member]]) => name === "restore" && member !== undefined);
  if (sets.has("maxGen")) return sets.has("mode") ? "make control" : "record restore";
  if (sets.has("epoch") && sets.has("checkpoint")) return "trigger";
  if (sets.has("restoredFrom")) return "flip control";
  if (sets.has("phase")) return "finish restore";
  if (sets.has("requested")) return sets.has("pins") ? "request" : "refuse request";
  if (sets.has("mappingsOff")) return "owe mapping";
  if (restoreMember) return "record loaded";
  if (sets.has("deleting")) return "announce deletions";
  if (sets.has("pins")) return "pin";
  if (sets.has("checkpoint")) {
    const member = write.set?.find(([[name]]) => name === "checkpoint")?.[0][1];
    if (member === undefined) return "status";
    return member === "settled" ? "settled" : `status ${member}`;
  }
  return "control.update";
}

function splitStep(
  sets: ReadonlySet<string>,
  adds: ReadonlySet<string>,
  attempted: boolean,
  write: ConditionalWrite,
): string {
  if (sets.has("attempt")) return "birth put";
  if (sets.has("gen")) return adds.has("attempt") ? "flip" : "birth";
  if (sets.has("consecutiveDeadLetters")) return "end";
  if (sets.has("epoch")) return attempted ? "barrier" : "move";
  if (adds.has("begun") || sets.has("freshAt")) return adds.size === 0 ? "look" : "begin";
  if (adds.has("attempt")) return "give up";
  if (sets.has("pendingEpoch")) return "ask";
  if (sets.has("resolved")) return "resolve";
  if (sets.has("skip")) return "ask to skip";
  if (sets.has("failing") || write.remove !== undefined) return attempted ? "enter" : "leave";
  if (!sets.has("phase")) return "split";
  return write.set?.some(([, right]) => "value" in right && right.value === "RUNNING") ? "run" : "hold";
}
