import { types } from "node:util";
import { describeThrown, TidemarkError } from "../errors.ts";

/**
 * What V8 says when strict code changes a frozen object or array. Only plain objects and arrays are state: the same
 * words about strings, functions and class instances are left alone.
 */
const REFUSED_CHANGES = [
  /^Cannot assign to read only property '(?<name>.+)' of object '(?:#<Object>|\[object (?:Object|Array)\])'$/s,
  /^Cannot (?:add|define) property (?<name>.+), object is not extensible$/s,
  /^Cannot delete property '(?<name>.+)' of (?:#<Object>|\[object (?:Object|Array)\])$/s,
  /^Cannot redefine property: (?<name>.+)$/s,
];

const TYPE_ERROR = /^TypeError: (.*)$/s;

/**
 * Names the mistake behind a bare TypeError: user code changed its frozen state argument instead of returning a new
 * state. Anything else that was thrown is returned untouched.
 *
 * V8 does not say *which* object was frozen: where user code freezes objects of its own, the text may name the wrong one;
 * the TypeError stays as `cause`, and its stack tells.
 * @param place what was called, as the user wrote it. @default "handle"
 */
export function explainMutation(thrown: unknown, functionName: string, place = "handle"): unknown {
  if (!types.isNativeError(thrown)) return thrown;
  const [, said] = TYPE_ERROR.exec(describeThrown(thrown)) ?? [];
  if (said === undefined) return thrown;
  for (const change of REFUSED_CHANGES) {
    const name = change.exec(said)?.groups?.name;
    if (name !== undefined) return changedInPlace(name, { functionName, place, cause: thrown });
  }
  return thrown;
}

function changedInPlace(
  name: string,
  where: { readonly functionName: string; readonly place: string; readonly cause: Error },
): TidemarkError {
  // Arrays say the index, or "length", of what push, sort and their like would have changed.
  const wayOut = /^(?:\d+|length)$/.test(name)
    ? "Return a new state with a new array: [...list, item], list.with(index, item), list.toSorted(), list.filter(…)."
    : `Return a new object: {...state, ${/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)}: …}.`;
  return new TidemarkError(
    "fix-function",
    `${where.place} of ${where.functionName} changed its state argument in place (property '${name}'), which is frozen. ${wayOut}`,
    { cause: where.cause },
  );
}
