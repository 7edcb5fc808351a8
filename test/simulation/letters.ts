/** What is done by hand with a history's dead letters. */
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { redrive } from "../../shared/dead-letter/redrive.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import type { Invocations } from "./invocations.ts";
import { FUNCTION } from "./recording-function.ts";
import type { Scene } from "./scene.ts";
import { numberAt } from "./simulated-source.ts";
import type { Part, Turn } from "./turn.ts";

export class Letters implements Part {
  readonly turns: readonly Turn[];
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  #redrivesLeft: number;

  constructor(scene: Scene, invocations: Invocations) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#redrivesLeft = scene.setup.redrives;
    const { monitor, setup } = scene;
    const begin = () => this.#putBack();
    this.turns = [
      { weight: 1, begin },
      {
        weight: setup.redrives > 0 ? 1 : 0,
        begin,
        reaction: () => (this.#redrivesLeft > 0 && monitor.letters.size > 0 ? 0.1 : 0),
      },
    ];
  }

  /** @returns whether there was one to be put back */
  #putBack(): boolean {
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
