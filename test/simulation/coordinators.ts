/** Whoever coordinates in a history: as an embedded engine does it, or as a deployment's coordinator function. */
import { replaySplit } from "../../shared/batch/replay-split.ts";
import { runCoordinator } from "../../shared/checkpoint/coordinator.ts";
import { carryOnRestore } from "../../shared/restore/carry-on.ts";
import type { ReplayInvoker } from "../../shared/restore/replay-invoker.ts";
import { createCoordinatorHandler } from "../../shared/runtime/coordinator-handler.ts";
import type { Fleet } from "./fleet.ts";
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import { HOUR_MS, MINUTE_MS } from "./setup.ts";
import type { SimulatedMapping } from "./simulated-mapping.ts";
import type { Duty, Part, Turn } from "./turn.ts";

export interface Coordination {
  readonly deadlineMs: number;
  readonly pollMs?: number;
  readonly request?: { readonly savepoint?: string };
}

/** What coordinators of a deployment have besides the stores. */
export interface Deployed {
  readonly mapping: SimulatedMapping;
  readonly fleet: Fleet;
}

export class Coordinators implements Part {
  readonly turns: readonly Turn[] = [{ weight: 3, begin: () => this.begin() }];
  readonly duties: readonly Duty[] = [() => this.#carryOnAll()];
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  readonly #deployed: Deployed | undefined;
  #checkpointsLeft: number;

  /** @param deployed - absent: there are no mappings and no workers, as in the embedded engine */
  constructor(scene: Scene, invocations: Invocations, deployed: Deployed | undefined) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#deployed = deployed;
    this.#checkpointsLeft = scene.setup.checkpoints;
  }

  /** A restore or a checkpoint that was left where it was, and that a run of a coordinator gets on with. */
  get areOwed(): boolean {
    const { isAsked, isHeld, known } = this.#scene.monitor;
    return isAsked || (known?.phase === "REPLAYING" && !isHeld) || known?.checkpoint?.settled === false;
  }

  /** A checkpoint of a function that has no state yet is nobody's way back: people restore before they let one be taken. */
  get #waits(): boolean {
    return this.#scene.isRenaming && this.#scene.monitor.known?.phase !== "REPLAYING";
  }

  begin(): boolean {
    const { choices, coverage } = this.#scene;
    if (this.#waits) return false;
    const ask = this.#checkpointsLeft > 0 && choices.chance(0.7);
    if (!ask && !this.areOwed && !this.#owesMapping) return false;
    if (ask) this.#checkpointsLeft -= 1;
    const savepoint = ask && choices.chance(0.15);
    if (savepoint) coverage.hit("a savepoint");
    const seconds = [40, 3, 10][choices.below(3)] as number;
    const pollMs = choices.chance(0.2) ? 25_000 : 1_000;
    this.start({ ask, savepoint, seconds, pollMs });
    return true;
  }

  start(options: {
    readonly ask: boolean;
    readonly savepoint: boolean;
    readonly seconds: number;
    readonly pollMs: number;
  }): void {
    const { ask, savepoint, seconds, pollMs } = options;
    if (this.#scene.processes.some(({ name, dead }) => name.startsWith("C") && !dead)) {
      this.#scene.coverage.hit("two coordinators at once");
    }
    this.coordinate(
      {
        ...(ask ? { request: savepoint ? { savepoint: "kept" } : {} } : {}),
        ...{ deadlineMs: this.#scene.nowMs + seconds * 1_000, pollMs },
      },
      `a coordinator${ask ? (savepoint ? ", asked for a savepoint" : ", asked for a checkpoint") : ""}`,
    );
  }

  /** @param what - it does, for the log */
  coordinate(options: Coordination, what: string): void {
    this.#invocations.start("C", (process) => this.#coordinator(process, options), what);
  }

  /** A coordinator with all the time that it may need. */
  coordinateToTheEnd(what = "a coordinator", request?: Coordination["request"]): void {
    // A deployment's lives no longer than any function.
    const lastsMs = this.#deployed === undefined ? HOUR_MS : 15 * MINUTE_MS;
    this.coordinate({ deadlineMs: this.#scene.nowMs + lastsMs, ...(request && { request }) }, what);
  }

  /** As the embedded engine carries on a restore. */
  async carryOn(process: Process, deadlineMs: number): Promise<void> {
    const resources = this.#invocations.resources(process);
    await carryOnRestore(resources, {
      ...{ deadlineMs, replay: this.#replay(process, deadlineMs) },
      ...{ partConcurrency: 2, writeConcurrency: 2, splitConcurrency: 2 },
    });
  }

  async #coordinator(process: Process, options: Coordination): Promise<void> {
    const resources = this.#invocations.resources(process);
    if (this.#deployed === undefined) {
      const slicing = { slices: this.#scene.setup.slices, slicesConcurrency: 2 };
      const report = await runCoordinator(resources, { ...slicing, ...options });
      if (report.outcome === "restoring") await this.carryOn(process, options.deadlineMs);
      return;
    }
    const { deadlineMs, pollMs, request } = options;
    const { mapping, fleet } = this.#deployed;
    const coordinate = createCoordinatorHandler(resources, {
      ...{ replay: this.#replay(process, deadlineMs), mappings: mapping.open(process), workers: fleet.open(process) },
      ...(pollMs === undefined ? {} : { pollMs }),
      ...(this.#scene.setup.redrives === 0 ? {} : { redrive: (_name, event) => this.#redrive(process, event) }),
    });
    await coordinate({ deadlineMs, ...(request && { trigger: request }) });
  }

  /** The event function is an invocation of its own: it may outlive whoever asked for it. */
  #replay(caller: Process, deadlineMs: number): ReplayInvoker {
    return ({ split, generation, stop, milliseconds = Number.POSITIVE_INFINITY }) =>
      this.#invocations.call(
        { caller, kind: "R", what: `replays ${split} in generation ${generation}, for ${caller.name}` },
        (replayer) =>
          replaySplit(this.#invocations.engine(replayer), {
            ...{ split, generation },
            ...(stop && { stop }),
            deadlineMs: Math.min(deadlineMs, this.#scene.nowMs + milliseconds),
            batchRecords: this.#scene.setup.batchMax,
          }),
      );
  }

  /** The coordinator of a deployment delivers what was put back. */
  #redrive(caller: Process, event: unknown): Promise<{ readonly reason?: string }> {
    this.#scene.coverage.hit("a redriven record is delivered by a coordinator");
    return this.#invocations.call(
      { caller, kind: "P", what: `redriven records come from ${caller.name}` },
      async (to) => {
        const { events } = this.#invocations.resources(to).sourceOf(to.functionName);
        const { split, records } = events.parse(event);
        const { error } = await this.#invocations.fold(to, split, records);
        return error === undefined ? {} : { reason: error.message };
      },
    );
  }

  get #owesMapping(): boolean {
    const { known } = this.#scene.monitor;
    return known?.phase === "RUNNING" && known.mappingsOff !== undefined && this.#deployed?.mapping.isOn === false;
  }

  #carryOnAll(): boolean {
    const { mapping } = this.#deployed ?? {};
    if (mapping?.isSettled === false) this.#scene.nowMs = mapping.settlesAtMs;
    const { known, redrivenIsDue } = this.#scene.monitor;
    const redrives = this.#deployed !== undefined && redrivenIsDue && known?.phase !== "REPLAYING";
    if (this.#waits || (!this.areOwed && !this.#owesMapping && !redrives)) return false;
    this.coordinateToTheEnd();
    return true;
  }
}
