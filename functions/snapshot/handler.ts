/** Lambda's entry point of the snapshot workers: invoked by the coordinator, as many at a time as there is work for. */
import { lambdaSnapshotHandler } from "../../shared/lambda/index.ts";

export const handler = lambdaSnapshotHandler();
