/** `tidemark/lambda`: what the entry files of deployed functions export. */

export { APP_VARIABLE, SETTINGS_VARIABLE, type Settings } from "../runtime/settings.ts";
export { lambdaCoordinatorHandler } from "./coordinator.ts";
export type { LambdaContext } from "./environment.ts";
export { lambdaEventHandler } from "./event.ts";
export {
  APP_METRICS,
  FUNCTION_DIMENSION,
  FUNCTION_METRICS,
  METRIC_NAMESPACE,
  SERVICE_DIMENSION,
} from "./metric-names.ts";
export { lambdaRestoreHandler } from "./restore.ts";
export { lambdaSnapshotHandler } from "./snapshot.ts";
