/** What users import from "tidemark". Everything else is internal, or on a subpath. */

export type {
  AppDefinition,
  CheckpointingMode,
  CheckpointingOptions,
  DeadLetterOptions,
  FunctionBinding,
  SourceOptions,
} from "./app/define-app.ts";
export { defineApp } from "./app/define-app.ts";
export type { ErrorKind } from "./errors.ts";
export { TidemarkError } from "./errors.ts";
export type { FunctionOptions } from "./function/define-function.ts";
export { defineFunction } from "./function/define-function.ts";
export type { EventContext, FunctionDefinition, StateDefinition } from "./function/function-definition.ts";
export type { JsonValue } from "./json/json-value.ts";
export type { Position } from "./source/position.ts";
