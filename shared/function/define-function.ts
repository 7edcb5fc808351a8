/** What a user writes: a pure fold of events into a key's state. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { checkFunction } from "./check-function.ts";
import type { EventContext, FunctionDefinition, StateDefinition } from "./function-definition.ts";

/** What {@link defineFunction} takes. The event's type comes from `event`, the state's from `state.initial`; `handle` is held to both. */
export interface FunctionOptions<Schema extends StandardSchemaV1, State> {
  readonly name: string;
  readonly previousName?: string;
  readonly event: Schema;
  readonly key: (event: StandardSchemaV1.InferOutput<Schema>) => string;
  readonly state: StateDefinition<State>;
  readonly handle: (
    state: NoInfer<State>,
    event: StandardSchemaV1.InferOutput<Schema>,
    context: EventContext,
  ) => NoInfer<State> | null | Promise<NoInfer<State> | null>;
}

/**
 * Defines a stateful function: a pure fold of events into the state of their key. {@link FunctionDefinition} says what
 * each option means.
 *
 * Annotate `initial` where its value alone says too little: `initial: (): OnTime => ({ flights: 0, worstDate: null })`.
 *
 * On a crash nothing is lost and nothing is folded twice: the runtime delivers the batch again and drops what was
 * done. Costs no request; `initial` is called once, to check what it returns.
 *
 * @throws TidemarkError `fix-configuration` when an option is missing, misspelt or out of its range;
 * `fix-function` when `initial` returns what cannot be stored.
 */
export function defineFunction<Schema extends StandardSchemaV1, State>(
  options: FunctionOptions<Schema, State>,
): FunctionDefinition<StandardSchemaV1.InferOutput<Schema>, State> {
  if (typeof TIDEMARK_CHECKED === "undefined") checkFunction(options);
  const { upgrade } = options.state;
  return Object.freeze({
    ...options,
    event: options.event as StandardSchemaV1<unknown, StandardSchemaV1.InferOutput<Schema>>,
    state: Object.freeze({
      ...options.state,
      ...(upgrade === undefined ? {} : { upgrade: Object.freeze({ ...upgrade }) }),
    }),
  });
}
