import type { FunctionName } from "./recording-function.ts";

/**
 * One invocation, as the stores see it. What it sends can be lost with it, or arrive long after it.
 */
export class Process {
  readonly name: string;
  readonly startedAtMs: number;
  /** What the function is called in the code that it began with. */
  readonly functionName: FunctionName;
  /** Nothing that it sends from here on reaches a store, and nothing reaches it. */
  dead = false;
  /** It sleeps for as long as it may be: a zombie. */
  stalled = false;
  /** It ended by itself, and no fault kept it from saying that it lives. */
  cameOut = false;
  /** Told when it dies or stalls: whoever waits for its answer does no longer. */
  forsake: () => void = () => {};
  /** All that it was answered, and to what, where somebody compares: what it does next depends on nothing else. */
  readonly heard: string[] = [];
  /** Tokens it has drawn. */
  tokens = 0;

  constructor(name: string, startedAtMs: number, functionName: FunctionName) {
    this.name = name;
    this.functionName = functionName;
    this.startedAtMs = startedAtMs;
  }
}
