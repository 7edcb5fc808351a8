/** Every history of two very small apps; `npm run simulate -- --explore` adds a fault and more preemptions. */
import { expect, it } from "vitest";
import { explore, oneCheckpoint, oneRestore } from "./explore.ts";

it.each([oneCheckpoint([], 1), oneRestore([], 1)])(
  "every history with at most one preemption keeps every promise: $name",
  async (exploration) => {
    const { states, violation, whole } = await explore(exploration);
    expect(violation).toBeUndefined();
    expect(whole).toBe(true);
    expect(states).toBeGreaterThan(500);
  },
  300_000,
);
