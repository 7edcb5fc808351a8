/** What begins, or happens to those that have begun, while anything can go wrong: drawn as it comes, within a budget. */

import type { Scene } from "./scene.ts";
import type { Action } from "./setup.ts";
import type { Turn } from "./turn.ts";

export interface TurnsOptions {
  /** The first is the plainest, and what comes where another finds nothing to begin. */
  readonly turns: readonly [Turn, ...Turn[]];
  /** What an action of a script begins. */
  readonly script: (action: Action) => void;
}

export class Turns {
  /** How much is still to begin. */
  left: number;
  readonly #scene: Scene;
  readonly #options: TurnsOptions;
  readonly #urgent: readonly Turn[];
  readonly #reactions: readonly Turn[];
  /** Each turn as often as its weight says. */
  readonly #drawn: readonly Turn[];

  constructor(scene: Scene, options: TurnsOptions) {
    this.#scene = scene;
    this.#options = options;
    this.left = scene.setup.actions;
    this.#urgent = options.turns.filter(({ urgency, weight }) => urgency !== undefined && weight > 0);
    this.#reactions = options.turns.filter(({ reaction, weight }) => reaction !== undefined && weight > 0);
    this.#drawn = options.turns.flatMap((turn) => Array.from({ length: turn.weight }, () => turn));
  }

  begin(): void {
    this.left -= 1;
    const { choices, setup } = this.#scene;
    const { script } = setup;
    if (script !== undefined) {
      for (const action of script[script.length - 1 - this.left] ?? []) this.#options.script(action);
      return;
    }
    for (const turn of this.#urgent) {
      if (choices.chance(turn.urgency?.() ?? 0) && turn.begin()) return;
    }
    const turn = this.#drawn[choices.below(this.#drawn.length)] as Turn;
    if (!turn.begin()) this.#options.turns[0].begin();
  }

  /** @returns whether something that is under way has led to something else */
  react(): boolean {
    const { choices } = this.#scene;
    for (const turn of this.#reactions) {
      if (choices.chance(turn.reaction?.() ?? 0) && turn.begin()) return true;
    }
    return false;
  }
}
