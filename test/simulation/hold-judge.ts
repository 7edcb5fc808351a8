/**
 * The judgement of restores that are held: no split goes past where it is to stay, none runs, and when control says that
 * the restore is held every split that the source has is there.
 */
import type { Control, RestorePlan } from "../../shared/control/control.ts";
import type { Split } from "../../shared/control/split.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import type { Scene } from "./scene.ts";
import { at, numberAt, type SimulatedSplit } from "./simulated-source.ts";
import { promise } from "./violation.ts";

export class HoldJudge {
  readonly #scene: Scene;
  /** Split -> where it stood when it came into the restored generation. */
  readonly #flipped = new Map<string, string>();

  constructor(scene: Scene) {
    this.#scene = scene;
    scene.monitor.onControl.push((now, before) => this.#controlWritten(now, before));
    scene.monitor.onSplit.push((name, split, before) => this.#splitWritten(name, split, before));
  }

  #splitWritten(name: string, { gen, phase, position, until }: Split, before: Split | undefined): void {
    if (before?.gen !== gen) this.#flipped.set(name, position);
    const { known } = this.#scene.monitor;
    const plan = known?.restore;
    if (known?.phase !== "REPLAYING" || plan?.hold === undefined || plan.wentOnAtMs !== undefined) return;
    if (plan.target !== gen) return;
    promise(phase === "REPLAYING", () => `split ${name} runs, and its restore is to be held`);
    // When a letter was put back is no record's arrival.
    if (name === REDRIVE_SPLIT) return;
    const last = this.#lastOf(plan, name, until) ?? "";
    promise(position <= last || position === this.#flipped.get(name), () => {
      return `split ${name} was replayed to ${position}, and is to be held at ${last || "its beginning"}`;
    });
  }

  #controlWritten({ restore: plan }: Control, before: Control | undefined): void {
    if (plan?.heldAtMs === undefined || before?.restore?.heldAtMs !== undefined) return;
    for (const split of this.#scene.source.splits.values()) this.#expectThere(plan, split);
  }

  #expectThere(plan: RestorePlan, { split, expired }: SimulatedSplit): void {
    const item = this.#scene.monitor.splits.get(split);
    const last = this.#lastOf(plan, split, item?.until);
    // What the source has forgotten need not be noted before it runs.
    if (last === undefined || numberAt(last) <= expired) return;
    promise(item?.gen === plan.target && item.position >= last, () => {
      return `the restore is held, and split ${split} stands at ${item?.position || "its beginning"} instead of ${last}`;
    });
  }

  /** The last record that is replayed before the hold. */
  #lastOf({ hold, functions }: RestorePlan, split: string, until: string | undefined): string | undefined {
    const { arrivedByMs = 0, positions } = hold ?? {};
    if (positions !== undefined) {
      for (const name of Object.keys(functions)) {
        const named = positions[name]?.[split];
        if (named !== undefined) return named;
      }
      return until;
    }
    const { arrivedAtMs } = this.#scene.source.split(split);
    return at(arrivedAtMs.filter((ms) => ms <= arrivedByMs).length);
  }
}
