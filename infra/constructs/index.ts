/** `tidemark/infra`: what a CDK app imports. */
export type { AlarmOptions, FunctionAlarms, TidemarkAlarms } from "./alarms.ts";
export type { CheckpointOptions, Checkpoints } from "./checkpoint-bucket.ts";
export type { TableOptions } from "./durable-table.ts";
export type { EventFunction } from "./event-function.ts";
export { fromKinesis, type KinesisBinding, type KinesisBindingOptions } from "./kinesis-binding.ts";
export type { AppMetric, FunctionMetric } from "./metrics.ts";
export { TidemarkApp } from "./tidemark-app.ts";
export type {
  CoordinatorOptions,
  ExistingResources,
  FunctionOptions,
  SnapshotOptions,
  TidemarkAppProps,
} from "./tidemark-app-props.ts";
export type { LogOptions, NetworkOptions } from "./tidemark-function.ts";
