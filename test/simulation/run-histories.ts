/** Histories one after the other, seed by seed, until one breaks a promise. */
import { type Choices, ListedChoices, SeededChoices } from "./choices.ts";
import { Coverage } from "./coverage.ts";
import { History, type HistoryOptions } from "./history.ts";
import { Violation } from "./violation.ts";

/** What histories run on besides their choices; by default the heap adapters at the ports. */
export type WorldOptions = Pick<HistoryOptions, "open" | "settle" | "largeStates">;

export interface Broken {
  readonly seed: number;
  /** The promise, in words. */
  readonly violation: string;
  /** Of this run, the broken one included. */
  readonly histories: number;
}

export interface RunReport {
  readonly histories: number;
  readonly calls: number;
  readonly broken: Broken | undefined;
}

export interface RunOptions extends WorldOptions {
  readonly firstSeed: number;
  readonly runs: number;
  readonly coverage: Coverage;
  /** Told every so many histories; what it answers is waited for. */
  readonly onProgress?: (histories: number) => void;
}

const HISTORIES_PER_TURN = 100;

/** Where an error was made costs more than the call that failed with it, and is only asked for where one is played again. */
export async function runHistories(options: RunOptions): Promise<RunReport> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return await playAll(options);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

async function playAll(options: RunOptions): Promise<RunReport> {
  const { firstSeed, runs, coverage, onProgress, ...world } = options;
  let calls = 0;
  for (let done = 0; done < runs; done += 1) {
    const seed = firstSeed + done;
    const played = await play(new SeededChoices(seed, { recorded: false }), { ...world, coverage });
    calls += played.calls;
    if (played.violation !== undefined) {
      return { histories: done + 1, calls, broken: { seed, violation: played.violation, histories: done + 1 } };
    }
    if (done % HISTORIES_PER_TURN !== HISTORIES_PER_TURN - 1) continue;
    onProgress?.(done + 1);
    // Ticks alone would keep the event loop from ever turning.
    await new Promise((resolve) => setImmediate(resolve));
  }
  onProgress?.(runs);
  return { histories: runs, calls, broken: undefined };
}

export interface Played {
  readonly violation: string | undefined;
  readonly calls: number;
}

/** One history. */
export async function play(
  choices: Choices,
  options: WorldOptions & { readonly coverage?: Coverage; readonly tell?: (line: string) => void } = {},
): Promise<Played> {
  const history = new History({ coverage: new Coverage(), ...options, choices });
  try {
    await history.run();
    return { violation: undefined, calls: history.scene.scheduler.steps };
  } catch (thrown) {
    // What the judge itself throws is a bug of the simulator, and no less to be seen.
    const violation = thrown instanceof Violation ? thrown.message : `the judge failed: ${(thrown as Error).stack}`;
    return { violation, calls: history.scene.scheduler.steps };
  }
}

/** One history with everything that happened, a line each. */
export async function replay(
  choices: Choices,
  world: WorldOptions = {},
): Promise<Played & { readonly log: readonly string[] }> {
  const log: string[] = [];
  const played = await play(choices, { ...world, tell: (line) => void log.push(shortened(line)) });
  return { ...played, log };
}

/** Large states are mostly one character. */
const shortened = (line: string): string => line.replace(/(.)\1{99,}/g, "$1…");

/** The choices that a seed makes. */
export async function choicesOf(seed: number, world: WorldOptions = {}): Promise<readonly number[]> {
  const choices = new SeededChoices(seed, { recorded: true });
  await play(choices, world);
  return choices.taken;
}

export { ListedChoices, SeededChoices };
