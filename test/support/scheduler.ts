/**
 * Runs several processes of a test world side by side, one store call at a time, in an order that a seed decides.
 *
 * A call is let through, and then its process runs until it waits for its next one: what is compressed or read as a
 * stream in between takes real time, but nothing else runs meanwhile, so that a seed gives one history.
 */
import { setImmediate } from "node:timers/promises";
import { settled } from "./every-call.ts";
import type { FaultyProcess } from "./faulty-stores.ts";
import type { SeededRandomness } from "./seeded-randomness.ts";

interface Actor {
  readonly process: FaultyProcess;
  readonly waiting: (() => void)[];
  finished: boolean;
  failed: unknown;
  /** Not let through before this step. */
  heldUntil: number;
}

export class Scheduler {
  readonly actors: Actor[] = [];
  steps = 0;
  readonly #random: SeededRandomness;

  constructor(random: SeededRandomness) {
    this.#random = random;
  }

  get running(): number {
    return this.actors.filter(({ finished }) => !finished).length;
  }

  async start(process: FaultyProcess, act: () => Promise<unknown>): Promise<void> {
    const actor: Actor = { process, waiting: [], finished: false, failed: undefined, heldUntil: 0 };
    process.turn = () => new Promise<void>((resolve) => void actor.waiting.push(resolve));
    this.actors.push(actor);
    settled(act()).then(
      () => {
        actor.finished = true;
      },
      (thrown) => {
        actor.finished = true;
        actor.failed = thrown;
      },
    );
    await this.#untilWaiting(actor);
  }

  /** Holds a process that runs, for as long as it may be: a zombie. */
  hold(steps: number): void {
    const actor = this.#choose(() => true);
    if (actor !== undefined) actor.heldUntil = this.steps + steps;
  }

  kill(): void {
    this.#choose(() => true)?.process.kill();
  }

  /** Lets one call of one process through. @returns whether there was one */
  async step(): Promise<boolean> {
    this.steps += 1;
    const actor = this.#choose(({ heldUntil }) => heldUntil <= this.steps) ?? this.#choose(() => true);
    if (actor === undefined) return false;
    const [go] = actor.waiting.splice(this.#random.below(actor.waiting.length), 1);
    go?.();
    await this.#untilWaiting(actor);
    if (actor.failed !== undefined) throw actor.failed;
    return true;
  }

  #choose(fits: (actor: Actor) => boolean): Actor | undefined {
    const able = this.actors.filter((actor) => !actor.finished && actor.waiting.length > 0 && fits(actor));
    return able[this.#random.below(able.length)];
  }

  async #untilWaiting(actor: Actor): Promise<void> {
    do {
      await setImmediate();
    } while (!actor.finished && actor.waiting.length === 0);
  }
}
