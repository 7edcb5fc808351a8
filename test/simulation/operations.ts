/** What schedules and people ask for in a history: checkpoints, restores, dead letters put back. */
import { replaySplit } from "../../shared/batch/replay-split.ts";
import { type CoordinatorOptions, runCoordinator } from "../../shared/checkpoint/coordinator.ts";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { redrive } from "../../shared/dead-letter/redrive.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { carryOnRestore } from "../../shared/restore/carry-on.ts";
import { requestRestore } from "../../shared/restore/restore.ts";
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import { FUNCTION } from "./recording-function.ts";
import type { Scene } from "./scene.ts";
import { numberAt } from "./simulated-source.ts";
import { promise } from "./violation.ts";

export class Operations {
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  #redrivesLeft: number;

  constructor(scene: Scene, invocations: Invocations) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#redrivesLeft = scene.setup.redrives;
  }

  startCoordinator(options: {
    readonly ask: boolean;
    readonly savepoint: boolean;
    readonly seconds: number;
    readonly pollMs: number;
  }): void {
    const { ask, savepoint, seconds, pollMs } = options;
    if (this.#scene.processes.some(({ name, dead }) => name.startsWith("C") && !dead)) {
      this.#scene.coverage.hit("two coordinators at once");
    }
    const request = ask ? { request: savepoint ? { savepoint: "kept" } : {} } : {};
    this.coordinate(
      { ...request, deadlineMs: this.#scene.nowMs + seconds * 1_000, pollMs },
      `a coordinator${ask ? (savepoint ? ", asked for a savepoint" : ", asked for a checkpoint") : ""}`,
    );
  }

  /** @param what - it does, for the log */
  coordinate(options: CoordinatorOptions, what: string): void {
    this.#invocations.start("C", (process) => this.#coordinator(process, options), what);
  }

  /** As in the coordinator function: a restore that is under way comes first. */
  async #coordinator(process: Process, options: CoordinatorOptions): Promise<void> {
    const resources = this.#invocations.resources(process);
    const report = await runCoordinator(resources, {
      slices: this.#scene.setup.slices,
      slicesConcurrency: 2,
      ...options,
    });
    if (report.outcome === "restoring") await this.#carryOn(process, options.deadlineMs);
  }

  async #carryOn(process: Process, deadlineMs: number): Promise<void> {
    const resources = this.#invocations.resources(process);
    await carryOnRestore(resources, {
      deadlineMs,
      replay: ({ split, generation, milliseconds = Number.POSITIVE_INFINITY }) => {
        // The event function is an invocation of its own: it may outlive whoever asked for it.
        const replayer = this.#invocations.add("R");
        this.#scene.tell?.(
          `${replayer.name}: begins to replay ${split} in generation ${generation}, for ${process.name}`,
        );
        return replaySplit(this.#invocations.engine(replayer), {
          split,
          generation,
          deadlineMs: Math.min(deadlineMs, this.#scene.nowMs + milliseconds),
          batchRecords: this.#scene.setup.batchMax,
        });
      },
      ...{ partConcurrency: 2, writeConcurrency: 2, splitConcurrency: 2 },
    });
  }

  startRestore(checkpoint: number | undefined, { carriedOn }: { readonly carriedOn: boolean }): Process {
    this.#scene.coverage.hit("a restore is asked for");
    const before = this.#scene.monitor.known?.maxGen ?? 0;
    return this.#invocations.start(
      "T",
      async (process) => {
        try {
          const report = await requestRestore(
            this.#invocations.resources(process),
            checkpoint === undefined ? {} : { checkpoint },
          );
          // What others restored meanwhile may have left the lineage that this one was chosen from.
          const undisturbed = this.#scene.monitor.known?.maxGen === before + 1;
          if (checkpoint === undefined && report.outcome === "started" && undisturbed) {
            promise(this.#scene.monitor.isLive(report.checkpoint ?? 0), () => {
              return `the latest checkpoint is said to be ${report.checkpoint}, of a lineage that a restore abandoned`;
            });
          }
        } catch (thrown) {
          if (!(thrown instanceof TidemarkError) || thrown.kind === "report-bug") throw thrown;
          this.#scene.coverage.hit("a restore is refused");
          throw thrown;
        }
        if (carriedOn) await this.#carryOn(process, Number.POSITIVE_INFINITY);
        else this.#scene.coverage.hit("a restore by another carrier");
      },
      `a restore of ${checkpoint === undefined ? "the latest checkpoint" : `checkpoint ${checkpoint}`} is asked for`,
    );
  }

  /** A dead letter is put back by hand. @returns whether there was one to be */
  putBack(): boolean {
    if (this.#redrivesLeft === 0 || this.#scene.monitor.letters.size === 0) return false;
    this.#redrivesLeft -= 1;
    const letters = [...this.#scene.monitor.letters];
    const place = letters[this.#scene.choices.below(letters.length)] as string;
    this.#scene.coverage.hit("a letter is put back");
    this.#invocations.start(
      "L",
      async (process) => {
        const { clock, storage } = this.#invocations.resources(process);
        for await (const letter of listDeadLetters(storage, FUNCTION)) {
          const id = `${letter.split}${numberAt(letter.position)}`;
          if (letter.split === REDRIVE_SPLIT || id !== place) continue;
          this.#scene.redriven.add(id);
          await redrive(storage, letter, { clock, source: "events" });
        }
      },
      `the dead letter of ${place} is put back`,
    );
    return true;
  }
}
