import type { AppResources } from "../app/app-resources.ts";
import type { FunctionDefinition } from "../function/function-definition.ts";
import type { Decoding } from "../source/decoding.ts";
import type { Source } from "../source/source.ts";
import type { StateCache } from "./state-cache.ts";

/** What a split is told of the code that takes its records. */
export const codeVersionOf = ({ codeVersion }: Pick<AppResources, "codeVersion">): string =>
  codeVersion?.() ?? "unknown";

/** What batches of one function run on. */
export interface BatchEngine {
  readonly resources: AppResources;
  // biome-ignore lint/suspicious/noExplicitAny: the runtime folds functions of any event and state
  readonly definition: FunctionDefinition<any, any>;
  readonly source: Source;
  /** How its records are decoded. @default every option of a source at its default */
  readonly decoding?: Decoding;
  /** How long the source keeps a record, in ms; absent: for ever. */
  readonly retentionMs?: number;
  /** Absent: every key is loaded for every batch (the heap backend is memory already). */
  readonly cache?: StateCache;
}
