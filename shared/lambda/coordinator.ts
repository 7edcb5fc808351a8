/** Lambda's entry of the coordinator function. */
import type { LambdaClient } from "@aws-sdk/client-lambda";
import type { AppResources } from "../app/app-resources.ts";
import { claimAll, takeOver } from "../app/claim.ts";
import { checkpointAgeFromMs } from "../checkpoint/coordinator.ts";
import { checkSavepointName } from "../checkpoint/savepoints.ts";
import type { WorkAnswer } from "../checkpoint/work.ts";
import { ensureControl, readControl } from "../control/control-steps.ts";
import { TidemarkError } from "../errors.ts";
import type { EventSourceMappings } from "../restore/event-source-mappings.ts";
import type { ReplayAnswer } from "../restore/replay-invoker.ts";
import {
  type CoordinatorAnswer,
  type CoordinatorHandlerOptions,
  type CoordinatorInvocation,
  createCoordinatorHandler,
} from "../runtime/coordinator-handler.ts";
import { replayInstruction } from "../runtime/event-handler.ts";
import { type Deployment, readSettings } from "../runtime/settings.ts";
import { createLambdaClient } from "./create-client.ts";
import { deadlineOf, type LambdaContext, once, openEnvironment, watched } from "./environment.ts";
import { invokeAndWait } from "./invoke-function.ts";
import { lambdaMappings } from "./mappings.ts";
import { signStorage } from "./sign-storage.ts";
import type { LambdaWatch } from "./watch.ts";

/** The period of the rule that runs it. */
const SCHEDULE_MS = 60_000;

/**
 * What the coordinator may be invoked with besides its schedule's event: `{"checkpoint":true}`, `{"savepoint":"NAME"}`, which may say
 * `"replace":true` where there is one of that name, `{"redrive":"FUNCTION"}`, which may say `split`, `position` and `all` as well, or `{"skip":"FUNCTION"}`, which may say
 * `split` and `records`; or `{"takeOver":"CLAIM"}`, which makes the tables and the place of another life of the app this
 * deployment's.
 */
export interface CoordinatorEvent {
  readonly checkpoint?: boolean;
  readonly savepoint?: string;
  readonly replace?: boolean;
  readonly redrive?: string;
  readonly skip?: string;
  readonly split?: string;
  readonly records?: number;
  readonly position?: string;
  readonly all?: boolean;
  readonly takeOver?: string;
}

/** What it answers `{"takeOver":"CLAIM"}`: the tables and the place whose claims are this deployment's now. */
export interface TakenOver {
  readonly did: "take-over";
  readonly tookOver: readonly string[];
}

/**
 * The handler of the coordinator function, for a schedule of one minute, which nothing has to be added to: each invocation
 * carries on what the one before left, a restore that was asked for or is under way before anything else.
 *
 * It invokes the event functions (to replay, and with redriven dead letters) and the snapshot function, and is invoked by
 * neither.
 * Every run measures what alarms watch, before and after its work. Before anything else it claims its tables and its place
 * in the bucket for the app, or sees that it has: a strong read of each table and an S3 GET, 43,200 times a month.
 * @throws TidemarkError `fix-configuration` when the settings have no deployment, or the event is misspelt
 */
export function lambdaCoordinatorHandler(): (
  event: unknown,
  context: LambdaContext,
) => Promise<CoordinatorAnswer | TakenOver> {
  const opened = once(async () => {
    const settings = readSettings();
    const { deployment } = settings;
    if (deployment === undefined) throw withoutDeployment();
    const environment = await openEnvironment(settings, signStorage);
    const client = createLambdaClient();
    const options = {
      ...invokersOf(client, deployment),
      mappings: lambdaMappings(client, deployment),
      dueEarlyMs: SCHEDULE_MS / 2,
    };
    return { environment, options, coordinate: createCoordinatorHandler(environment.resources, options) };
  });
  return async (event, context) => {
    const { environment, coordinate, options } = await opened();
    const { resources, watch, claimant } = environment;
    return watched(environment, async () => {
      const { takeOver: claim, ...wish } = wishOf(event);
      const { awsRequestId: token } = context;
      // Tried again, it is the same request.
      const trigger = wish.trigger && { ...wish.trigger, ...(token === undefined ? {} : { token }) };
      const invocation = { ...deadlineOf(context), ...wish, ...(trigger === undefined ? {} : { trigger }) };
      const claiming = {
        randomness: resources.randomness,
        prepare: () => ensureControl(resources.control, resources.app.checkpointing.mode),
      };
      const tookOver = claim === undefined ? undefined : await takeOver(claimant, claim, claiming);
      await claimAll(claimant, claiming);
      if (tookOver !== undefined) return { did: "take-over", tookOver };
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
export function wishOf(
  event: unknown,
): Pick<CoordinatorInvocation, "trigger" | "redrive" | "skip"> & Pick<CoordinatorEvent, "takeOver"> {
  const given = (event ?? {}) as CoordinatorEvent & { readonly source?: unknown; readonly tidemark?: unknown };
  if (given.source !== undefined || given.tidemark !== undefined) return {};
  const { checkpoint, savepoint, replace, redrive, skip, split, position, records, takeOver: claim } = given;
  const wish = (["takeOver", "skip", "redrive"] as const).find((name) => given[name] !== undefined) ?? "trigger";
  const known = Object.keys(given).every((name) => MEMBERS[wish].includes(name));
  const isText = (value: unknown): boolean => value === undefined || (typeof value === "string" && value !== "");
  const isTrue = (value: unknown): boolean => value === undefined || value === true;
  const fits =
    known &&
    [checkpoint, replace, given.all].every(isTrue) &&
    [savepoint, redrive, skip, split, position, claim].every(isText) &&
    (replace === undefined || savepoint !== undefined) &&
    (position === undefined || split !== undefined) &&
    (records === undefined || typeof records === "number");
  if (!fits) {
    throw new TidemarkError(
      "fix-configuration",
      `The coordinator cannot take ${JSON.stringify(event).slice(0, 200)}, and did nothing. It takes {"checkpoint":true}, {"savepoint":"NAME"} (with "replace":true where there is one of that name), {"redrive":"FUNCTION"} (with "split", with "split" and "position", or with "all":true), {"skip":"FUNCTION"} (with "split", with "records":N), {"takeOver":"CLAIM"} or {}; a restore is asked for at the restore function.`,
    );
  }
  if (claim !== undefined) return { takeOver: claim };
  if (redrive !== undefined) return { redrive: { function: redrive, ...chosen(given, "split", "position", "all") } };
  if (skip !== undefined) return { skip: { function: skip, ...chosen(given, "split", "records") } };
  if (savepoint !== undefined) {
    checkSavepointName(savepoint);
    return { trigger: { savepoint, ...(replace === undefined ? {} : { replace }) } };
  }
  return checkpoint === true ? { trigger: {} } : {};
}

/** What each wish may say. */
const MEMBERS: { readonly [wish in "trigger" | "redrive" | "skip" | "takeOver"]: readonly string[] } = {
  trigger: ["checkpoint", "savepoint", "replace"],
  redrive: ["redrive", "split", "position", "all"],
  skip: ["skip", "split", "records"],
  takeOver: ["takeOver"],
};

/** Those of the members that are there. */
function chosen<Name extends keyof CoordinatorEvent>(
  given: CoordinatorEvent,
  ...names: readonly Name[]
): { readonly [name in Name]?: NonNullable<CoordinatorEvent[name]> } {
  const there = names.filter((name) => given[name] !== undefined);
  return Object.fromEntries(there.map((name) => [name, given[name]])) as never;
}

/** Functions that the coordinator invokes, as its ports. */
export function invokersOf(
  client: Pick<LambdaClient, "send">,
  { functions, snapshot, snapshotWorkers }: Deployment,
): Required<Pick<CoordinatorHandlerOptions, "replay" | "redrive" | "workers">> {
  const lambdaOf = (name: string): string => {
    const lambda = functions[name];
    if (lambda !== undefined) return lambda;
    throw new TidemarkError(
      "fix-configuration",
      `Records wait for the function ${name}, and the settings name no Lambda function for it; they name ${Object.keys(functions).join(", ")}. Deploy the app again.`,
    );
  };
  return {
    replay: async (request) =>
      (await invokeAndWait(client, lambdaOf(request.function), replayInstruction(request))) as ReplayAnswer,
    redrive: async (name, event) =>
      (await invokeAndWait(client, lambdaOf(name), event as object)) as { readonly reason?: string },
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
