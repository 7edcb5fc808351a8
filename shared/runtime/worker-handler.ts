/** What runs in the snapshot function: a piece of work of a checkpoint or a restore. No user code; it invokes nobody. */
import type { AppResources } from "../app/app-resources.ts";
import { runSnapshotWork } from "../checkpoint/snapshot-work.ts";
import type { Work, WorkAnswer, WorkRequest } from "../checkpoint/work.ts";
import { TidemarkError } from "../errors.ts";
import { runCheckWork } from "../restore/check-parts.ts";
import { runLoadWork } from "../restore/load.ts";
import type { InvocationOptions } from "./event-handler.ts";

export type WorkerHandler = (request: unknown, invocation: InvocationOptions) => Promise<WorkAnswer>;

/**
 * A crash at any point loses nothing: what was done is noted in the control table, and the coordinator gives the piece
 * out again.
 * @throws TidemarkError `fix-configuration` when the request is none of the coordinator's
 */
export function createWorkerHandler(resources: AppResources): WorkerHandler {
  return async (request, { deadlineMs }) => {
    const work = (request ?? {}) as Partial<WorkRequest>;
    const stretchMs = work.milliseconds ?? Number.POSITIVE_INFINITY;
    const untilMs = Math.min(deadlineMs, resources.clock.now() + stretchMs);
    switch (work.work) {
      case "snapshot":
        return runSnapshotWork(resources, work as Work & { readonly work: "snapshot" }, untilMs);
      case "check":
        return runCheckWork(resources, work as Work & { readonly work: "check" }, untilMs);
      case "load":
        return runLoadWork(resources, work as Work & { readonly work: "load" }, untilMs);
      default:
        throw new TidemarkError(
          "fix-configuration",
          `The snapshot function was given ${JSON.stringify(request)?.slice(0, 200)}, which is no work of the coordinator's. Nobody else has reason to invoke it: to take a checkpoint, invoke the coordinator; to restore one, the restore function.`,
        );
    }
  };
}
