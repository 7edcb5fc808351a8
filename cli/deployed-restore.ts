/** `tidemark restore --function`: the restore function of a deployed app, asked and then watched until it is done. */

import { systemClock } from "../shared/environment.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { RestoreReport } from "../shared/restore/restore-report.ts";
import type { RestoreStatus } from "../shared/restore/status.ts";
import { parseRestorePayload } from "../shared/runtime/restore-payload.ts";

/** Invokes the restore function with a payload. @throws TidemarkError what it answered, or why it did not */
export type AskFunction = (payload: object) => Promise<unknown>;

export interface DeployedEnd {
  readonly report: RestoreReport;
  /** Absent after a dry run. */
  readonly status?: RestoreStatus;
  /** `unchanged`: see the report's outcome. */
  readonly end: "finished" | "held" | "unchanged";
}

const POLL_MS = 2_000;
/** Looks in a row that may fail: the restore goes on without being looked at. */
const FAILURES_MAX = 15;

/** A function of this name or ARN, by the environment's own region and credentials. */
export async function restoreFunction(name: string): Promise<AskFunction> {
  const [{ createLambdaClient }, { invokeAndWait }] = await Promise.all([
    import("../shared/lambda/create-client.ts"),
    import("../shared/lambda/invoke-function.ts"),
  ]);
  const client = createLambdaClient();
  return (payload) => invokeAndWait(client, name, payload);
}

/**
 * Asks for a restore, or for one to go on, and waits until it is finished, held, or cannot be done. Nothing depends on the
 * wait: the restore goes on when this process ends.
 * @throws TidemarkError `choose-another-checkpoint` when the check refused it; `retry` when the status stays away
 */
export async function restoreDeployed(
  ask: AskFunction,
  payload: object,
  onStatus: (status: RestoreStatus) => void,
  clock = systemClock,
): Promise<DeployedEnd> {
  parseRestorePayload(payload, clock.now());
  const report = (await ask(payload)) as RestoreReport;
  if (report.outcome === "would-restore") return { report, end: "unchanged" };
  let failures = 0;
  for (;;) {
    let status: RestoreStatus;
    try {
      status = (await ask({ status: true })) as RestoreStatus;
      failures = 0;
    } catch (thrown) {
      failures += 1;
      if (!(thrown instanceof TidemarkError) || thrown.kind !== "retry" || failures >= FAILURES_MAX) throw thrown;
      await clock.sleep(POLL_MS);
      continue;
    }
    const mine = status.requested?.id === report.id ? { ...status, ...status.requested } : status;
    if (mine.id !== report.id) return { report: { ...report, outcome: "superseded" }, status, end: "unchanged" };
    if (mine.phase === "refused")
      throw new TidemarkError("choose-another-checkpoint", mine.reason ?? "It was refused.");
    onStatus(mine);
    if (mine.phase === "finished") return { report: { ...report, outcome: "finished" }, status, end: "finished" };
    if (mine.phase === "held") return { report: { ...report, outcome: "held" }, status, end: "held" };
    await clock.sleep(POLL_MS);
  }
}
