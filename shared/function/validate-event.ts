import type { StandardSchemaV1 } from "@standard-schema/spec";
import { TidemarkError } from "../errors.ts";
import { jsonPath } from "../json/json-path.ts";
import type { FunctionDefinition } from "./define-function.ts";

/** A schema may find a thousand faults in one event; a message names the first few. */
const ISSUES_SHOWN_MAX = 5;

export type EventValidation<Event> =
  | { readonly ok: true; readonly event: Event }
  /** The record is refused; `error` is of kind `fix-event`. */
  | { readonly ok: false; readonly error: TidemarkError };

/**
 * Asks the function's schema for the event of a decoded record. Answers at once where the schema does, so that the
 * fold of a batch waits for promises only where the user's schema makes some.
 *
 * A schema that throws or rejects has not refused the event: what it threw goes to the caller, who counts it as a
 * throw of the user's function at that record.
 */
export function validateEvent<Event, State>(
  definition: FunctionDefinition<Event, State>,
  raw: unknown,
): EventValidation<Event> | Promise<EventValidation<Event>> {
  const result = definition.event["~standard"].validate(raw);
  return isPromise(result)
    ? Promise.resolve(result).then((settled) => toValidation(definition.name, settled))
    : toValidation(definition.name, result);
}

function isPromise<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  // Any thenable: a schema library may bring promises of its own.
  return typeof (value as { then?: unknown }).then === "function";
}

function toValidation<Event>(functionName: string, result: StandardSchemaV1.Result<Event>): EventValidation<Event> {
  if (result.issues === undefined) return { ok: true, event: result.value };
  return { ok: false, error: new TidemarkError("fix-event", describeRefusal(functionName, result.issues)) };
}

function describeRefusal(functionName: string, issues: readonly StandardSchemaV1.Issue[]): string {
  const shown = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => {
    const segments = (issue.path ?? []).map((segment) => (typeof segment === "object" ? segment.key : segment));
    return `${jsonPath("event", segments)}: ${issue.message}`;
  });
  const more = issues.length - shown.length;
  return (
    `The schema of ${functionName} refuses the event: ${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}. ` +
    "Correct what writes the event, or widen the schema and redrive the dead letter."
  );
}
