/** Splits that stand at a record are asked to pass over it. */

import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import { skipRecords } from "../../shared/dead-letter/skip.ts";
import { TidemarkError } from "../../shared/errors.ts";
import type { Invocations } from "./invocations.ts";
import type { Scene } from "./scene.ts";
import { eventsOf, numberAt } from "./simulated-source.ts";
import type { Duty, Part, Turn } from "./turn.ts";

const RECORDS_MAX = 2;

export class Skips implements Part {
  readonly turns: readonly Turn[];
  readonly duties: readonly Duty[] = [() => this.#skipWhatIsNoEvent()];
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  #left: number;

  constructor(scene: Scene, invocations: Invocations) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#left = scene.setup.skips;
    this.turns = [
      {
        weight: this.#left > 0 ? 1 : 0,
        begin: () => this.#skipSome(),
        urgency: () => (this.#left > 0 && this.#standing.length > 0 ? 0.4 : 0),
      },
    ];
    scene.monitor.onSplit.push((name, split) => {
      const from = numberAt(split.skip?.after ?? "");
      for (let number = 1; number <= (split.skip?.records ?? 0); number += 1)
        scene.skipped.add(`${name}${from + number}`);
    });
  }

  get #standing(): readonly string[] {
    const { monitor, source } = this.#scene;
    return [...monitor.splits].flatMap(([name, { failing }]) => (failing && source.splits.has(name) ? name : []));
  }

  #skipSome(): boolean {
    const standing = this.#standing;
    if (this.#left === 0 || standing.length === 0) return false;
    this.#left -= 1;
    this.#skip(standing[this.#scene.choices.below(standing.length)] as string);
    return true;
  }

  /** No repair of the function helps a split that has stopped at what its schema will never take. */
  #skipWhatIsNoEvent(): boolean {
    const { monitor, processes, source } = this.#scene;
    if (processes.some(({ name, dead, stalled }) => name.startsWith("K") && !dead && !stalled)) return true;
    for (const [name, { failing, position, skip }] of monitor.splits) {
      if (failing?.stopped !== true) continue;
      // What stands there is refused: whatever else a letter was given up for is repaired by now.
      const event = source.splits.get(name)?.events[numberAt(failing.position) - 1];
      const isEvent = event !== undefined && eventsOf(event).every(({ key }) => key !== undefined);
      if (isEvent || (event === undefined && name !== REDRIVE_SPLIT)) continue;
      if (skip?.after === position) continue;
      this.#skip(name, 1);
      return true;
    }
    return false;
  }

  #skip(split: string, records = 1 + this.#scene.choices.below(RECORDS_MAX)): void {
    this.#scene.coverage.hit("a split is asked to skip");
    this.#invocations.start(
      "K",
      async (process) => {
        const { control } = this.#invocations.resources(process);
        await skipRecords(control, { function: process.functionName, split, records }).catch((thrown: unknown) => {
          // It went on meanwhile, or another wish waits.
          if (!(thrown instanceof TidemarkError && thrown.kind === "fix-configuration")) throw thrown;
        });
      },
      `split ${split} is asked to skip ${records}`,
    );
  }
}
