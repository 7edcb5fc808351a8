/**
 * The event source mapping of a deployment's function, as a restore finds it: it takes its time to be enabled or disabled,
 * a request may reach it long after its sender died, and it may have been disabled by hand before anything began.
 *
 * A request of an invocation that would be older than any platform lets it become is lost: what forgetting relies on.
 */
import type { EventSourceMappings, MappingLook } from "../../shared/restore/event-source-mappings.ts";
import { CARRIER_MS_MAX } from "../../shared/restore/turn-mappings.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import type { Method } from "./scheduler.ts";
import { promise } from "./violation.ts";

const LOOK: Method = { store: "mapping", name: "look", writes: false, spell: (name: string) => name };
const TURN: Method = {
  store: "mapping",
  name: "turn",
  writes: true,
  spell: (name: string, to: string) => `${name} ${to}`,
};

export class SimulatedMapping {
  isOn: boolean;
  settlesAtMs = 0;
  /** Told when it was off and is on again. */
  startedAgain: () => void = () => {};
  readonly #scene: Scene;
  readonly #name: string;
  readonly #settlingMs: number;
  readonly #offByHand: boolean;

  constructor(
    scene: Scene,
    name: string,
    { offByHand, settlingMs }: { readonly offByHand: boolean; readonly settlingMs: number },
  ) {
    this.#scene = scene;
    this.#name = name;
    this.#settlingMs = settlingMs;
    this.#offByHand = offByHand;
    this.isOn = !offByHand;
  }

  get isSettled(): boolean {
    return this.#scene.nowMs >= this.settlesAtMs;
  }

  /** It delivers; one that is on its way goes on as before. */
  get delivers(): boolean {
    return this.isSettled ? this.isOn : !this.isOn;
  }

  open(process: Process): EventSourceMappings {
    const { scheduler } = this.#scene;
    return {
      functions: [this.#name],
      look: (name) => scheduler.call(process, LOOK, async () => this.#look(), name),
      turn: (name, to) => scheduler.call(process, TURN, async () => this.#turn(process, to), name, to),
    };
  }

  /** At a history's end. @throws Violation */
  judge(): void {
    if (this.#offByHand) this.#scene.coverage.hit("a mapping that was off by hand");
    promise(this.isOn !== this.#offByHand, () => {
      return this.isOn
        ? "the mapping was off before anything began, and somebody has enabled it"
        : "the mapping was on before anything began, and was left off";
    });
  }

  #look(): MappingLook {
    return { on: this.isOn, settled: this.isSettled, drift: [] };
  }

  #turn(process: Process, to: "on" | "off"): void {
    const { coverage, monitor, nowMs } = this.#scene;
    if (nowMs - process.startedAtMs >= CARRIER_MS_MAX) return;
    // It refuses what comes while it is changing, which the adapter takes for nothing asked.
    if (!this.isSettled || this.isOn === (to === "on")) return;
    if (to === "off") {
      promise(monitor.known?.mappingsOff?.[this.#name] === true, () => {
        return "the mapping is disabled, and control does not say that it is owed to be enabled again";
      });
      if (monitor.known?.phase === "RUNNING") coverage.hit("a mapping is disabled late");
    }
    coverage.hit(`a mapping is turned ${to}`);
    this.isOn = to === "on";
    this.settlesAtMs = nowMs + this.#settlingMs;
    if (this.isOn) this.startedAgain();
  }
}
