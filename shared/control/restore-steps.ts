/**
 * Writes that only a restore needs besides those of `control-steps.ts` and `split-steps.ts`.
 *
 * Invariant: each is conditional on what its restore read or on a generation that must grow, so that a repeat or a
 * stale restorer changes nothing.
 */

import { invariant } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { Position } from "../source/position.ts";
import { anyOf, compare, exists, missing, path, value } from "./conditional-write.ts";
import type { CheckpointingMode, Control } from "./control.ts";
import { readControl } from "./control-steps.ts";
import type { ControlStore } from "./control-store.ts";
import { CONTROL_KEY, splitKey } from "./item-keys.ts";
import type { SplitPlace } from "./split-steps.ts";

/**
 * Control of an app that starts afresh over a storage with a past: made at that past's numbers, so that neither a
 * checkpoint's number nor a generation's is used twice. An app that has a control keeps it as it is.
 */
export async function startControlAt(
  store: ControlStore,
  step: { readonly mode: CheckpointingMode; readonly generation: number; readonly epoch: number },
): Promise<Control> {
  const { mode, generation, epoch } = step;
  const first: Control = { gen: generation, maxGen: generation, phase: "RUNNING", epoch, mode, pins: {} };
  await store.update(CONTROL_KEY, {
    conditions: [missing("gen")],
    set: Object.entries(first).map(([name, initial]) => [path(name), value(initial as JsonValue)] as const),
  });
  const made = await readControl(store);
  invariant(made !== undefined, "control exists once it was made");
  return made;
}

/**
 * A split that a renamed function takes over replays as far as the function of the old name had tried it: the event
 * source mapping goes on from there and will not deliver what lies before.
 */
export async function raiseUntil(
  store: ControlStore,
  place: SplitPlace,
  step: { readonly target: number; readonly until: Position },
): Promise<void> {
  await store.update(splitKey(place.function, place.split), {
    conditions: [
      exists("epoch"),
      compare("gen", "<", step.target),
      anyOf(missing("until"), compare("until", "<", step.until)),
    ],
    set: [[path("until"), value(step.until)]],
  });
}
