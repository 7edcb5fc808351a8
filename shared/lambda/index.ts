/** `tidemark/lambda`: what the entry files of deployed functions export. */
export { type LambdaContext, lambdaCoordinatorHandler, lambdaEventHandler } from "./lambda-entry.ts";
export { SETTINGS_VARIABLE, type Settings } from "./settings.ts";
