import { TidemarkError } from "../errors.ts";
import { findJsonDefect } from "../json/check-json.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { FunctionDefinition } from "./function-definition.ts";
import { type KeyNamer, plainKey } from "./name-key.ts";
import { refusalBySchema } from "./state-schema.ts";

/** What `handle` made of a state cannot be kept. Over the same state it would be the same: no further try helps. */
export class UnfitStateError extends TidemarkError {
  constructor(message: string) {
    super("fix-function", message);
  }
}

/**
 * What `handle` returned, checked to be JSON that is read back as itself.
 * Costs one walk of the state: some 10 ns a property.
 * @returns the value itself, not a copy.
 * @throws UnfitStateError naming the place, what is there, and what to store instead.
 */
export function checkState(functionName: string, key: string, state: unknown, nameKey: KeyNamer = plainKey): JsonValue {
  if (state === undefined) {
    throw new UnfitStateError(
      `handle of ${functionName} returned undefined for key ${nameKey(key)}. Return the new state, or null to clear the key.`,
    );
  }
  const defect = findJsonDefect(state, "state");
  if (defect === undefined) return state as JsonValue;
  throw new UnfitStateError(
    `handle of ${functionName} returned a state for key ${nameKey(key)} that is not JSON: ${defect.path} ${defect.what}. ${defect.wayOut}`,
  );
}

/**
 * What `handle` returned, held to the function's `state.schema`. Whether it is JSON is asked when it is to be stored.
 * @throws TidemarkError `fix-function` naming the place and what the schema says.
 */
export function checkReturned<Event, State>(
  definition: FunctionDefinition<Event, State>,
  key: string,
  state: unknown,
  nameKey: KeyNamer = plainKey,
): void {
  const refusal = refusalBySchema(definition, state);
  if (refusal === undefined) return;
  throw new TidemarkError(
    "fix-function",
    `handle of ${definition.name} returned a state for key ${nameKey(key)} that state.schema refuses: ${refusal}. Return what the schema takes, or change the schema, with state.version.`,
  );
}
