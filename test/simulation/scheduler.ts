/**
 * Lets the processes of a history on, one call at a time, in the order that its choices say.
 *
 * Invariants:
 * - A call is carried out alone, and then its process runs until it waits for its next call: every interleaving of
 *   calls can happen, and nothing else decides it.
 * - A dead process never hears of anything again: its promises are left unsettled.
 */
import { TidemarkError } from "../../shared/errors.ts";
import type { Choices } from "./choices.ts";
import type { Coverage } from "./coverage.ts";
import type { Process } from "./process.ts";

/** What can happen to a call besides being answered. */
export const FAULTS = [
  /** Not applied; the caller is told so, and lives. */
  "refused",
  /** Applied; the caller hears nothing of it and gets a time-out. */
  "answer lost",
  /** Applied, its answer lost, sent again by the client: the caller gets the second answer. */
  "sent twice",
  /** The caller gets a time-out; the call is applied later, at any time. */
  "delayed",
  /** The process is dead before the call is sent. */
  "dies before",
  /** The process is dead once the call was applied. */
  "dies after",
  /** The process is dead, and the call it sent last is applied later, at any time. */
  "dies, delayed",
] as const;
export type Fault = (typeof FAULTS)[number];

/** A way to fail that a run must have come through. */
export interface NamedFailure {
  readonly name: string;
  readonly make: () => Error;
}

/** What a call is, for the log and for deciding what may happen to it. One object for each method, made once. */
export interface Method {
  readonly store: "control" | "state" | "storage" | "source" | "mapping" | "clock";
  readonly name: string;
  readonly writes: boolean;
  /** What its caller is told when it was not carried out. @default one error of Tidemark's own */
  readonly refusals?: readonly NamedFailure[];
  /** What its caller is told when nobody knows whether it was. @default one error of Tidemark's own */
  readonly noAnswers?: readonly NamedFailure[];
  /** The call in words; asked only where somebody reads it. */
  readonly spell: (first: never, second: never) => string;
}

export interface Call {
  readonly process: Process;
  readonly method: Method;
  /** What the method was given, for its words. */
  readonly first: unknown;
  readonly second: unknown;
  /** May be carried out twice, or late. */
  readonly run: () => Promise<unknown>;
  readonly resolve: (answer: never) => void;
  readonly reject: (thrown: unknown) => void;
}

export interface SchedulerOptions {
  readonly choices: Choices;
  readonly coverage: Coverage;
  /** Told everything that happens, in words; absent in all but replays. */
  readonly tell?: ((line: string) => void) | undefined;
  /**
   * When all that a call set going has come to its next call: after the microtasks, or, where a client's machinery is
   * in between, once nothing of this turn of the event loop is left.
   */
  readonly settle: "microtasks" | "event loop";
}

export type { Choices };

/** How a history treats its calls; drawn by its seed. */
export interface Treatment {
  /** Another process goes on than the one that has just done. */
  readonly switching: number;
  /** A call goes wrong. */
  readonly faultiness: number;
  readonly faults: readonly Fault[];
  /** The process is stalled instead of being let on. */
  readonly stalling: number;
}

const CALM: Treatment = { switching: 0.2, faultiness: 0, faults: [], stalling: 0 };
const SETTLED = Promise.resolve();

export class Scheduler {
  readonly waiting: Call[] = [];
  /** Sent, not yet applied: nobody waits for them any more. */
  readonly late: Call[] = [];
  treatment: Treatment = CALM;
  faultsLeft = 0;
  /** The process whose call this is stalls before it: once. */
  stallsAt: ((call: Call) => boolean) | undefined;
  steps = 0;
  /** Why the history cannot go on: seen at the next turn, whoever swallows it. */
  broken: unknown;
  /** Whose code runs. */
  running: Process | undefined;
  readonly #options: SchedulerOptions;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** How a port's call enters: it is carried out when its turn comes. */
  call<Answer>(
    process: Process,
    method: Method,
    run: () => Promise<Answer>,
    first?: unknown,
    second?: unknown,
  ): Promise<Answer> {
    // One of its own: a promise that all the dead waited for would keep their histories for ever.
    if (process.dead) return new Promise<never>(() => {});
    return new Promise<Answer>((resolve, reject) => {
      this.waiting.push({ process, method, first, second, run, resolve, reject });
    });
  }

  kill(process: Process): void {
    process.dead = true;
    for (let index = this.waiting.length - 1; index >= 0; index -= 1) {
      if (this.waiting[index]?.process === process) this.waiting.splice(index, 1);
    }
    process.forsake();
  }

  /**
   * Runs turns until `turn` answers false. A turn lets one call through with {@link Scheduler.step}, or does something
   * else; after it, everything that it set going comes to its next call.
   */
  run(turn: () => boolean): Promise<void> {
    const { settle } = this.#options;
    return new Promise((resolve, reject) => {
      const next = (): void => {
        try {
          if (this.broken !== undefined) throw this.broken;
          if (turn()) defer();
          else resolve();
        } catch (thrown) {
          reject(thrown);
        }
      };
      // A tick that is asked for by a microtask comes when all microtasks are done; one asked for by a tick, before.
      const tick = (): void => process.nextTick(next);
      const defer = settle === "microtasks" ? (): void => void SETTLED.then(tick) : (): void => void setImmediate(next);
      defer();
    });
  }

  /** Lets one call through. @returns whether there was one that may be */
  step(): boolean {
    const call = this.#choose();
    if (call === undefined) return false;
    if (this.stallsAt?.(call) === true) {
      this.stallsAt = undefined;
      this.waiting.push(call);
      this.#stall(call.process);
      return true;
    }
    this.carryOut(call, this.#fault(call));
    return true;
  }

  /** Lets a call through, that is out of `waiting` by now. */
  carryOut(call: Call, fault: Fault | undefined): void {
    this.steps += 1;
    this.running = call.process;
    if (fault === undefined) {
      this.#tell(call, "");
      call.run().then(call.resolve as (answer: unknown) => void, call.reject);
      return;
    }
    this.faultsLeft -= 1;
    this.#options.coverage.fault(fault, call.method.writes);
    this.#tell(call, fault);
    this.#goWrong(fault, call);
  }

  /** A call that nobody waits for any more arrives. */
  arrive(index = this.#options.choices.below(this.late.length)): void {
    const [call] = this.late.splice(index, 1);
    if (call === undefined) return;
    this.#tell(call, "arrives late");
    this.running = call.process;
    // What it answers, or throws, reaches nobody.
    call.run().catch(() => {});
  }

  #choose(): Call | undefined {
    const { choices } = this.#options;
    const { switching, stalling } = this.treatment;
    let able = 0;
    let same = -1;
    for (let index = 0; index < this.waiting.length; index += 1) {
      const { process } = this.waiting[index] as Call;
      if (process.stalled) continue;
      able += 1;
      if (process === this.running && same < 0) same = index;
    }
    if (able === 0) return undefined;
    if (stalling > 0 && able > 1 && same >= 0 && choices.chance(stalling)) {
      this.#stall((this.waiting[same] as Call).process);
      return this.#choose();
    }
    if (same >= 0 && !(able > 1 && choices.chance(switching))) return this.take(same);
    let nth = choices.below(able);
    for (let index = 0; index < this.waiting.length; index += 1) {
      if ((this.waiting[index] as Call).process.stalled) continue;
      if (nth === 0) return this.take(index);
      nth -= 1;
    }
    return undefined;
  }

  #stall(process: Process): void {
    process.stalled = true;
    this.#options.coverage.hit("a process stalls");
    this.#options.tell?.(`${process.name} stalls`);
    process.forsake();
  }

  /** Takes a call out of `waiting`. */
  take(index: number): Call | undefined {
    const call = this.waiting[index];
    this.waiting.splice(index, 1);
    return call;
  }

  #fault({ method }: Call): Fault | undefined {
    const { choices } = this.#options;
    const { faultiness, faults } = this.treatment;
    if (this.faultsLeft <= 0 || faults.length === 0 || method.store === "clock") return undefined;
    return choices.chance(faultiness) ? faults[choices.below(faults.length)] : undefined;
  }

  #goWrong(fault: Fault, call: Call): void {
    const { method, process, reject, run } = call;
    const settle = (answer: Promise<unknown>, then: () => void): void => void answer.then(then, then);
    switch (fault) {
      case "refused":
        reject(
          this.#failure(method.refusals) ?? new TidemarkError("retry", `throttled: ${method.store}.${method.name}`),
        );
        return;
      case "answer lost":
        settle(method.writes ? run() : SETTLED, () => reject(this.#unanswered(method)));
        return;
      case "sent twice":
        settle(method.writes ? run() : SETTLED, () => run().then(call.resolve as (answer: unknown) => void, reject));
        return;
      case "delayed":
        if (method.writes) this.late.push(call);
        reject(this.#unanswered(method));
        return;
      case "dies before":
        this.kill(process);
        return;
      case "dies after":
        this.kill(process);
        if (method.writes) settle(run(), () => {});
        return;
      case "dies, delayed":
        this.kill(process);
        if (method.writes) this.late.push(call);
        return;
    }
  }

  #unanswered(method: Method): Error {
    return this.#failure(method.noAnswers) ?? timedOut(method);
  }

  #failure(failures: readonly NamedFailure[] | undefined): Error | undefined {
    if (failures === undefined) return undefined;
    const { choices, coverage } = this.#options;
    const { name, make } = failures[choices.below(failures.length)] as NamedFailure;
    coverage.hit(name);
    return make();
  }

  #tell({ process, method, first, second }: Call, what: string): void {
    const { tell } = this.#options;
    if (tell === undefined) return;
    const words = method.spell(first as never, second as never);
    tell(`${process.name}: ${method.store}.${method.name} ${words}${what === "" ? "" : `  [${what}]`}`);
  }
}

const timedOut = ({ store, name }: Method) => new TidemarkError("retry", `no answer: ${store}.${name}`);
