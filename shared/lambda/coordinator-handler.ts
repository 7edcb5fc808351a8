/** What runs in the coordinator function: no user code. Any invocation carries on what another left. */
import type { AppResources } from "../app/app-resources.ts";
import { type CoordinatorReport, runCoordinator } from "../checkpoint/coordinator.ts";
import type { Workers } from "../checkpoint/work.ts";
import { readControl } from "../control/control-steps.ts";
import { carryOnRequest } from "../restore/ask-for-restore.ts";
import { carryOnRestore } from "../restore/carry-on.ts";
import type { EventSourceMappings } from "../restore/event-source-mappings.ts";
import type { ReplayInvoker } from "../restore/replay-invoker.ts";
import type { RestoreReport } from "../restore/restore-report.ts";
import { enableMappings } from "../restore/turn-mappings.ts";

export interface CoordinatorInvocation {
  /** No new piece of work is begun after this; ms since 1970. */
  readonly deadlineMs: number;
  /** Asks for a checkpoint now, due or not; with a name, for a savepoint. */
  readonly trigger?: { readonly savepoint?: string };
}

export type CoordinatorAnswer =
  | { readonly did: "restore"; readonly restore: RestoreReport }
  | { readonly did: "checkpoint"; readonly checkpoint: CoordinatorReport };

export type CoordinatorHandler = (invocation: CoordinatorInvocation) => Promise<CoordinatorAnswer>;

export interface CoordinatorHandlerOptions {
  readonly replay: ReplayInvoker;
  /** The functions' event source mappings. @default there are none */
  readonly mappings?: EventSourceMappings;
  /** Who scans slices, checks and loads parts. @default this process */
  readonly workers?: Workers;
  /** How often splits are looked at while a barrier passes, in ms. @default runCoordinator's */
  readonly pollMs?: number;
  /** How long before its time a checkpoint counts as due, in ms: half of the schedule's period. @default 0 */
  readonly dueEarlyMs?: number;
}

/**
 * In this order: a restore that is asked for, one that is under way, mappings that one has left off, a checkpoint. Each
 * waits for the one before it.
 */
export function createCoordinatorHandler(
  resources: AppResources,
  options: CoordinatorHandlerOptions,
): CoordinatorHandler {
  const { replay, mappings, pollMs, workers, dueEarlyMs = 0 } = options;
  const shared = workers === undefined ? {} : { workers };
  return async ({ deadlineMs, trigger: request }) => {
    let control = await readControl(resources.control);
    if (control?.requested !== undefined && control.requested.refused === undefined) {
      const restore = await carryOnRequest(resources, { deadlineMs, ...shared });
      if (restore.outcome === "unfinished") return { did: "restore", restore };
      control = await readControl(resources.control);
    }
    if (control?.phase === "REPLAYING") {
      const turning = mappings === undefined ? {} : { mappings };
      const restore = await carryOnRestore(resources, { deadlineMs, replay, ...turning, ...shared });
      return { did: "restore", restore };
    }
    if (control !== undefined && mappings !== undefined) await enableMappings(resources, control, mappings);
    const asked = request === undefined ? {} : { request };
    const polling = pollMs === undefined ? {} : { pollMs };
    const checkpoint = await runCoordinator(resources, { deadlineMs, dueEarlyMs, ...asked, ...polling, ...shared });
    return { did: "checkpoint", checkpoint };
  };
}
