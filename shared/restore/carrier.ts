/** One invocation that carries on a restore: what its steps share. */
import type { AppResources } from "../app/app-resources.ts";
import type { Manifest } from "../checkpoint/manifest.ts";
import type { Workers } from "../checkpoint/work.ts";
import type { Control, RestorePlan } from "../control/control.ts";
import { readControl } from "../control/control-steps.ts";
import type { EventSourceMappings } from "./event-source-mappings.ts";
import type { ReplayInvoker } from "./replay-invoker.ts";
import type { RestoredFunction } from "./restored-functions.ts";

/**
 * How a step ended. `superseded`: control records another restore, or this one was finished by another carrier. `held`:
 * every split has come to where the restore is to stay until it is told to go on.
 */
export type StepOutcome = "done" | "unfinished" | "superseded" | "held";

export interface Carrier {
  readonly resources: AppResources;
  readonly plan: RestorePlan;
  readonly manifest: Manifest;
  readonly functions: readonly RestoredFunction[];
  /** No new piece of work is begun after this; ms since 1970. */
  readonly deadlineMs: number;
  readonly replay: ReplayInvoker;
  /** The event source mappings of the functions; absent: there are none, as in the embedded engine. */
  readonly mappings?: EventSourceMappings;
  /** Who loads parts; absent: this process. */
  readonly workers?: Workers;
  readonly partConcurrency: number;
  readonly writeConcurrency: number;
  readonly splitConcurrency: number;
}

export function isOver(carrier: Pick<Carrier, "resources" | "deadlineMs">): boolean {
  return carrier.resources.clock.now() >= carrier.deadlineMs;
}

/**
 * Control while it still records this carrier's plan as under way. It saves work and stops stale carriers early;
 * safety rests on the conditions of the writes themselves.
 */
export async function controlOfPlan(carrier: {
  readonly resources: AppResources;
  readonly plan: Pick<RestorePlan, "token">;
}): Promise<Control | undefined> {
  const control = await readControl(carrier.resources.control);
  return control?.phase === "REPLAYING" && control.restore?.token === carrier.plan.token ? control : undefined;
}
