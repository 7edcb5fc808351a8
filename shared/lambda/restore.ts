/** Lambda's entry of the restore function. */
import { TidemarkError } from "../errors.ts";
import { createRestoreHandler, type RestoreAnswer } from "../runtime/restore-handler.ts";
import { readSettings } from "../runtime/settings.ts";
import { createLambdaClient } from "./create-client.ts";
import { type LambdaContext, once, openEnvironment, watched } from "./environment.ts";
import { answering, type ErrorAnswer } from "./error-answer.ts";
import { invokeAndForget } from "./invoke-function.ts";
import { signStorage } from "./sign-storage.ts";

/** What the coordinator is invoked with; it reads control, and nothing of this. */
const WAKE = { tidemark: "carry-on" };

/**
 * The handler of the restore function, for people and the command line. Payloads:
 *
 * - `{}`: the latest completed checkpoint of the live lineage; `{"checkpoint":42}`; `{"before":"2026-01-31T12:00:00Z"}`: the
 *   latest that was complete by then; `{"savepoint":"NAME"}`. With `"dryRun":true` it only says what it would do, having
 *   looked at the manifest, the files' sizes and the source, but read no part; with
 *   `"allowNonRestoredState":true` state of functions that the app no longer has is left behind.
 * - `"until"`, with or without one of these: a time, or positions by function and split. The restore replays to there and
 *   stays, mappings off, until `{"goOn":true}`.
 * - `{"status":true}`: the phase, counts, positions and seconds of the restore that is asked for or under way, or the last.
 *
 * It answers at once, with the restore's id and what is going to be done, and has the coordinator do it; nothing of what
 * runs is changed before the coordinator has read the whole checkpoint through. Asked twice, it says so (`under-way`).
 * An error is answered as `{"error":{"kind":…,"message":…}}`; then nothing was changed.
 */
export function lambdaRestoreHandler(): (
  payload: unknown,
  context: LambdaContext,
) => Promise<RestoreAnswer | ErrorAnswer> {
  const opened = once(async () => {
    const settings = readSettings();
    const coordinator = settings.deployment?.coordinator;
    if (coordinator === undefined) throw withoutCoordinator();
    const environment = await openEnvironment(settings, signStorage);
    const client = createLambdaClient();
    const wake = (): Promise<void> => invokeAndForget(client, coordinator, WAKE);
    return { environment, restore: createRestoreHandler(environment.resources, wake) };
  });
  return (payload) =>
    answering(async () => {
      const { environment, restore } = await opened();
      return watched(environment, () => environment.onOwnGround(() => restore(payload)));
    });
}

function withoutCoordinator(): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    "The settings of this function name no coordinator to do what is asked for. Tidemark's constructs write it: deploy the function with them.",
  );
}
