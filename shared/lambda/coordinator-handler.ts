/** What runs in the coordinator function: no user code. Any invocation carries on what another left. */
import type { AppResources } from "../app/app-resources.ts";
import { type CoordinatorReport, runCoordinator } from "../checkpoint/coordinator.ts";
import { readControl } from "../control/control-steps.ts";
import { carryOnRestore } from "../restore/carry-on.ts";
import type { ReplayInvoker } from "../restore/replay-invoker.ts";
import type { RestoreReport } from "../restore/restore-report.ts";

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

/** @param options.pollMs how often splits are looked at while a barrier passes, in ms. @default runCoordinator's */
export function createCoordinatorHandler(
  resources: AppResources,
  options: { readonly replay: ReplayInvoker; readonly pollMs?: number },
): CoordinatorHandler {
  const { replay, ...others } = options;
  return async (invocation) => {
    const control = await readControl(resources.control);
    if (control?.phase === "REPLAYING") {
      const restore = await carryOnRestore(resources, { deadlineMs: invocation.deadlineMs, replay });
      return { did: "restore", restore };
    }
    const { deadlineMs, trigger: request } = invocation;
    const asked = request === undefined ? {} : { request };
    return { did: "checkpoint", checkpoint: await runCoordinator(resources, { deadlineMs, ...asked, ...others }) };
  };
}
