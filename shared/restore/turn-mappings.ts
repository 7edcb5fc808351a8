/**
 * The event source mappings around a restore: off before its splits are held, on again once control runs.
 *
 * Invariants:
 * - A mapping is disabled only after control notes that it is owed to be enabled ◆; one that was found disabled, and of
 *   which no restore notes that it was its doing, belongs to whoever disabled it and stays as it is.
 * - What is owed outlives crashes and later restores. It is paid by whoever coordinates while control is RUNNING, and
 *   forgotten only when every mapping is seen enabled and no carrier of the restore is alive any more: the request of a
 *   stalled one, arriving late, would leave a mapping off for ever. Until then a mapping that is owed is enabled again
 *   whoever disabled it.
 * - Nothing waits for a mapping for ever: after five minutes the restore goes on, since its phase is what keeps batches out.
 */
import type { AppResources } from "../app/app-resources.ts";
import type { Control } from "../control/control.ts";
import { forgetMappings, oweMapping } from "../control/requested-steps.ts";
import { describeThrown } from "../errors.ts";
import { type Carrier, controlOfPlan, isOver, type StepOutcome } from "./carrier.ts";
import type { EventSourceMappings } from "./event-source-mappings.ts";

const WAIT_MS_MAX = 5 * 60_000;
const POLL_MS = 2_000;

/** No carrier of a restore lives longer than Lambda's longest invocation; some minutes for requests on their way. */
export const CARRIER_MS_MAX = 20 * 60_000;

/** Disables the mappings that are on and waits until they are off, at most five minutes from the restore's start. */
export async function disableMappings(carrier: Carrier): Promise<StepOutcome> {
  const { mappings, resources, plan } = carrier;
  if (mappings === undefined) return "done";
  for (const name of mappings.functions) {
    const control = await controlOfPlan(carrier);
    if (control === undefined) return "superseded";
    const look = await mappings.look(name);
    const owed = control.mappingsOff?.[name] === true;
    if (look === undefined || (!look.on && !owed)) continue;
    if (!owed && !(await oweMapping(resources.control, plan.token, name))) return "superseded";
    if (look.on) await mappings.turn(name, "off");
  }
  return waitUntilOff(carrier, mappings);
}

async function waitUntilOff(carrier: Carrier, mappings: EventSourceMappings): Promise<StepOutcome> {
  const { clock } = carrier.resources;
  for (;;) {
    const looks = await Promise.all(mappings.functions.map((name) => mappings.look(name)));
    if (looks.every((look) => look === undefined || (!look.on && look.settled))) return "done";
    if (clock.now() - carrier.plan.startedAtMs >= WAIT_MS_MAX) return "done";
    if (isOver(carrier)) return "unfinished";
    await clock.sleep(POLL_MS);
    if ((await controlOfPlan(carrier)) === undefined) return "superseded";
  }
}

/**
 * Enables what a restore has disabled, once control is RUNNING. To be called at every run of the coordinator: costs a
 * look a mapping while anything is owed, and nothing else.
 */
export async function enableMappings(
  resources: AppResources,
  control: Control,
  mappings: EventSourceMappings,
): Promise<void> {
  const owed = Object.keys(control.mappingsOff ?? {});
  if (control.phase !== "RUNNING" || owed.length === 0) return;
  let allOn = true;
  for (const name of owed) {
    // A function that the app no longer has, or whose mapping is gone.
    const look = mappings.functions.includes(name) ? await mappings.look(name) : undefined;
    if (look === undefined || (look.on && look.settled)) continue;
    allOn = false;
    if (look.on) continue;
    try {
      await mappings.turn(name, "on");
    } catch (thrown) {
      // One that is changing just now refuses; the others are not to wait for it.
      resources.observe({ type: "mapping-failed", function: name, error: describeThrown(thrown) });
    }
  }
  const finishedAtMs = control.restore?.finishedAtMs ?? 0;
  if (allOn && resources.clock.now() - finishedAtMs >= CARRIER_MS_MAX) await forgetMappings(resources.control, control);
}
