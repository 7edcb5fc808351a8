import { expect, test } from "vitest";
import { COMMAND_KINDS, FAULT_KINDS, planFaults, STRIKE_KINDS, WIRE_KINDS } from "./plan.ts";

test("a seed and a length decide the plan, and another seed makes another", () => {
  expect(planFaults({ seed: 7, minutes: 2 })).toEqual(planFaults({ seed: 7, minutes: 2 }));
  expect(planFaults({ seed: 7, minutes: 2 })).not.toEqual(planFaults({ seed: 8, minutes: 2 }));
});

test.each([0.1, 1, 2.5])("every kind of fault is in a plan of %d minutes, in the order of its moments", (minutes) => {
  const plan = planFaults({ seed: 1, minutes });
  expect(new Set(plan.map(({ kind }) => kind))).toEqual(new Set(FAULT_KINDS));
  const moments = plan.map(({ at }) => at);
  expect(moments).toEqual(moments.toSorted((a, b) => a - b));
  expect(Math.min(...moments)).toBeGreaterThan(0);
  expect(Math.max(...moments)).toBeLessThan(1);
});

test("no kind is there twice before all of its lane were there once", () => {
  const plan = planFaults({ seed: 5, minutes: 4 });
  for (const kinds of [[...WIRE_KINDS, ...STRIKE_KINDS], COMMAND_KINDS]) {
    const lane = plan.map(({ kind }) => kind).filter((kind) => (kinds as readonly string[]).includes(kind));
    expect(lane.length).toBeGreaterThan(kinds.length);
    expect(new Set(lane.slice(0, kinds.length)).size).toBe(kinds.length);
  }
});
