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
    ? Promise.resolve(result).then((settled) => toValidation(definition.name, raw, settled))
    : toValidation(definition.name, raw, result);
}

function isPromise<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  // Any thenable: a schema library may bring promises of its own.
  return typeof (value as { then?: unknown }).then === "function";
}

function toValidation<Event>(
  functionName: string,
  raw: unknown,
  result: StandardSchemaV1.Result<Event>,
): EventValidation<Event> {
  if (result.issues === undefined) return { ok: true, event: result.value };
  return { ok: false, error: new TidemarkError("fix-event", describeRefusal(functionName, raw, result.issues)) };
}

function describeRefusal(functionName: string, raw: unknown, issues: readonly StandardSchemaV1.Issue[]): string {
  const bigInts = issues.find((issue) => typeof valueAt(raw, segmentsOf(issue)) === "bigint");
  return (
    `The schema of ${functionName} refuses the event: ${describeIssues("event", issues)}. ` +
    (bigInts === undefined ? "" : explainBigInt(segmentsOf(bigInts))) +
    "Correct what writes the event, or widen the schema and redrive the dead letter."
  );
}

/** What a schema found, by the places of the value that messages call `root`. */
export function describeIssues(root: string, issues: readonly StandardSchemaV1.Issue[]): string {
  const shown = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => {
    return `${jsonPath(root, segmentsOf(issue))}: ${issue.message}`;
  });
  const more = issues.length - shown.length;
  return `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

function segmentsOf({ path = [] }: StandardSchemaV1.Issue): PropertyKey[] {
  return path.map((segment) => (typeof segment === "object" ? segment.key : segment));
}

function valueAt(raw: unknown, segments: readonly PropertyKey[]): unknown {
  let value = raw;
  for (const segment of segments) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as { readonly [segment: PropertyKey]: unknown })[segment];
  }
  return value;
}

/** A schema says that it got a BigInt, not why: nobody wrote one into the JSON. */
function explainBigInt(segments: readonly PropertyKey[]): string {
  return (
    `${jsonPath("event", segments)} is an integer beyond 2^53, which no number holds exactly: such integers arrive as BigInt. ` +
    'Take it as one (z.bigint()), or have the source give such integers as text: sources: { NAME: { url: "…", integers: "text" } }. '
  );
}
