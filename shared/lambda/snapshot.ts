/** Lambda's entry of the snapshot function. */
import type { WorkAnswer } from "../checkpoint/work.ts";
import { readSettings } from "../runtime/settings.ts";
import { createWorkerHandler } from "../runtime/worker-handler.ts";
import { deadlineOf, type LambdaContext, once, openEnvironment, watched } from "./environment.ts";
import { answering, type ErrorAnswer } from "./error-answer.ts";

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
