/** Lambda's entry of the coordinator function. */
import type { LambdaClient } from "@aws-sdk/client-lambda";
import type { AppResources } from "../app/app-resources.ts";
import { checkpointAgeFromMs } from "../checkpoint/coordinator.ts";
import type { WorkAnswer } from "../checkpoint/work.ts";
import { readControl } from "../control/control-steps.ts";
import { TidemarkError } from "../errors.ts";
import type { EventSourceMappings } from "../restore/event-source-mappings.ts";
import type { ReplayAnswer } from "../restore/replay-invoker.ts";
import {
  type CoordinatorAnswer,
  type CoordinatorHandlerOptions,
  createCoordinatorHandler,
} from "./coordinator-handler.ts";
import { replayInstruction } from "./event-handler.ts";
import { createLambdaClient } from "./lambda-client.ts";
import { deadlineOf, type LambdaContext, once, openEnvironment, watched } from "./lambda-environment.ts";
import { invokeAndWait } from "./lambda-functions.ts";
import { lambdaMappings } from "./lambda-mappings.ts";
import type { LambdaWatch } from "./lambda-watch.ts";
import { type Deployment, readSettings } from "./settings.ts";

/** The period of the rule that runs it. */
const SCHEDULE_MS = 60_000;

/** What the coordinator may be invoked with besides its schedule's event: `{"checkpoint":true}`, `{"savepoint":"NAME"}`. */
export interface CoordinatorEvent {
  readonly checkpoint?: boolean;
  readonly savepoint?: string;
}

/**
 * The handler of the coordinator function, for a schedule of one minute, which nothing has to be added to: each invocation
 * carries on what the one before left, a restore that was asked for or is under way before anything else.
 *
 * It invokes the event functions (to replay) and the snapshot function, and is invoked by neither.
 * Every run measures what alarms watch, before and after its work.
 * @throws TidemarkError `fix-configuration` when the settings have no deployment, or the event is misspelt
 */
export function lambdaCoordinatorHandler(): (event: unknown, context: LambdaContext) => Promise<CoordinatorAnswer> {
  const opened = once(async () => {
    const settings = readSettings();
    const { deployment } = settings;
    if (deployment === undefined) throw withoutDeployment();
    const environment = await openEnvironment(settings);
    const client = createLambdaClient();
    const options = {
      ...invokersOf(client, deployment),
      mappings: lambdaMappings(client, deployment.mappings),
      dueEarlyMs: SCHEDULE_MS / 2,
    };
    return { environment, options, coordinate: createCoordinatorHandler(environment.resources, options) };
  });
  return async (event, context) => {
    const { environment, coordinate, options } = await opened();
    const { resources, watch } = environment;
    return watched(environment, async () => {
      const invocation = { ...deadlineOf(context), ...triggerOf(event) };
      const measured = (): Promise<void> =>
        measure(resources, options.mappings, watch).catch((thrown: unknown) => watch.failed(thrown));
      // At once as well: a restore that this run ends would never be seen to run, and a run that is killed says nothing.
      await measured();
      watch.publish();
      try {
        return await coordinate(invocation);
      } finally {
        // Measured also when the run failed: what alarms watch must not go missing with it.
        await measured();
      }
    });
  };
}

/**
 * Nothing, for whatever its schedule and the restore function say.
 * @throws TidemarkError `fix-configuration` for a wish that is misspelt: it would pass for a run of the schedule
 */
export function triggerOf(event: unknown): { readonly trigger?: { readonly savepoint?: string } } {
  const given = (event ?? {}) as CoordinatorEvent & { readonly source?: unknown; readonly tidemark?: unknown };
  if (given.source !== undefined || given.tidemark !== undefined) return {};
  const { checkpoint, savepoint, ...others } = given;
  const stranger = Object.keys(others)[0];
  const fits =
    stranger === undefined &&
    (checkpoint === undefined || checkpoint === true) &&
    (savepoint === undefined || (typeof savepoint === "string" && savepoint !== ""));
  if (!fits) {
    throw new TidemarkError(
      "fix-configuration",
      `The coordinator cannot take ${JSON.stringify(event).slice(0, 200)}, and did nothing. It takes {"checkpoint":true}, {"savepoint":"NAME"} or {}; a restore is asked for at the restore function.`,
    );
  }
  if (savepoint !== undefined) return { trigger: { savepoint } };
  return checkpoint === true ? { trigger: {} } : {};
}

/** Functions that the coordinator invokes, as its ports. */
export function invokersOf(
  client: Pick<LambdaClient, "send">,
  { functions, snapshot, snapshotWorkers }: Deployment,
): Pick<CoordinatorHandlerOptions, "replay" | "workers"> & Required<Pick<CoordinatorHandlerOptions, "workers">> {
  return {
    async replay(request) {
      const lambda = functions[request.function];
      if (lambda === undefined) {
        throw new TidemarkError(
          "fix-configuration",
          `The function ${request.function} waits for its replay, and the settings name no Lambda function for it; they name ${Object.keys(functions).join(", ")}. Deploy the app again.`,
        );
      }
      return (await invokeAndWait(client, lambda, replayInstruction(request))) as ReplayAnswer;
    },
    workers: {
      count: snapshotWorkers,
      invoke: async (request) => (await invokeAndWait(client, snapshot, request)) as WorkAnswer,
    },
  };
}

/** What alarms watch, before and after every run. A look a mapping, and one read. */
async function measure(resources: AppResources, mappings: EventSourceMappings, watch: LambdaWatch): Promise<void> {
  const { app, clock, control: store, observe } = resources;
  const control = await readControl(store);
  const asked = control?.requested !== undefined && control.requested.refused === undefined;
  const restoring = asked || control?.phase === "REPLAYING";
  watch.ofApp("restoreRunning", restoring ? 1 : 0);
  const ageFromMs = checkpointAgeFromMs(control?.checkpoint);
  if (app.checkpointing.intervalMs !== undefined && ageFromMs !== undefined) {
    watch.ofApp("checkpointAge", Math.max(0, clock.now() - ageFromMs) / 1000);
  }
  let drifted = 0;
  for (const name of mappings.functions) {
    const look = await mappings.look(name);
    const off = look !== undefined && !look.on && !restoring && control?.mappingsOff?.[name] !== true;
    const drift = look === undefined ? ["it does not exist"] : [...look.drift, ...(off ? ["it is disabled"] : [])];
    if (drift.length === 0) continue;
    drifted += 1;
    observe({ type: "mapping-drifted", function: name, drift });
  }
  watch.ofApp("mappingDrift", drifted);
}

function withoutDeployment(): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    "The settings of this function have no deployment, so it does not know which functions to invoke. Tidemark's constructs write it: deploy the function with them.",
  );
}
