/** Lambda's entry of an event function. Imports nothing of checkpoints and restores but what a batch needs. */
import { describeApp } from "../app/app-description.ts";
import type { AppDefinition } from "../app/define-app.ts";
import { changedBuiltIns, refuseChangedBuiltIns } from "../built-ins.ts";
import { TidemarkError } from "../errors.ts";
import { createEventHandler, isReplayInstruction } from "../runtime/event-handler.ts";
import { readSettings } from "../runtime/settings.ts";
import {
  deadlineOf,
  type LambdaContext,
  type LambdaEnvironment,
  once,
  openEnvironment,
  watched,
} from "./environment.ts";
import { answering } from "./error-answer.ts";

/**
 * The handler of one event function, as its entry file exports it. Give its event source mapping
 * ReportBatchItemFailures, unlimited retries, no bisecting and a parallelization factor of 1.
 *
 * The app's description is taken from the app itself, unless the settings have one.
 */
export function lambdaEventHandler(
  app: AppDefinition,
  functionName: string,
): (event: unknown, context: LambdaContext) => Promise<object> {
  const opened = once(async () => {
    const environment = await openEnvironment(readSettings(process.env, describeApp(app)));
    return { environment, handle: createEventHandler(app, functionName, environment.resources) };
  });
  refuseChangedBuiltIns();
  return async (event, context) => {
    const { environment, handle } = await opened();
    const invocation = (): Promise<object> =>
      watched(environment, async () => {
        try {
          checkPlace(event, context);
          return await environment.onOwnGround(() => handle(event, deadlineOf(context)));
        } finally {
          environment.watch.ofFunction(functionName, "writeUnits", environment.writeUnits());
          endChanged(environment);
        }
      });
    // A restore that waits for the answer is told the kind of an error; a mapping has to see it fail.
    return isReplayInstruction(event) ? answering(invocation) : invocation();
  };
}

/** The invocation fails, and Lambda replaces the sandbox: a process that ends is the one thing that it does that for. */
function endChanged({ watch }: LambdaEnvironment): void {
  const change = changedBuiltIns();
  if (change === undefined) return;
  watch.failed(change);
  watch.publish();
  process.exit(1);
}

/**
 * A stack that does not say its account can be given a stream of another one, whose records its mapping would deliver.
 * Lags, replays and retention would be read from a stream of the same name here.
 */
function checkPlace(event: unknown, { invokedFunctionArn }: LambdaContext): void {
  const { Records } = (event ?? {}) as { readonly Records?: readonly ({ readonly eventSourceARN?: unknown } | null)[] };
  const arn = Array.isArray(Records) ? Records[0]?.eventSourceARN : undefined;
  if (typeof arn !== "string" || invokedFunctionArn === undefined) return;
  const [its, ours] = [arn, invokedFunctionArn].map((one) => one.split(":").slice(3, 5).join(" "));
  if (its === ours) return;
  throw new TidemarkError(
    "fix-configuration",
    `Records of ${arn} were delivered to ${invokedFunctionArn}; functions read streams of their own region and account. Nothing of them was folded. Deploy the app where the stream is.`,
  );
}
