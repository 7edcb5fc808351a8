/** What begins, or happens to those that have begun, while anything can go wrong: drawn as it comes, within a budget. */
import type { Deliveries } from "./deliveries.ts";
import type { Invocations } from "./invocations.ts";
import type { Operations } from "./operations.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import { MINUTE_MS } from "./setup.ts";
import type { SimulatedSplit } from "./simulated-source.ts";

/** Longer than any invocation lives and any request is on its way: what forgetting tombstones relies on. */
const LIFETIME_MS_MAX = 74 * MINUTE_MS;

export class Turns {
  /** How much is still to begin. */
  left: number;
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  readonly #deliveries: Deliveries;
  readonly #operations: Operations;
  #checkpointsLeft: number;
  #restoresLeft: number;
  #killsLeft: number;

  constructor(scene: Scene, invocations: Invocations, deliveries: Deliveries, operations: Operations) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#deliveries = deliveries;
    this.#operations = operations;
    const { setup } = scene;
    this.left = setup.actions;
    this.#checkpointsLeft = setup.checkpoints;
    this.#restoresLeft = setup.restores;
    this.#killsLeft = setup.kills;
  }

  begin(): void {
    this.left -= 1;
    const { script } = this.#scene.setup;
    if (script !== undefined) {
      for (const action of script[script.length - 1 - this.left] ?? []) {
        if (action === "deliver") this.#deliveries.deliverNext();
        else if (action === "restore") this.#operations.startRestore(undefined, { carriedOn: true });
        else this.#operations.startCoordinator({ ask: true, savepoint: false, seconds: 2, pollMs: 1_000 });
      }
      return;
    }
    if (this.#restoresLeft > 0 && this.#scene.monitor.completed > 0 && this.#scene.choices.chance(0.25)) {
      this.#restore();
      return;
    }
    const dice = this.#scene.choices.below(20);
    if (dice < 9) this.#deliveries.deliverSome();
    else if (dice < 11) this.#deliveries.duplicate();
    else if (dice < 14) this.#coordinate();
    else if (dice < 15) this.#restore();
    else if (dice < 16) this.#arriveSome();
    else if (dice < 17) this.#passTime();
    else if (dice < 18) this.#disturb();
    else if (dice < 19) this.wake();
    else if (!this.#operations.putBack()) this.#deliveries.deliverSome();
  }

  #coordinate(): void {
    const control = this.#scene.monitor.known;
    const ask = this.#checkpointsLeft > 0 && this.#scene.choices.chance(0.7);
    const owed = control?.phase === "REPLAYING" || control?.checkpoint?.settled === false;
    if (!ask && !owed) {
      this.#deliveries.deliverSome();
      return;
    }
    if (ask) this.#checkpointsLeft -= 1;
    const savepoint = ask && this.#scene.choices.chance(0.15);
    if (savepoint) this.#scene.coverage.hit("a savepoint");
    const seconds = [40, 3, 10][this.#scene.choices.below(3)] as number;
    const pollMs = this.#scene.choices.chance(0.2) ? 25_000 : 1_000;
    this.#operations.startCoordinator({ ask, savepoint, seconds, pollMs });
  }

  #restore(): void {
    if (this.#restoresLeft === 0 || this.#scene.monitor.addressed.size === 0) {
      this.#coordinate();
      return;
    }
    this.#restoresLeft -= 1;
    const numbers = [...this.#scene.monitor.addressed.keys()];
    const checkpoint = this.#scene.choices.chance(0.5) ? numbers[this.#scene.choices.below(numbers.length)] : undefined;
    const alone = this.#scene.choices.chance(0.4);
    this.#operations.startRestore(checkpoint, { carriedOn: !alone });
  }

  #arriveSome(): void {
    const splits = [...this.#scene.source.splits.values()];
    const split = splits[this.#scene.choices.below(splits.length)] as SimulatedSplit;
    if (this.#scene.source.arrive(split, this.#scene.nowMs))
      this.#scene.tell?.(`${split.split}${split.arrived} arrives`);
    else if (this.#scene.source.close(split)) {
      this.#scene.coverage.hit("a split closes and its children begin");
      this.#scene.tell?.(`${split.split} closes`);
    }
  }

  #passTime(): void {
    const { jumpsMs, clears } = this.#scene.setup;
    if (jumpsMs.length === 0) {
      this.#deliveries.deliverSome();
      return;
    }
    const ms = jumpsMs[this.#scene.choices.below(jumpsMs.length)] as number;
    this.#scene.nowMs += ms;
    this.#scene.coverage.hit("time passes");
    this.#scene.tell?.(`${ms / MINUTE_MS} minutes pass`);
    if (this.#scene.source.expire(this.#scene.nowMs) > 0) this.#scene.coverage.hit("records expire");
    for (const { split, expired } of this.#scene.source.splits.values()) {
      if (expired > 0) this.#scene.tell?.(`${split}1..${expired} have expired`);
    }
    if (!clears) return;
    const oldest = this.#scene.nowMs - LIFETIME_MS_MAX;
    for (const process of this.#scene.processes) if (process.startedAtMs < oldest) this.#invocations.kill(process);
    const { late } = this.#scene.scheduler;
    for (let index = late.length - 1; index >= 0; index -= 1) {
      if ((late[index]?.process.startedAtMs ?? 0) < oldest) late.splice(index, 1);
    }
  }

  /** A process is killed, or a call that nobody waits for arrives. */
  #disturb(): void {
    if (this.#scene.scheduler.late.length > 0 && this.#scene.choices.chance(0.5)) {
      this.#scene.coverage.hit("a late call arrives");
      this.#scene.scheduler.arrive();
      return;
    }
    const living = this.#scene.processes.filter(({ dead }) => !dead);
    if (this.#killsLeft === 0 || living.length === 0) return;
    this.#killsLeft -= 1;
    this.#scene.coverage.hit("a process is killed");
    this.#invocations.kill(living[this.#scene.choices.below(living.length)] as Process);
  }

  wake(): void {
    const stalled = this.#scene.processes.filter((process) => process.stalled && !process.dead);
    const process = stalled[this.#scene.choices.below(stalled.length)];
    if (process === undefined) {
      this.#deliveries.deliverSome();
      return;
    }
    process.stalled = false;
    this.#scene.coverage.hit("a stalled process wakes");
    if ((this.#scene.monitor.known?.gen ?? 1) > 1) this.#scene.coverage.hit("a stalled process wakes after a restore");
    this.#scene.tell?.(`${process.name} wakes`);
  }
}
