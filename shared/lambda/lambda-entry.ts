/** Lambda's entry points: what a cold start opens, and the handlers that AWS calls. */
import type { AppDefinition } from "../app/define-app.ts";
import { systemClock, systemRandomness } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import type { TidemarkEvent } from "../observer.ts";
import { type CoordinatorAnswer, createCoordinatorHandler } from "./coordinator-handler.ts";
import { type BatchAnswer, createEventHandler } from "./event-handler.ts";
import { type OpenedResources, openResources, type Surroundings } from "./open-resources.ts";
import { readSettings } from "./settings.ts";

/** The part of Lambda's context that is used. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

/** Folding stops so long before Lambda's own end, so that the batch's End is still written. */
const MARGIN_MS = 5_000;

/** The environment of a Lambda function: its role, its region; events as JSON lines in its log. */
const environment: Surroundings = {
  clock: systemClock,
  randomness: systemRandomness,
  observe: (event: TidemarkEvent) => console.log(JSON.stringify(event)),
  dynamodb: async () => new (await import("@aws-sdk/client-dynamodb")).DynamoDBClient({}),
  s3: async () => new (await import("@aws-sdk/client-s3")).S3Client({}),
  kinesis: async () => (await import("../source/kinesis/kinesis-client.ts")).createKinesisClient(),
};

/** Opened once by an environment, at its first invocation; what failed is tried again by the next one. */
function opened(): () => Promise<OpenedResources> {
  let opening: Promise<OpenedResources> | undefined;
  return () => {
    opening ??= (async () => openResources(readSettings(), environment))();
    opening.catch(() => {
      opening = undefined;
    });
    return opening;
  };
}

const deadline = (context: LambdaContext): { readonly deadlineMs: number } => ({
  deadlineMs: systemClock.now() + Math.max(0, context.getRemainingTimeInMillis() - MARGIN_MS),
});

/**
 * The handler of one event function, as its entry file exports it. Give its event source mapping
 * ReportBatchItemFailures, unlimited retries, no bisecting and a parallelization factor of 1.
 */
export function lambdaEventHandler(
  app: AppDefinition,
  functionName: string,
): (event: unknown, context: LambdaContext) => Promise<BatchAnswer | object> {
  const resources = opened();
  let handler: ReturnType<typeof createEventHandler> | undefined;
  return async (event, context) => {
    handler ??= createEventHandler(app, functionName, await resources());
    return handler(event, deadline(context));
  };
}

/**
 * The handler of the coordinator function, for a schedule: each invocation carries on what the one before left.
 *
 * @throws TidemarkError `fix-configuration` when a restore has come to its replay: this coordinator cannot invoke the
 *   event functions. Until a machine that has the app carries the restore on, splits stand still.
 */
export function lambdaCoordinatorHandler(): (event: unknown, context: LambdaContext) => Promise<CoordinatorAnswer> {
  const resources = opened();
  return async (_event, context) => {
    const coordinate = createCoordinatorHandler(await resources(), {
      replay: async ({ function: functionName, split }) => {
        throw new TidemarkError(
          "fix-configuration",
          `Split ${split} of function ${functionName} waits for its replay, and this coordinator cannot invoke other functions. State is loaded and the splits stand still: carry the restore on from a machine that has the app.`,
        );
      },
    });
    return coordinate(deadline(context));
  };
}
