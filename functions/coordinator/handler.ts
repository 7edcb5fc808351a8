/** Lambda's entry point of the coordinator: no user code. */
import { lambdaCoordinatorHandler } from "../../shared/lambda/index.ts";

export const handler = lambdaCoordinatorHandler();
