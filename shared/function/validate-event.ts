import type { StandardSchemaV1 } from "@standard-schema/spec";
import { TidemarkError } from "../errors.ts";
import { cutText } from "../json/cut-text.ts";
import { describeValue } from "../json/describe-value.ts";
import { jsonPath } from "../json/json-path.ts";
import type { FunctionDefinition } from "./function-definition.ts";

/** A schema may find a thousand faults in one event; a message names the first few. */
const ISSUES_SHOWN_MAX = 5;
const ISSUE_BYTES_MAX = 1_000;
const SEGMENTS_SHOWN_MAX = 20;

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

export function isPromise<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  // Any thenable: a schema library may bring promises of its own.
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/** @throws TidemarkError `fix-function` when the schema answers what no Standard Schema does */
function toValidation<Event>(
  functionName: string,
  raw: unknown,
  result: StandardSchemaV1.Result<Event>,
): EventValidation<Event> {
  if (typeof result !== "object" || result === null) throw noAnswer(functionName, describeValue(result, 200));
  const { issues } = result;
  if (issues === undefined) return { ok: true, event: result.value };
  if (!isList(issues)) throw noAnswer(functionName, `issues that are ${describeValue(issues, 200)}`);
  return { ok: false, error: new TidemarkError("fix-event", describeRefusal(functionName, raw, issues)) };
}

function noAnswer(functionName: string, answer: string): TidemarkError {
  return new TidemarkError(
    "fix-function",
    `The schema of ${functionName} answered ${answer}; a Standard Schema answers { value } or { issues: [ … ] }. Correct its ~standard.validate.`,
  );
}

/** A list of a library's own need be no array. */
function isList(issues: unknown): boolean {
  return typeof issues === "object" && issues !== null && typeof (issues as { length?: unknown }).length === "number";
}

type Issues = ArrayLike<StandardSchemaV1.Issue>;

function describeRefusal(functionName: string, raw: unknown, issues: Issues): string {
  const bigInt = firstIssues(issues).find((issue) => typeof valueAt(raw, segmentsOf(issue)) === "bigint");
  return (
    `The schema of ${functionName} refuses the event: ${describeIssues("event", issues)}. ` +
    (bigInt === undefined ? "" : explainBigInt(segmentsOf(bigInt))) +
    "Correct what writes the event, or widen the schema and redrive the dead letter."
  );
}

/** What a schema found, by the places of the value that messages call `root`. */
export function describeIssues(root: string, issues: Issues): string {
  const shown = firstIssues(issues).map((issue) => cutText(describeIssue(root, issue), ISSUE_BYTES_MAX));
  const more = issues.length - shown.length;
  return `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

const firstIssues = (issues: Issues): unknown[] =>
  Array.from({ length: Math.min(issues.length, ISSUES_SHOWN_MAX) }, (_, index) => issues[index]);

/** Whatever is odd about an issue (its message no text, its path no list, a getter that throws), the value is refused. */
function describeIssue(root: string, issue: unknown): string {
  try {
    const { message } = issue as StandardSchemaV1.Issue;
    return `${jsonPath(root, segmentsOf(issue))}: ${typeof message === "string" ? message : describeValue(message)}`;
  } catch {
    return `${root}: ${describeValue(issue)}`;
  }
}

/** Of an issue whose path cannot be read, none. */
function segmentsOf(issue: unknown): PropertyKey[] {
  try {
    return Array.from((issue as StandardSchemaV1.Issue).path ?? [])
      .slice(0, SEGMENTS_SHOWN_MAX)
      .map((segment) => (typeof segment === "object" && segment !== null ? segment.key : segment));
  } catch {
    return [];
  }
}

function valueAt(raw: unknown, segments: readonly PropertyKey[]): unknown {
  let value = raw;
  for (const segment of segments) {
    const isName = typeof segment === "string" || typeof segment === "number";
    if (typeof value !== "object" || value === null || !isName || !Object.hasOwn(value, segment)) return undefined;
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
