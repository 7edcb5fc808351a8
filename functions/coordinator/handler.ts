/**
 * Lambda's entry point of the coordinator: run by a schedule of one minute. It triggers a checkpoint when one is due,
 * carries on what another invocation left, does what the restore function was asked for, and has redriven dead letters folded.
 */
import { lambdaCoordinatorHandler } from "../../shared/lambda/index.ts";

export const handler = lambdaCoordinatorHandler();
