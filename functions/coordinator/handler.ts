/**
 * Lambda's entry point of the coordinator, to be invoked on a schedule: no user code. An invocation takes the checkpoint
 * that is due, or carries on what another left. Of a restore it does all but the replay, which takes the event
 * functions, and it cannot invoke those: it fails then with an error that says so, and nothing is lost.
 */
import { lambdaCoordinatorHandler } from "../../shared/lambda/index.ts";

export const handler = lambdaCoordinatorHandler();
