/** What happens to a history from outside: records arrive, time passes, processes are killed, stalled ones wake. */
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import { MINUTE_MS } from "./setup.ts";
import type { SimulatedSplit } from "./simulated-source.ts";
import type { Part, Turn } from "./turn.ts";

/** Longer than any invocation lives and any request is on its way: what forgetting tombstones relies on. */
const LIFETIME_MS_MAX = 74 * MINUTE_MS;

export class Surroundings implements Part {
  readonly turns: readonly Turn[];
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  #killsLeft: number;

  constructor(scene: Scene, invocations: Invocations) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#killsLeft = scene.setup.kills;
    const { monitor, setup } = scene;
    this.turns = [
      { weight: 1, begin: () => this.#arriveSome() },
      { weight: 1, begin: () => this.#passTime() },
      { weight: 1, begin: () => this.#disturb() },
      { weight: 1, begin: () => this.wake() },
      {
        // Records that a replay is on its way to are forgotten.
        weight: setup.expiry && setup.restores > 0 ? 1 : 0,
        begin: () => this.#passTime(),
        reaction: () => (monitor.known?.phase === "REPLAYING" ? 0.03 : 0),
      },
    ];
  }

  #arriveSome(): boolean {
    const { choices, coverage, nowMs, source, tell } = this.#scene;
    const splits = [...source.splits.values()];
    const split = splits[choices.below(splits.length)] as SimulatedSplit;
    if (source.arrive(split, nowMs)) tell?.(`${split.split}${split.arrived} arrives`);
    else if (source.close(split)) {
      coverage.hit("a split closes and its children begin");
      tell?.(`${split.split} closes`);
    }
    return true;
  }

  #passTime(): boolean {
    const { choices, coverage, scheduler, setup, source, tell } = this.#scene;
    const { jumpsMs, clears } = setup;
    if (jumpsMs.length === 0) return false;
    const ms = jumpsMs[choices.below(jumpsMs.length)] as number;
    this.#scene.nowMs += ms;
    coverage.hit("time passes");
    tell?.(`${ms / MINUTE_MS} minutes pass`);
    if (source.expire(this.#scene.nowMs) > 0) coverage.hit("records expire");
    for (const { split, expired } of source.splits.values()) {
      if (expired > 0) tell?.(`${split}1..${expired} have expired`);
    }
    if (!clears) return true;
    const oldest = this.#scene.nowMs - LIFETIME_MS_MAX;
    for (const process of this.#scene.processes) if (process.startedAtMs < oldest) this.#invocations.kill(process);
    const { late } = scheduler;
    for (let index = late.length - 1; index >= 0; index -= 1) {
      if ((late[index]?.process.startedAtMs ?? 0) < oldest) late.splice(index, 1);
    }
    return true;
  }

  /** A process is killed, or a call that nobody waits for arrives. */
  #disturb(): boolean {
    const { choices, coverage, processes, scheduler } = this.#scene;
    if (scheduler.late.length > 0 && choices.chance(0.5)) {
      coverage.hit("a late call arrives");
      scheduler.arrive();
      return true;
    }
    const living = processes.filter(({ dead }) => !dead);
    if (this.#killsLeft === 0 || living.length === 0) return true;
    this.#killsLeft -= 1;
    coverage.hit("a process is killed");
    this.#invocations.kill(living[choices.below(living.length)] as Process);
    return true;
  }

  /** @returns whether anybody was stalled */
  wake(): boolean {
    const { choices, coverage, monitor, processes, tell } = this.#scene;
    const stalled = processes.filter((process) => process.stalled && !process.dead);
    const process = stalled[choices.below(stalled.length)];
    if (process === undefined) return false;
    process.stalled = false;
    coverage.hit("a stalled process wakes");
    if ((monitor.known?.gen ?? 1) > 1) coverage.hit("a stalled process wakes after a restore");
    tell?.(`${process.name} wakes`);
    return true;
  }
}
