/**
 * All histories of a small app, on the same code: every order of calls with at most so many preemptions, and every
 * fault at every call, as far as they lead to states that were not met before.
 *
 * A state is what the stores hold, what each process was answered so far (its code depends on nothing else), what waits,
 * and what may still go wrong. Once it was met, what follows is known. Bounds: the calls are those of the first phase;
 * when the faults stop, one order is taken to the end and judged.
 */
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import type { ItemKey, UpdateAnswer } from "../../shared/control/control-store.ts";
import type { StateScope } from "../../shared/state/state-backend.ts";
import type { StateItem } from "../../shared/state/state-item.ts";
import type { Choices } from "./choices.ts";
import { Coverage } from "./coverage.ts";
import { History } from "./history.ts";
import type { Scene } from "./scene.ts";
import { type Call, FAULTS, type Fault } from "./scheduler.ts";
import type { Setup } from "./setup.ts";
import { Violation } from "./violation.ts";
import { PortStores, type Watcher } from "./world-stores.ts";

export interface Exploration {
  readonly name: string;
  readonly setup: Setup;
  /** Preemptions in the first phase: a process that could go on waits for another. */
  readonly switchesMax: number;
}

export interface Explored {
  readonly states: number;
  readonly histories: number;
  /** Every history within the bounds was played, or led to a state that was met before. */
  readonly whole: boolean;
  readonly violation: { readonly promise: string; readonly choices: readonly number[] } | undefined;
}

/** Depth first: takes the first way that was not yet taken, and 0 from there on. */
class DepthFirst implements Choices {
  readonly taken: number[] = [];
  readonly #ends: number[] = [];
  #closed = false;
  #at = 0;

  below(end: number): number {
    if (end <= 1 || this.#closed) return 0;
    const at = this.#at++;
    if (at === this.taken.length) {
      this.taken.push(0);
      this.#ends.push(end);
    }
    return this.taken[at] as number;
  }

  chance(probability: number): boolean {
    return probability > 0 && this.below(2) === 1;
  }

  /** Past what is a repeat of the history before. */
  get isNew(): boolean {
    return this.#at >= this.taken.length;
  }

  close(): void {
    this.#closed = true;
  }

  /** @returns whether there is another way */
  next(): boolean {
    this.taken.length = Math.min(this.taken.length, this.#at);
    this.#ends.length = this.taken.length;
    this.#closed = false;
    this.#at = 0;
    for (;;) {
      const last = this.taken.pop();
      const end = this.#ends.pop();
      if (last === undefined || end === undefined) return false;
      if (last + 1 >= end) continue;
      this.taken.push(last + 1);
      this.#ends.push(end);
      return true;
    }
  }
}

class Met extends Error {}

/** What the stores hold, kept as text beside them. */
class Mirror implements Watcher {
  readonly #held = new Map<string, string>();
  readonly #watcher: Watcher;
  constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  get text(): string {
    return [...this.#held].sort(([one], [other]) => (one < other ? -1 : 1)).join(";");
  }

  control(key: ItemKey, write: ConditionalWrite, answer: UpdateAnswer): void {
    if (answer.applied) this.#held.set(`${key.partition}/${key.sort}`, JSON.stringify(answer.after));
    this.#watcher.control(key, write, answer);
  }
  controlRemoved(key: ItemKey): void {
    this.#held.delete(`${key.partition}/${key.sort}`);
    this.#watcher.controlRemoved(key);
  }
  state(functionName: string, item: StateItem, written: boolean): void {
    if (written) this.#held.set(`${item.generation}:${item.key}`, JSON.stringify(item));
    this.#watcher.state(functionName, item, written);
  }
  stateRemoved(scope: StateScope, key: string | undefined): void {
    if (key !== undefined) this.#held.delete(`${scope.generation}:${key}`);
    this.#watcher.stateRemoved(scope, key);
  }
  object(path: string, body: Uint8Array | undefined): void {
    if (body === undefined) this.#held.delete(path);
    else this.#held.set(path, Buffer.from(body).toString("utf8"));
    this.#watcher.object(path, body);
  }
}

/** @param deadline asked now and then: whether to break off */
export async function explore(exploration: Exploration, deadline: () => boolean = () => false): Promise<Explored> {
  const choices = new DepthFirst();
  const met = new Set<string>();
  const names = new Map<string, string>();
  /** A short name for a long text: texts are equal exactly where their names are. */
  const named = (text: string): string => {
    const found = names.get(text) ?? names.size.toString(36);
    names.set(text, found);
    return found;
  };
  let histories = 0;
  do {
    if (deadline()) return { states: met.size, histories, whole: false, violation: undefined };
    let mirror: Mirror | undefined;
    const turn = (scene: Scene, outside: string): void => {
      if (!choices.isNew) return;
      const { scheduler, processes } = scene;
      const waiting = scheduler.waiting.map(({ process, method }) => `${process.name}${method.name}`).join();
      const trails = processes.map(({ trail, dead }) => (dead ? "-" : trail)).join();
      const late = scheduler.late.map(
        ({ process, method, first }) => `${process.name}${method.name}${JSON.stringify(first)}`,
      );
      const { faultsLeft, running, switchesLeft } = scheduler;
      const rest = `${waiting}|${late.join()}|${faultsLeft}|${switchesLeft}|${running?.name}|${outside}`;
      const state = `${named(mirror?.text ?? "")}|${trails}|${rest}`;
      if (met.has(state)) throw new Met();
      met.add(state);
    };
    const history = new History({
      choices,
      coverage: new Coverage(),
      setup: exploration.setup,
      open: (surroundings) => {
        mirror = new Mirror(surroundings.watcher);
        surroundings.scheduler.switchesLeft = exploration.switchesMax;
        return new PortStores(surroundings.scheduler, mirror);
      },
      comparing: {
        turn,
        calm: () => choices.close(),
        answered: ({ process, method }: Call, answer: unknown) => {
          process.trail = named(`${process.trail}|${method.name}|${spell(answer)}`);
        },
      },
    });
    histories += 1;
    try {
      await history.run();
    } catch (thrown) {
      if (thrown instanceof Violation) {
        const violation = { promise: thrown.message, choices: [...choices.taken] };
        return { states: met.size, histories, whole: false, violation };
      }
      if (!(thrown instanceof Met)) throw thrown;
    }
    if (histories % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  } while (choices.next());
  return { states: met.size, histories, whole: true, violation: undefined };
}

const spell = (answer: unknown): string =>
  answer instanceof Map ? JSON.stringify([...answer]) : (JSON.stringify(answer) ?? "");

const SMALL: Setup = {
  mode: "exactly-once",
  splits: [],
  sharedKeys: true,
  mappings: 1,
  batchMax: 1,
  caches: false,
  slices: 1,
  retained: 2,
  triesMax: 2,
  maxConsecutiveDeadLetters: 100,
  poison: new Set(),
  killers: new Set(),
  redrives: 0,
  versions: false,
  expiry: false,
  jumpsMs: [],
  clears: false,
  checkpoints: 0,
  restores: 0,
  headStart: false,
  lastCheckpoint: false,
  lastRestore: false,
  duplicates: 0,
  kills: 0,
  actions: 0,
  eagerness: 0,
  faultsMax: 1,
  treatment: { switching: 0.5, faultiness: 0.5, faults: FAULTS, stalling: 0 },
};

const split = (name: string, letters: string) => ({ split: name, letters, parents: [], early: letters.length });

/** A process dies, before or after its call, or with its call still on the way. */
export const CRASHES: readonly Fault[] = FAULTS.filter((fault) => fault.startsWith("dies"));

/** Two splits, two keys, three events, a checkpoint, one fault. */
export function oneCheckpoint(faults: readonly Fault[], switchesMax: number): Exploration {
  const script = [["deliver", "deliver", "coordinate"], ["deliver"], ["deliver"]] as const;
  return {
    name: `2 splits, 2 keys, 3 events, 1 checkpoint, ${faults.length === 0 ? "no fault" : "1 fault"}`,
    switchesMax,
    setup: {
      ...SMALL,
      splits: [split("s", "ab"), split("t", "a")],
      script,
      actions: script.length,
      faultsMax: faults.length === 0 ? 0 : 1,
      treatment: { ...SMALL.treatment, faults },
    },
  };
}

/** One split, a checkpoint, a restore of it, one crash. */
export function oneRestore(faults: readonly Fault[], switchesMax: number): Exploration {
  const script = [["deliver"], ["coordinate"], ["deliver", "restore"], ["deliver"], ["deliver"]] as const;
  return {
    name: `1 split, 1 restore, ${faults.length === 0 ? "no crash" : "1 crash"}`,
    switchesMax,
    setup: {
      ...SMALL,
      splits: [split("s", "aba")],
      script,
      actions: script.length,
      faultsMax: faults.length === 0 ? 0 : 1,
      treatment: { ...SMALL.treatment, faults },
    },
  };
}
