/** What the parts of a history share: who is there, what it runs on, and how it stands. */
import type { Choices } from "./choices.ts";
import type { Coverage } from "./coverage.ts";
import { Monitor } from "./monitor.ts";
import type { Process } from "./process.ts";
import { FUNCTION, type FunctionName } from "./recording-function.ts";
import { Scheduler } from "./scheduler.ts";
import { drawSetup, type Setup } from "./setup.ts";
import { SimulatedSource } from "./simulated-source.ts";
import { PortStores, type StoresSurroundings, type WorldStores } from "./world-stores.ts";

const START_MS = Date.parse("2026-01-01T00:00:00Z");

export interface SceneOptions {
  readonly choices: Choices;
  readonly coverage: Coverage;
  readonly tell?: ((line: string) => void) | undefined;
  /** What the history runs on. @default the heap adapters, at the ports */
  readonly open?: (surroundings: StoresSurroundings) => WorldStores;
  readonly settle?: "microtasks" | "event loop";
  /** @default drawn */
  readonly setup?: Setup;
  /**
   * Where every turn of the first phase is somebody's choice, who may compare where it leads: lets something happen, and
   * answers whether there was anything left. Time stands still between calls, and tokens are each process's own.
   *
   * @param outside - what the mappings know, and what is still to begin
   */
  readonly explorer?: (scene: Scene, outside: string) => boolean;
}

export class Scene {
  readonly setup: Setup;
  readonly choices: Choices;
  readonly coverage: Coverage;
  readonly tell: ((line: string) => void) | undefined;
  readonly explorer: SceneOptions["explorer"];
  readonly scheduler: Scheduler;
  readonly monitor: Monitor;
  readonly stores: WorldStores;
  readonly source: SimulatedSource;
  readonly processes: Process[] = [];
  nowMs = START_MS;
  /** What the function is called in the code that is deployed: invocations begin with it. */
  functionName: FunctionName = FUNCTION;
  /** No fault comes any more. */
  faultless = false;
  /** Invocations that begin from here on run code that does not misbehave. */
  repaired = false;
  /** Events whose dead letters were put back. */
  readonly redriven = new Set<string>();
  /** Events that somebody wished to be passed over. */
  readonly skipped = new Set<string>();
  /** What a process failed with that none may fail with. */
  failed: unknown;

  constructor(options: SceneOptions) {
    const { choices, coverage, explorer, settle = "microtasks", tell } = options;
    this.choices = choices;
    this.coverage = coverage;
    this.tell = tell;
    this.explorer = explorer;
    this.setup = options.setup ?? drawSetup(choices);
    tell?.(JSON.stringify(this.setup, (_, value) => (value instanceof Set ? [...value] : value)));
    this.scheduler = new Scheduler({ choices, coverage, settle, tell });
    this.monitor = new Monitor(coverage, () => this.functionName);
    const open = options.open ?? ((surroundings) => new PortStores(surroundings));
    const { statePageItems } = this.setup;
    this.stores = open({ scheduler: this.scheduler, watcher: this.monitor, choices, coverage, statePageItems });
    this.source = new SimulatedSource(this.setup, this.nowMs);
  }

  /** The code has another name for the function, and no restore is recorded that takes over what the old one had. */
  isRenaming = false;

  /** Nothing waits that may go on. */
  get isIdle(): boolean {
    return !this.scheduler.waiting.some(({ process }) => !process.stalled);
  }

  get hasStalled(): boolean {
    return this.processes.some(({ dead, stalled }) => stalled && !dead);
  }
}
