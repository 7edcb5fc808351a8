/**
 * What runs in the restore function, invoked by people: it asks for a restore, tells one to go on, or says how far one has
 * come. It answers at once; the coordinator does the work. No user code.
 */
import type { AppResources } from "../app/app-resources.ts";
import { describeThrown } from "../errors.ts";
import { askForRestore, goOnWithRestore } from "../restore/ask-for-restore.ts";
import type { RestoreReport } from "../restore/restore-report.ts";
import { type RestoreStatus, restoreStatus } from "../restore/status.ts";
import { parseRestorePayload } from "./restore-payload.ts";

export type RestoreAnswer = RestoreReport | RestoreStatus;

export type RestoreHandler = (payload: unknown) => Promise<RestoreAnswer>;

/**
 * @param wake has the coordinator run now. When it fails, the coordinator's own schedule comes to what was asked for.
 * @returns a handler that throws what `parseRestorePayload`, `askForRestore` and `goOnWithRestore` do
 */
export function createRestoreHandler(resources: AppResources, wake: () => Promise<void>): RestoreHandler {
  const woken = async (report: RestoreReport): Promise<RestoreReport> => {
    await wake().catch((thrown: unknown) =>
      resources.observe({ type: "coordinator-not-woken", error: describeThrown(thrown) }),
    );
    return report;
  };
  return async (payload) => {
    const command = parseRestorePayload(payload, resources.clock.now());
    if (command.do === "status") return restoreStatus(resources);
    if (command.do === "go-on") return woken(await goOnWithRestore(resources));
    const report = await askForRestore(resources, command.choice);
    return report.outcome === "would-restore" ? report : woken(report);
  };
}
