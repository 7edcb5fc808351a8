/**
 * One history: an app, what happens to it, and the judgement.
 *
 * First a while of everything at once: deliveries of every shape, checkpoints, restores, faults, zombies, time. Then
 * the faults stop, what is still on its way arrives, and all must come to its end: every event folded once, a
 * checkpoint complete, a restore of it the same.
 */
import { CARRIER_MS_MAX } from "../../shared/restore/turn-mappings.ts";
import { Coordinators } from "./coordinators.ts";
import { Deliveries } from "./deliveries.ts";
import { Fleet } from "./fleet.ts";
import { HoldJudge } from "./hold-judge.ts";
import { Invocations } from "./invocations.ts";
import { Judge } from "./judge.ts";
import { Letters } from "./letters.ts";
import { FUNCTION } from "./recording-function.ts";
import { Renames } from "./renames.ts";
import { Restores } from "./restores.ts";
import { Scene, type SceneOptions } from "./scene.ts";
import type { Call } from "./scheduler.ts";
import { type Action, MINUTE_MS } from "./setup.ts";
import { SimulatedMapping } from "./simulated-mapping.ts";
import { Skips } from "./skips.ts";
import { Surroundings } from "./surroundings.ts";
import type { Duty, Part } from "./turn.ts";
import { Turns } from "./turns.ts";
import { promise, Violation } from "./violation.ts";

const LARGE_STATE_BYTES = 210_000;
/** A carrier tries a split that does not get on some 17 times, for some 200 calls each. */
const STEPS_MAX = 20_000;
const ROUNDS_MAX = 200;

export interface HistoryOptions extends SceneOptions {
  /**
   * How many histories have states of more than half of what a store's item holds, so that a before-image does not fit
   * beside them. @default 0
   */
  readonly largeStates?: number;
}

export class History {
  readonly scene: Scene;
  readonly #invocations: Invocations;
  readonly #deliveries: Deliveries;
  readonly #coordinators: Coordinators;
  readonly #restores: Restores;
  readonly #surroundings: Surroundings;
  /** Of a deployment. */
  readonly #mapping: SimulatedMapping | undefined;
  readonly #turns: Turns;
  readonly #duties: readonly Duty[];
  readonly #judge: Judge;

  constructor(options: HistoryOptions) {
    const scene = new Scene(options);
    this.scene = scene;
    const { deployment } = scene.setup;
    this.#judge = new Judge(scene);
    new HoldJudge(scene);
    this.#invocations = new Invocations(scene, scene.choices.chance(options.largeStates ?? 0) ? LARGE_STATE_BYTES : 0);
    this.#mapping = deployment && new SimulatedMapping(scene, FUNCTION, deployment);
    const fleet = deployment && new Fleet(scene, this.#invocations, deployment.workers);
    const deployed = this.#mapping && fleet && { mapping: this.#mapping, fleet };
    this.#deliveries = new Deliveries(scene, this.#invocations, this.#mapping);
    this.#coordinators = new Coordinators(scene, this.#invocations, deployed);
    this.#restores = new Restores(scene, this.#invocations, this.#coordinators);
    this.#surroundings = new Surroundings(scene, this.#invocations);
    const letters = new Letters(scene, this.#invocations);
    const renames = new Renames(scene, {
      ...{ invocations: this.#invocations, deliveries: this.#deliveries, coordinators: this.#coordinators },
    });
    const skips = new Skips(scene, this.#invocations);
    // Another kind of things that happen is one more part; `turn.ts` says what else it takes.
    const parts: readonly Part[] = [this.#coordinators, this.#restores, renames, this.#surroundings, letters, skips];
    const [first, ...turns] = [this.#deliveries, ...parts].flatMap((part) => part.turns ?? []);
    if (first === undefined) throw new Error("A history of no turns cannot be played.");
    this.#turns = new Turns(scene, { turns: [first, ...turns], script: (action) => this.#act(action) });
    // What is delivered comes last: a barrier may wait for it while a coordinator is at work.
    this.#duties = [...parts, this.#deliveries].flatMap((part) => part.duties ?? []);
  }

  /** @throws Violation */
  async run(): Promise<void> {
    const { choices, monitor, scheduler, setup, stores } = this.scene;
    if (setup.headStart) await this.#headStart();
    scheduler.treatment = setup.treatment;
    scheduler.faultsLeft = setup.faultsMax;
    if (setup.stallsAt !== undefined) {
      scheduler.stallsAt = (call) => (turnsOff(call) ? "turn mapping off" : stores.stepOf(call)) === setup.stallsAt;
    }
    await scheduler.run(() => this.#anything());
    await this.#settleDown({ checkpoint: setup.lastCheckpoint });
    await this.#judgeAll();
    const aborted = setup.lastCheckpoint && monitor.known?.checkpoint?.status !== "COMPLETED";
    // In a few of them: where nothing goes on besides, one shows little for its many calls.
    const none = setup.checkpoints > 0 && monitor.completed === 0 && choices.chance(0.2);
    if (aborted || none) await this.#lastCheckpoint();
    if (setup.lastRestore && monitor.completed > 0) await this.#lastRestore();
    if (setup.deployment?.lasts === true && monitor.known?.mappingsOff !== undefined) await this.#forgetMapping();
  }

  async #judgeAll(): Promise<void> {
    await this.#judge.judge();
    this.#mapping?.judge();
  }

  /** Of an action of a script. */
  #act(action: Action): void {
    if (action === "deliver") this.#deliveries.deliverNext();
    else if (action === "restore") this.#restores.start({}, { carriedOn: true });
    else this.#coordinators.start({ ask: true, savepoint: false, seconds: 2, pollMs: 1_000 });
  }

  /** Undisturbed: a batch of every split, and a checkpoint that can be restored. */
  async #headStart(): Promise<void> {
    const { scheduler } = this.scene;
    const toRest = () =>
      scheduler.run(() => {
        this.#mustGoOn();
        return scheduler.step();
      });
    this.#deliveries.deliverAll();
    await toRest();
    this.#coordinators.start({ ask: true, savepoint: false, seconds: 40, pollMs: 1_000 });
    await toRest();
    if (this.scene.setup.deployment?.restoredBefore !== true || this.scene.monitor.completed === 0) return;
    this.#restores.start({}, { carriedOn: true });
    await toRest();
    this.scene.nowMs += CARRIER_MS_MAX;
  }

  /** A turn of the while of everything at once. */
  #anything(): boolean {
    this.#mustGoOn();
    const { choices, coverage, explorer, scheduler, setup } = this.scene;
    if (explorer !== undefined) {
      if (explorer(this.scene, this.#outside())) return true;
      if (this.#turns.left > 0) this.#turns.begin();
      return !this.scene.isIdle || this.#turns.left > 0;
    }
    if (this.#turns.react()) return true;
    if (this.#turns.left > 0 && (this.scene.isIdle || choices.chance(setup.eagerness))) {
      this.#turns.begin();
      return true;
    }
    if (scheduler.late.length > 0 && choices.chance(0.05)) {
      coverage.hit("a late call arrives");
      scheduler.arrive();
      return true;
    }
    this.scene.nowMs += 1;
    return scheduler.step() || this.#turns.left > 0;
  }

  /** What the mappings know, and what is still to begin. */
  #outside(): string {
    return `${this.#deliveries.cursors} ${this.#turns.left} ${this.#invocations.count} ${this.scene.nowMs}`;
  }

  #mustGoOn(): void {
    const { failed, scheduler } = this.scene;
    if (failed !== undefined) throw failed;
    if (scheduler.steps > STEPS_MAX) throw new Violation(`nothing has come to its end after ${STEPS_MAX} calls`);
    this.#judge.readCommitted();
  }

  // --- the end of it

  /**
   * Faults stop; what is on its way arrives; everything is delivered, and every restore and checkpoint ends.
   *
   * @param options.checkpoint - takes one more while the rest is delivered
   */
  async #settleDown({ checkpoint = false } = {}): Promise<void> {
    const { scene } = this;
    const { coverage, scheduler, setup, tell } = scene;
    scheduler.treatment = { ...setup.treatment, faultiness: 0, faults: [], stalling: 0 };
    scheduler.faultsLeft = 0;
    scheduler.stallsAt = undefined;
    tell?.("the faults stop");
    scene.faultless = true;
    await this.#restores.repair();
    if (setup.maxConsecutiveDeadLetters < 100 || setup.triesMax > 2 || setup.brokenSchemas) {
      scene.repaired = true;
      coverage.hit("the function is repaired");
    }
    let owesCheckpoint = checkpoint;
    for (let round = 0; ; round += 1) {
      if (round > ROUNDS_MAX)
        throw new Violation(`the faults have stopped, and still not everything is done: ${this.#undone()}`);
      await scheduler.run(() => this.#toQuiet());
      if (scene.monitor.isHeld) await this.#judge.judgeHeld();
      const begins = owesCheckpoint && !this.#coordinators.areOwed && !scene.monitor.isHeld;
      if (begins) {
        owesCheckpoint = false;
        this.#coordinators.coordinateToTheEnd("a checkpoint meanwhile", {});
      }
      if (this.#next() || begins) continue;
      if (!scene.hasStalled) return;
      this.#surroundings.wake();
    }
  }

  #toQuiet(): boolean {
    this.#mustGoOn();
    const { scene } = this;
    const { choices, coverage, isIdle, scheduler } = scene;
    scene.nowMs += 1;
    if (scheduler.late.length > 0 && (isIdle || choices.chance(0.2))) {
      coverage.hit("a late call arrives");
      scheduler.arrive();
      return true;
    }
    if (scene.hasStalled && (scene.setup.zombies ? choices.chance(0.02) : isIdle || choices.chance(0.2))) {
      this.#surroundings.wake();
      return true;
    }
    return scheduler.step();
  }

  /** Begins the next thing that is still to be done. @returns whether there is one */
  #next(): boolean {
    const { nowMs, source } = this.scene;
    for (const split of source.splits.values()) {
      while (source.arrive(split, nowMs));
      source.close(split);
    }
    let any = false;
    for (const duty of this.#duties) any = duty() || any;
    return any;
  }

  #undone(): string {
    const { known, splits } = this.scene.monitor;
    const stand = [...splits].map(
      ([name, { phase, position }]) => `${name} ${phase} at ${position || "its beginning"}`,
    );
    const { phase, checkpoint } = known ?? {};
    return `control ${phase}, checkpoint ${checkpoint?.n} ${checkpoint?.status}${checkpoint?.settled ? ", settled" : ""}; ${stand.join(", ")}`;
  }

  async #lastCheckpoint(): Promise<void> {
    const { monitor } = this.scene;
    const before = monitor.known?.epoch ?? 0;
    this.#coordinators.coordinateToTheEnd("the last checkpoint", {});
    await this.#settleDown();
    const { checkpoint } = monitor.known ?? {};
    promise(checkpoint !== undefined && checkpoint.n > before && checkpoint.status === "COMPLETED", () => {
      return `nothing is wrong any more, and checkpoint ${checkpoint?.n} is ${checkpoint?.status}: ${checkpoint?.reason}`;
    });
    await this.#judgeAll();
  }

  async #lastRestore(): Promise<void> {
    const { monitor, source } = this.scene;
    const { gen = 0 } = monitor.known ?? {};
    const latest = monitor.latest;
    this.#restores.start({}, { carriedOn: true });
    await this.#settleDown();
    const control = monitor.known;
    // What the source has forgotten may be what a replay needs.
    const forgotten = [...source.splits.values()].some(({ expired }) => expired > 0);
    const refused = control?.gen === gen && forgotten;
    promise(refused || ((control?.gen ?? 0) > gen && control?.restoredFrom?.checkpoint === latest), () => {
      return `the latest checkpoint is ${latest}, and generation ${control?.gen} was restored from ${control?.restoredFrom?.checkpoint}`;
    });
    await this.#judgeAll();
  }

  /** Long after a restore nothing is owed any more, and the mapping is as it was. */
  async #forgetMapping(): Promise<void> {
    const { scene } = this;
    scene.coverage.hit("what a mapping was owed is forgotten");
    scene.nowMs += 30 * MINUTE_MS;
    this.#coordinators.coordinateToTheEnd();
    await this.#settleDown();
    promise(scene.monitor.known?.mappingsOff === undefined, () => {
      return "half an hour after the last restore control still says that a mapping is owed to be enabled";
    });
    await this.#judgeAll();
  }
}

const turnsOff = ({ method, second }: Call): boolean =>
  method.store === "mapping" && method.name === "turn" && second === "off";
