/** Event source mappings in memory: what a deployment's are to a restore. */
import type { EventSourceMappings, MappingLook } from "../../shared/restore/event-source-mappings.ts";

export class TestMappings implements EventSourceMappings {
  readonly #on: Map<string, boolean>;
  readonly turns: string[] = [];

  constructor(functions: readonly string[], on = true) {
    this.#on = new Map(functions.map((name) => [name, on]));
  }

  get functions(): readonly string[] {
    return [...this.#on.keys()];
  }

  isOn(functionName: string): boolean {
    return this.#on.get(functionName) === true;
  }

  async look(functionName: string): Promise<MappingLook | undefined> {
    const on = this.#on.get(functionName);
    return on === undefined ? undefined : { on, settled: true, drift: [] };
  }

  async turn(functionName: string, to: "on" | "off"): Promise<void> {
    this.turns.push(`${functionName} ${to}`);
    this.#on.set(functionName, to === "on");
  }
}
