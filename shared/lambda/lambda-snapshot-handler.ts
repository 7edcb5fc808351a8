/** Lambda's entry of the snapshot function. */
import type { WorkAnswer } from "../checkpoint/work.ts";
import { answering, type ErrorAnswer } from "./error-answer.ts";
import { deadlineOf, type LambdaContext, once, openEnvironment, watched } from "./lambda-environment.ts";
import { readSettings } from "./settings.ts";
import { createWorkerHandler } from "./worker-handler.ts";

/**
 * The handler of the snapshot function, which the coordinator invokes, many at a time: each writes a slice of a
 * checkpoint, or checks or loads a part of one. It invokes nobody.
 */
export function lambdaSnapshotHandler(): (event: unknown, context: LambdaContext) => Promise<WorkAnswer | ErrorAnswer> {
  const opened = once(async () => {
    const environment = await openEnvironment(readSettings());
    return { environment, work: createWorkerHandler(environment.resources) };
  });
  return async (event, context) => {
    const { environment, work } = await opened();
    return answering(() => watched(environment, () => environment.onOwnGround(() => work(event, deadlineOf(context)))));
  };
}
