/**
 * Restores in a history: done by who asks, or asked for and left to whoever coordinates; of the latest checkpoint or of
 * any; through to the end, or held at a time or at positions until they are told to go on. A part may be altered meanwhile.
 */
import type { RestoreHold } from "../../shared/control/control.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { askForRestore, goOnWithRestore } from "../../shared/restore/ask-for-restore.ts";
import { type RestoreChoice, requestRestore } from "../../shared/restore/restore.ts";
import type { RestoreReport } from "../../shared/restore/restore-report.ts";
import type { Coordinators } from "./coordinators.ts";
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import { FUNCTION } from "./recording-function.ts";
import type { Scene } from "./scene.ts";
import type { Method } from "./scheduler.ts";
import { at } from "./simulated-source.ts";
import type { Duty, Part, Turn } from "./turn.ts";
import { promise } from "./violation.ts";

const ALTER: Method = { store: "storage", name: "alter", writes: true, spell: (path: string) => path };

export class Restores implements Part {
  readonly turns: readonly Turn[];
  readonly duties: readonly Duty[] = [() => this.#goOnAtRest(), () => this.#askAgain()];
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  readonly #coordinators: Coordinators;
  /** Parts that were altered: path -> as it was. */
  readonly #altered = new Map<string, Uint8Array>();
  #restoresLeft: number;
  #holdsLeft: number;
  #alterationsLeft: number;

  constructor(scene: Scene, invocations: Invocations, coordinators: Coordinators) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#coordinators = coordinators;
    const { alterations, holds, restores } = scene.setup;
    this.#restoresLeft = restores;
    this.#holdsLeft = holds;
    this.#alterationsLeft = alterations;
    const { monitor } = scene;
    this.turns = [
      {
        weight: 1,
        begin: () => this.#begin() || this.#coordinators.begin(),
        urgency: () => (this.#restoresLeft > 0 && monitor.completed > 0 ? 0.25 : 0),
      },
      {
        weight: restores > 1 && scene.setup.deployment !== undefined ? 1 : 0,
        begin: () => this.#begin(),
        reaction: () => (this.#restoresLeft > 0 && monitor.isAsked ? 0.15 : 0),
      },
      { weight: holds > 0 ? 1 : 0, begin: () => this.#goOn(), reaction: () => (monitor.isHeld ? 0.1 : 0) },
      {
        weight: alterations > 0 ? 1 : 0,
        begin: () => this.#alter(),
        reaction: () => (this.#alterationsLeft > 0 && this.#readsParts !== undefined ? 0.1 : 0),
      },
    ];
  }

  /**
   * Of the latest checkpoint where none is given.
   * @param options.carriedOn - who asks does it as well, or has whoever coordinates begin at once
   */
  start(choice: RestoreChoice, { carriedOn }: { readonly carriedOn: boolean }): Process {
    const { coverage, monitor, setup } = this.#scene;
    const deployed = setup.deployment !== undefined;
    coverage.hit("a restore is asked for");
    if (monitor.isAsked) coverage.hit("a restore is asked for in the place of another");
    if (choice.until !== undefined)
      coverage.hit(choice.until.positions === undefined ? "a hold at a time" : "a hold at positions");
    const before = monitor.known?.maxGen ?? 0;
    return this.#invocations.start(
      "T",
      async (process) => {
        const resources = this.#invocations.resources(process);
        try {
          const report = await (deployed ? askForRestore : requestRestore)(resources, choice);
          this.#expectLive(report, choice, before);
        } catch (thrown) {
          if (!(thrown instanceof TidemarkError) || thrown.kind === "report-bug") throw thrown;
          coverage.hit("a restore is refused");
          throw thrown;
        }
        if (!carriedOn) coverage.hit("a restore by another carrier");
        else if (deployed) this.#coordinators.start({ ask: false, savepoint: false, seconds: 40, pollMs: 1_000 });
        else await this.#coordinators.carryOn(process, Number.POSITIVE_INFINITY);
      },
      `a restore of ${choice.checkpoint === undefined ? "the latest checkpoint" : `checkpoint ${choice.checkpoint}`} is asked for${choice.until === undefined ? "" : `, held at ${JSON.stringify(choice.until)}`}`,
    );
  }

  /** What others restored meanwhile may have left the lineage that this one was chosen from. */
  #expectLive({ outcome, checkpoint }: RestoreReport, choice: RestoreChoice, before: number): void {
    const { monitor } = this.#scene;
    const now = monitor.known?.maxGen;
    const undisturbed = outcome === "started" ? now === before + 1 : outcome === "requested" && now === before;
    if (choice.checkpoint !== undefined || !undisturbed) return;
    promise(monitor.isLive(checkpoint ?? 0), () => {
      return `the latest checkpoint is said to be ${checkpoint}, of a lineage that a restore abandoned`;
    });
  }

  #begin(): boolean {
    const { choices, monitor } = this.#scene;
    if (this.#restoresLeft === 0 || monitor.addressed.size === 0) return false;
    this.#restoresLeft -= 1;
    const numbers = [...monitor.addressed.keys()];
    const checkpoint = choices.chance(0.5) ? numbers[choices.below(numbers.length)] : undefined;
    const alone = choices.chance(0.4);
    const until = this.#holdsLeft > 0 && choices.chance(0.7) ? this.#hold(checkpoint) : undefined;
    if (until !== undefined) this.#holdsLeft -= 1;
    // A request that differs takes the place of another.
    const differs = this.#scene.setup.deployment !== undefined && choices.chance(0.3);
    this.start(
      {
        ...(checkpoint === undefined ? {} : { checkpoint }),
        ...(until && { until }),
        ...(differs ? { allowNonRestoredState: true } : {}),
      },
      { carriedOn: !alone },
    );
    return true;
  }

  /** Where a record arrived or just before that, now, or at a record. Not all of them can be: those are refused. */
  #hold(checkpoint: number | undefined): RestoreHold {
    const { choices, coverage, monitor, nowMs, source } = this.#scene;
    const splits = [...source.splits.values()];
    if (choices.chance(0.3)) {
      const { split, arrived } = splits[choices.below(splits.length)] ?? { split: "s", arrived: 0 };
      return { positions: { [FUNCTION]: { [split]: at(choices.below(arrived + 1)) } } };
    }
    const unread = splits.find((split) => split.late && split.arrived === 0);
    if (unread !== undefined && choices.chance(0.5) && source.arrive(unread, nowMs)) {
      coverage.hit("a split that nobody has read has records from before a hold");
      this.#scene.nowMs += 1;
      return { arrivedByMs: nowMs };
    }
    const completedAtMs = monitor.completedAtMs(checkpoint ?? monitor.latest ?? 0) ?? nowMs;
    const arrivals = splits.flatMap(({ arrivedAtMs }) => arrivedAtMs).filter((ms) => ms > completedAtMs);
    const times = [nowMs - 1, completedAtMs, ...arrivals, ...arrivals.map((ms) => ms - 1)];
    return { arrivedByMs: Math.min(nowMs - 1, times[choices.below(times.length)] as number) };
  }

  #goOn(): boolean {
    const { coverage, monitor } = this.#scene;
    const plan = monitor.known?.phase === "REPLAYING" ? monitor.known.restore : undefined;
    if (plan?.hold === undefined || plan.wentOnAtMs !== undefined) return false;
    coverage.hit(plan.heldAtMs === undefined ? "a restore goes on before it is held" : "a held restore goes on");
    this.#invocations.start(
      "G",
      async (process) => void (await goOnWithRestore(this.#invocations.resources(process))),
      "the restore is told to go on",
    );
    return true;
  }

  /** The checkpoint whose parts are being checked or loaded, or soon will be. */
  get #readsParts(): number | undefined {
    const { isAsked, known } = this.#scene.monitor;
    const { requested, restore, gen = 0 } = known ?? {};
    if (isAsked) return requested?.checkpoint;
    return restore !== undefined && restore.target > gen ? restore.checkpoint : undefined;
  }

  /** A part is altered where it lies: it has other events in it than were folded, in as many bytes. */
  #alter(): boolean {
    const { choices, coverage, monitor, scheduler, stores } = this.#scene;
    const checkpoint = this.#readsParts;
    if (this.#alterationsLeft === 0 || checkpoint === undefined) return false;
    const folder = `chk-${String(checkpoint).padStart(10, "0")}/`;
    const paths = [...monitor.parts.keys()].filter((path) => path.startsWith(folder) && !this.#altered.has(path));
    const path = paths[choices.below(paths.length)];
    if (path === undefined) return false;
    this.#alterationsLeft -= 1;
    const whole = monitor.parts.get(path) as Uint8Array;
    const altered = Buffer.from(
      Buffer.from(whole)
        .toString("utf8")
        .replace(/([stu])\d/g, "$19"),
    );
    this.#invocations.start(
      "X",
      (process) =>
        scheduler.call(
          process,
          ALTER,
          async () => {
            if (!monitor.parts.has(path) || this.#scene.faultless) return;
            coverage.hit("a part is altered");
            this.#altered.set(path, whole);
            await stores.truth.storage.write(path, once(altered));
          },
          path,
        ),
      `the part ${path} is altered`,
    );
    return true;
  }

  /** Whoever keeps the storage puts back what was altered. */
  async repair(): Promise<void> {
    for (const [path, whole] of this.#altered) {
      if (this.#scene.monitor.parts.has(path)) await this.#scene.stores.truth.storage.write(path, once(whole));
    }
    this.#altered.clear();
  }

  #goOnAtRest(): boolean {
    return this.#scene.monitor.isHeld && this.#goOn();
  }

  /** A load that met an altered part can only be begun afresh, by asking for it again. */
  #askAgain(): boolean {
    const { known, damaged, isAsked } = this.#scene.monitor;
    const plan = known?.phase === "REPLAYING" ? known.restore : undefined;
    if (plan === undefined || known === undefined || known.gen >= plan.target || !damaged.has(plan.target))
      return false;
    if (isAsked) return true;
    this.#scene.coverage.hit("a restore begins afresh after its load met an altered part");
    this.start({ checkpoint: plan.checkpoint }, { carriedOn: false });
    return true;
  }
}

async function* once(whole: Uint8Array): AsyncGenerator<Uint8Array> {
  yield whole;
}
