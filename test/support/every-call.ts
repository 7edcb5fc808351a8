/** Runs a scenario once for each store call that it makes, and breaks, or holds, the scenario at that call. */
import type { Fault, FaultyProcess } from "./faulty-stores.ts";
import { isPassing, type TestWorld } from "./test-world.ts";

export interface Scenario {
  readonly setup: () => Promise<TestWorld>;
  /** What the process that goes wrong does. */
  readonly act: (world: TestWorld, process: FaultyProcess) => Promise<unknown>;
  /** What happens then; it calls `moment` wherever a delayed write may arrive. */
  readonly after: (world: TestWorld, moment: () => Promise<void>) => Promise<void>;
}

/** Moments, counted from 0, at which delayed writes arrive: at the last one at the latest. */
const MOMENTS = 5;

/**
 * Kills, refuses, repeats or delays call 1, 2, 3, … until the scenario has no such call.
 * @returns how many calls it has
 */
export async function everyCall(
  fault: Fault,
  { setup, act, after }: Scenario,
  moments = [0, 1, 2, 3, 4],
): Promise<number> {
  const late = fault.includes("delayed");
  for (let at = 1; ; at += 1) {
    // Where there are many calls, each is delayed until one moment of them all.
    const arrivals = !late ? [0] : moments.length === MOMENTS ? moments : [(at + (moments[0] ?? 0)) % MOMENTS];
    for (const arrival of arrivals) {
      const world = await setup();
      const process = world.start((call) => (call.number === at ? fault : undefined));
      await settled(act(world, process));
      if (process.calls < at) return at - 1;
      const step = `${fault} at call ${at} (${process.log[at - 1]})${late ? `, arriving at moment ${arrival}` : ""}`;
      try {
        let moment = 0;
        await after(world, async () => {
          if (late && moment++ === arrival) await process.releaseDelayed();
        });
        await process.releaseDelayed();
      } catch (thrown) {
        throw named(thrown, step);
      }
    }
  }
}

export interface Interleaving {
  readonly setup: () => Promise<TestWorld>;
  /** Is held at a call, and goes on after `other`. */
  readonly stalled: (world: TestWorld, process: FaultyProcess) => Promise<unknown>;
  readonly other: (world: TestWorld, process: FaultyProcess) => Promise<unknown>;
  readonly after: (world: TestWorld) => Promise<void>;
}

/**
 * Holds `stalled` at call 1, 2, 3, … while `other` runs from beginning to end.
 * @returns how many calls `stalled` has
 */
export async function everyPause({ setup, stalled, other, after }: Interleaving): Promise<number> {
  for (let at = 1; ; at += 1) {
    const world = await setup();
    const process = world.start();
    const gate = process.pauseAt((call) => call.number === at);
    const running = settled(stalled(world, process));
    const reached = await Promise.race([gate.reached.then(() => true), running.then(() => false)]);
    if (!reached) return at - 1;
    try {
      await settled(other(world, world.start()));
      gate.release();
      await running;
      await after(world);
    } catch (thrown) {
      throw named(thrown, `held at call ${at} (${process.log[at - 1]})`);
    }
  }
}

/** Waits for its end; faults and what a rival did to it are expected, anything else is the test's failure. */
export async function settled(running: Promise<unknown>): Promise<void> {
  try {
    await running;
  } catch (thrown) {
    if (!isPassing(thrown)) throw thrown;
  }
}

function named(thrown: unknown, step: string): unknown {
  if (thrown instanceof Error) thrown.message = `${step}: ${thrown.message}`;
  return thrown;
}
