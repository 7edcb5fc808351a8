/** `tidemark/lambda`: what the entry files of deployed functions export. */
export { lambdaCoordinatorHandler } from "./lambda-coordinator-handler.ts";
export type { LambdaContext } from "./lambda-environment.ts";
export { lambdaEventHandler } from "./lambda-event-handler.ts";
export { lambdaRestoreHandler } from "./lambda-restore-handler.ts";
export { lambdaSnapshotHandler } from "./lambda-snapshot-handler.ts";
export {
  APP_METRICS,
  FUNCTION_DIMENSION,
  FUNCTION_METRICS,
  METRIC_NAMESPACE,
  SERVICE_DIMENSION,
} from "./metric-names.ts";
export { APP_VARIABLE, SETTINGS_VARIABLE, type Settings } from "./settings.ts";
