/**
 * A function that is renamed in a history, as people do it: the code is deployed under the new name, a checkpoint from
 * before is restored, which takes over what the old name had, and the source is read on from where it was. Invocations of
 * the old code may go on all the while. A restore that is refused takes the new code back.
 */
import type { RestorePlan } from "../../shared/control/control.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { requestRestore } from "../../shared/restore/restore.ts";
import type { Coordinators } from "./coordinators.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import { FUNCTION, type FunctionName, NEW_NAME } from "./recording-function.ts";
import type { Scene } from "./scene.ts";
import type { Duty, Part, Turn } from "./turn.ts";

const NAMES: readonly FunctionName[] = [FUNCTION, NEW_NAME];

export interface RenamesOptions {
  readonly invocations: Invocations;
  readonly deliveries: Deliveries;
  readonly coordinators: Coordinators;
}

export class Renames implements Part {
  readonly turns: readonly Turn[];
  readonly duties: readonly Duty[] = [() => this.#askAgain()];
  readonly #scene: Scene;
  readonly #options: RenamesOptions;
  /** Who asks for the restore. */
  #asking: Process | undefined;
  /** The latest when the function was renamed. */
  #checkpoint = 0;

  constructor(scene: Scene, options: RenamesOptions) {
    this.#scene = scene;
    this.#options = options;
    const { monitor, setup } = scene;
    this.turns = [
      {
        weight: setup.renames ? 1 : 0,
        begin: () => this.#rename(),
        urgency: () => (scene.functionName === FUNCTION && monitor.completed > 0 ? 0.2 : 0),
      },
    ];
    monitor.onControl.push(({ restore }, before) => {
      if (restore !== undefined && restore.token !== before?.restore?.token) this.#follow(restore);
    });
  }

  /** The code that is deployed is that of the restore that was recorded last. */
  #follow({ functions }: RestorePlan): void {
    const name = NAMES.find((one) => functions[one] !== undefined);
    if (name === undefined) return;
    if (functions[NEW_NAME] === FUNCTION)
      this.#scene.coverage.hit("a restore takes over what a function had under its old name");
    this.#deploy(name, { isRenaming: false });
  }

  #deploy(name: FunctionName, { isRenaming }: { readonly isRenaming: boolean }): void {
    this.#scene.isRenaming = isRenaming;
    if (this.#scene.functionName === name) return;
    this.#scene.tell?.(`the function is called ${name}`);
    this.#scene.functionName = name;
    this.#options.deliveries.moveTo();
  }

  #rename(): boolean {
    const { coverage, monitor, processes } = this.#scene;
    if (this.#scene.functionName !== FUNCTION || monitor.latest === undefined) return false;
    // People do one thing after the other.
    for (const process of processes) if (process.name.startsWith("T")) this.#options.invocations.kill(process);
    coverage.hit("a function is renamed");
    this.#checkpoint = monitor.latest ?? 0;
    this.#deploy(NEW_NAME, { isRenaming: true });
    this.#ask();
    return true;
  }

  #ask(): void {
    const { coordinators, invocations } = this.#options;
    this.#asking = invocations.start(
      "T",
      async (process) => {
        try {
          await requestRestore(invocations.resources(process), { checkpoint: this.#checkpoint });
        } catch (thrown) {
          const refused = thrown instanceof TidemarkError && thrown.kind === "choose-another-checkpoint";
          if (refused && this.#scene.isRenaming) this.#deploy(FUNCTION, { isRenaming: false });
          throw thrown;
        }
        await coordinators.carryOn(process, Number.POSITIVE_INFINITY);
      },
      "a restore takes over what the function had under its old name",
    );
  }

  #askAgain(): boolean {
    if (!this.#scene.isRenaming) return false;
    const { dead = true, stalled = false } = this.#asking ?? {};
    if (dead || stalled) this.#ask();
    return true;
  }
}
