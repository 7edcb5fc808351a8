/** Every history of two very small apps; `npm run simulate -- --explore` adds a fault, and any number of preemptions. */
import { expect, it } from "vitest";
import { oneCheckpoint, oneRestore } from "./explorations.ts";
import { explore } from "./explore.ts";

it.each([{ ...oneCheckpoint([]), preemptionsMax: 1 }, oneRestore([])])(
  "every history keeps every promise: $name",
  async (exploration) => {
    const { states, violation, whole } = await explore(exploration);
    expect(violation).toBeUndefined();
    expect(whole).toBe(true);
    expect(states).toBeGreaterThan(500);
  },
  300_000,
);
