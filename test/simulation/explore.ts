/**
 * All histories of a small app, on the same code: every order of calls, and every fault at every call, as far as they
 * lead to states that were not met before.
 *
 * A state is what the stores hold, what each process was answered so far to which call and when (its code depends on
 * nothing else: not on the order in which what it asked for at once is answered), and what may still go wrong. Once it was met, what follows is known. Of two orders of calls that lead to the same
 * state in any case, one is left out (sleep sets: Godefroid, 1996): a read and whatever it does not see. Writes are
 * always tried in every order, because the watcher looks at each of them beside all before it.
 *
 * Bounds: the calls are those of the first phase; when the faults stop, one order is taken to the end and judged. Where
 * all orders are too many, only so many times is a process left for another while it could go on (preemption bounding:
 * Musuvathi and Qadeer, 2007); no order is left out then but for a state that was met.
 */
import type { Choices } from "./choices.ts";
import { Coverage } from "./coverage.ts";
import { type Footprint, footprintOf } from "./footprint.ts";
import { History } from "./history.ts";
import { Mirror } from "./mirror.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import type { Call, Fault } from "./scheduler.ts";
import type { Setup } from "./setup.ts";
import { Violation } from "./violation.ts";
import { PortStores } from "./world-stores.ts";

export interface Exploration {
  readonly name: string;
  readonly setup: Setup;
  /** How often a process is left for another though it could go on, in a history. @default any number of times */
  readonly preemptionsMax?: number;
}

export interface Explored {
  readonly states: number;
  readonly histories: number;
  /** Every history was played, or led to a state that was met before. */
  readonly whole: boolean;
  /** With everything that happened, a line each. */
  readonly violation: { readonly promise: string; readonly log: readonly string[] } | undefined;
}

/** What may happen next, in one state. */
interface Option {
  /** The same in every state in which it may happen. */
  readonly name: string;
  readonly process: string;
  readonly footprint: Footprint;
  /** What of it goes wrong. */
  readonly fault: Fault | undefined;
  /** Which of the calls that wait; after those, of those that are late; after those, none: it goes on without them. */
  readonly index: number;
}

/** A state on the way to the one that is looked at. */
interface Crossing {
  readonly options: readonly Option[];
  /** What need not happen first here: it did elsewhere, and nothing in between makes a difference to it. */
  readonly sleeping: readonly Option[];
  /** The option that is taken; those before it were. */
  at: number;
}

class Met extends Error {}

/** Whatever else is to be chosen is the plainest. */
const PLAINEST: Choices = { below: () => 0, chance: () => false };

/** Whether it makes a difference which of the two comes first. */
function conflict(one: Option, other: Option): boolean {
  const faults = (one.fault === undefined ? 0 : 1) + (other.fault === undefined ? 0 : 1);
  if (faults === 2 || (faults === 1 && one.process === other.process)) return true;
  const { reads, writes, everything } = one.footprint;
  if (everything || other.footprint.everything) return true;
  if (writes !== undefined && other.footprint.writes !== undefined) return true;
  return sees(reads, other.footprint.writes) || sees(other.footprint.reads, writes);
}

const sees = (reads: Footprint["reads"], written: string | undefined): boolean =>
  written !== undefined && reads.some((prefix) => written.startsWith(prefix));

class Search {
  readonly #sleeps: boolean;
  readonly #way: Crossing[] = [];
  /** State -> what was asleep in it when it was looked at: the rest was tried. */
  readonly #met = new Map<string, readonly string[]>();
  readonly #names = new Map<string, string>();
  #depth = 0;

  /** @param options.sleeps - leaves out orders that make no difference */
  constructor({ sleeps }: { readonly sleeps: boolean }) {
    this.#sleeps = sleeps;
  }

  get states(): number {
    return this.#met.size;
  }

  /** A short name for a long text: texts are equal exactly where their names are. */
  readonly named = (text: string): string => {
    const found = this.#names.get(text) ?? this.#names.size.toString(36);
    this.#names.set(text, found);
    return found;
  };

  /** How much of the whole is behind, taking every way for as long as any other beside it: 0 to 1. */
  get share(): number {
    let share = 0;
    let width = 1;
    for (const { at, options } of this.#way) {
      width /= options.length;
      share += at * width;
    }
    return share;
  }

  begin(): void {
    this.#depth = 0;
  }

  /** @returns whether there is another way */
  next(): boolean {
    for (;;) {
      const last = this.#way.at(-1);
      if (last === undefined) return false;
      last.at += 1;
      if (last.at < last.options.length) return true;
      this.#way.pop();
    }
  }

  /** @throws Met where nothing follows that was not tried elsewhere */
  choose(options: () => readonly Option[], state: () => string): Option {
    if (this.#depth === this.#way.length) this.#way.push(this.#cross(options(), state()));
    const crossing = this.#way[this.#depth] as Crossing;
    this.#depth += 1;
    return crossing.options[crossing.at] as Option;
  }

  #cross(options: readonly Option[], state: string): Crossing {
    const sleeping = this.#asleep();
    const asleep = new Set(sleeping.map(({ name }) => name));
    const before = this.#met.get(state);
    const owed = before === undefined ? undefined : new Set(before.filter((name) => !asleep.has(name)));
    this.#met.set(
      state,
      (before ?? [...asleep]).filter((name) => asleep.has(name)),
    );
    const tried = options.filter(({ name }) => (owed === undefined ? !asleep.has(name) : owed.has(name)));
    if (tried.length === 0) throw new Met();
    return { options: tried, sleeping, at: 0 };
  }

  /** After the last option that was taken: what was asleep there or tried before it, and makes no difference to it. */
  #asleep(): readonly Option[] {
    const last = this.#way.at(-1);
    if (last === undefined || !this.#sleeps) return [];
    const taken = last.options[last.at] as Option;
    return [...last.sleeping, ...last.options.slice(0, last.at)].filter((one) => !conflict(one, taken));
  }
}

/** @param isEnough - asked after each history, with the share of them all that is played by then: whether to break off */
export async function explore(
  exploration: Exploration,
  isEnough: (share: number) => boolean = () => false,
): Promise<Explored> {
  const search = new Search({ sleeps: exploration.preemptionsMax === undefined });
  let histories = 0;
  do {
    if (isEnough(search.share)) return { states: search.states, histories, whole: false, violation: undefined };
    search.begin();
    histories += 1;
    const promise = await brokenBy(begin(exploration, search));
    if (promise !== undefined) {
      const log: string[] = [];
      search.begin();
      await brokenBy(begin(exploration, search, (line) => void log.push(line)));
      return { states: search.states, histories, whole: false, violation: { promise, log } };
    }
    if (histories % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  } while (search.next());
  return { states: search.states, histories, whole: true, violation: undefined };
}

/** The promise that a history breaks, in words; undefined: none. */
async function brokenBy(history: History): Promise<string | undefined> {
  try {
    await history.run();
  } catch (thrown) {
    if (thrown instanceof Violation) return thrown.message;
    if (!(thrown instanceof Met)) throw thrown;
  }
  return undefined;
}

function begin({ setup, preemptionsMax }: Exploration, search: Search, tell?: (line: string) => void): History {
  let mirror: Mirror | undefined;
  let preemptionsLeft = preemptionsMax ?? Number.POSITIVE_INFINITY;
  const explorer = (scene: Scene, outside: string): boolean => {
    const { scheduler } = scene;
    const { running } = scheduler;
    const waiting = scheduler.waiting.length;
    if (waiting + scheduler.late.length === 0) return false;
    const isPreemption = (index: number): boolean =>
      preemptionsMax !== undefined &&
      index < waiting &&
      scheduler.waiting[index]?.process !== running &&
      scheduler.waiting.some(({ process }) => process === running);
    const { index, fault } = search.choose(
      () => {
        const options = optionsOf(scene, search.named);
        return preemptionsLeft > 0 ? options : options.filter((option) => !isPreemption(option.index));
      },
      () => {
        const bound = preemptionsMax === undefined ? "" : `${preemptionsLeft} ${running?.name}`;
        return `${mirror?.text}|${search.named(stateOf(scene))}|${outside}|${bound}`;
      },
    );
    if (isPreemption(index)) preemptionsLeft -= 1;
    if (index === waiting + scheduler.late.length) return false;
    if (index < waiting) letThrough(scene, scheduler.take(index) as Call, fault, search.named);
    else scheduler.arrive(index - waiting);
    return true;
  };
  return new History({
    ...{ setup, explorer, choices: PLAINEST, coverage: new Coverage(), tell },
    open: ({ watcher, ...surroundings }) => {
      mirror = new Mirror(watcher, search.named);
      return new PortStores({ ...surroundings, watcher: mirror });
    },
  });
}

const EVERYTHING: Footprint = { reads: [], writes: undefined, everything: true };

function stateOf({ processes, scheduler }: Scene): string {
  const heard = processes.map((process) => (process.dead ? "-" : heardBy(process))).join(";");
  const waiting = scheduler.waiting.map(({ process, method }) => `${process.name}${method.name}`).sort();
  return `${heard}|${waiting.join()}|${scheduler.late.map(nameOf).sort().join()}|${scheduler.faultsLeft}`;
}

const heardBy = ({ heard }: Process): string => [...heard].sort().join();

/** A process asks for nothing twice at once, but for what comes to the same. */
const nameOf = ({ process, method, first, second }: Call): string =>
  `${process.name} ${method.store}.${method.name} ${heardBy(process)} ${JSON.stringify([first, second])}`;

function optionsOf(scene: Scene, named: (text: string) => string): Option[] {
  const { scheduler, setup } = scene;
  const options: Option[] = [];
  for (const [index, call] of scheduler.waiting.entries()) {
    const { method } = call;
    const process = call.process.name;
    const footprint = footprintOf(call);
    const name = `${process} ${method.store}.${method.name} ${named(JSON.stringify([call.first, call.second]))}`;
    options.push({ name, process, footprint, fault: undefined, index });
    if (scheduler.faultsLeft <= 0 || method.store === "clock") continue;
    for (const fault of setup.treatment.faults) {
      if (method.writes || matters(fault)) options.push({ name: `${name} ${fault}`, process, footprint, fault, index });
    }
  }
  let index = scheduler.waiting.length;
  for (const call of scheduler.late) {
    const name = `late ${named(nameOf(call))}`;
    options.push({ name, process: name, footprint: footprintOf(call), fault: undefined, index });
    index += 1;
  }
  if (scheduler.waiting.length === 0) {
    options.push({ name: "go on", process: "", footprint: EVERYTHING, fault: undefined, index });
  }
  return options;
}

/** A read can fail, and its process die; nobody sees more of it. */
const matters = (fault: Fault): boolean => fault === "refused" || fault === "dies before";

function letThrough(scene: Scene, call: Call, fault: Fault | undefined, named: (text: string) => string): void {
  const { scheduler } = scene;
  const { process, method, first, second } = call;
  const asked = named(`${method.store}.${method.name} ${JSON.stringify([first, second])}`);
  const note = (answer: string): void => {
    const times = process.heard.filter((one) => one.startsWith(`${asked}:`)).length;
    process.heard.push(`${asked}:${times}:${named(answer)}:${scene.nowMs}`);
  };
  scheduler.carryOut(
    {
      ...call,
      resolve: (answer: never) => {
        note(spell(answer));
        call.resolve(answer);
      },
      reject: (thrown) => {
        note(`throws ${thrown}`);
        call.reject(thrown);
      },
    },
    fault,
  );
}

const spell = (answer: unknown): string =>
  answer instanceof Map ? JSON.stringify([...answer]) : (JSON.stringify(answer) ?? "");
