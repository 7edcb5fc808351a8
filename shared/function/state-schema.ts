/**
 * Holds a state to the function's own schema (`state.schema`), where it has one.
 *
 * Invariants:
 * - The schema only checks: it never changes a state. One whose output differs from what it was given (a default, a
 *   transform, a member that it drops) has refused it.
 * - Its answer is there at once: between two events nothing is waited for.
 */
import { describeThrown } from "../errors.ts";
import { describeValue } from "../json/describe-value.ts";
import { jsonPath } from "../json/json-path.ts";
import type { FunctionDefinition } from "./function-definition.ts";
import { describeIssues, isPromise } from "./validate-event.ts";

/** Why the schema refuses a state, in a clause; undefined: it takes it, or there is none. Never throws. */
export function refusalBySchema<Event, State>(
  { state: { schema } }: Pick<FunctionDefinition<Event, State>, "state">,
  state: unknown,
): string | undefined {
  if (schema === undefined) return undefined;
  try {
    const result = schema["~standard"].validate(state);
    if (isPromise(result)) {
      // Nobody waits for its answer.
      Promise.resolve(result).catch(() => {});
      return "it is asynchronous, and a state is checked between two events: take what is asynchronous out of it";
    }
    if (typeof result !== "object" || result === null) {
      return `it answered ${describeValue(result, 200)}, and a Standard Schema answers { value } or { issues: [ … ] }`;
    }
    if (result.issues !== undefined) return describeIssues("state", result.issues);
    const change = changeOf(state, result.value, []);
    return change && `it would change ${change}, and may only check: no default, no transform, no member that it drops`;
  } catch (thrown) {
    return `it threw ${describeThrown(thrown)}`;
  }
}

/** The first place at which the schema's output is another, as messages name it. */
function changeOf(given: unknown, output: unknown, path: readonly PropertyKey[]): string | undefined {
  if (given === output || Object.is(given, output)) return undefined;
  if (typeof given !== "object" || typeof output !== "object" || given === null || output === null) {
    return jsonPath("state", path);
  }
  if (Array.isArray(given) !== Array.isArray(output)) return jsonPath("state", path);
  for (const name of new Set([...Object.keys(given), ...Object.keys(output)])) {
    const segment = Array.isArray(given) ? Number(name) : name;
    const change = changeOf(ownValue(given, name), ownValue(output, name), [...path, segment]);
    if (change !== undefined) return change;
  }
  return undefined;
}

const ownValue = (object: object, name: string): unknown =>
  Object.hasOwn(object, name) ? (object as { readonly [name: string]: unknown })[name] : undefined;
