import { types } from "node:util";

/**
 * Freezes JSON throughout, so that a handler cannot change in place what others still hold (the image before, a
 * cache, the state that a failed write is folded from again).
 *
 * What is frozen already is taken to be frozen throughout and not entered: the unchanged parts of a state cost one
 * look each, not one walk. Freezing only the outside of a state by hand gives that protection up for its inside.
 *
 * What is no JSON (a proxy, what a getter makes, anything nested without end) is left as it is: whoever checks the state
 * refuses it, and says why.
 * @returns the value itself.
 */
export function freezeDeep<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null) freezeObject(value, DEPTH_MAX);
  return value;
}

/**
 * {@link freezeDeep} for a state that was made from one that is frozen throughout: what both have under the same name is
 * frozen already. Asking an object whether it is frozen takes longer than a comparison, and a state is made for each event.
 * @returns the next state itself.
 */
export function freezeNext<Value>(next: Value, previous: unknown): Value {
  if (next === previous || typeof next !== "object" || next === null) return next;
  if (typeof previous !== "object" || previous === null || Array.isArray(next) || !isFreezable(next)) {
    return freezeDeep(next);
  }
  Object.freeze(next);
  for (const name of Object.keys(next)) {
    const inner = memberOf(next, name);
    if (inner !== undefined && inner !== (previous as Record<string, unknown>)[name])
      freezeMember(next, name, DEPTH_MAX);
  }
  return next;
}

/** Deeper than any state: stopping here rather than at the end of the stack leaves it to the check to say so. */
const DEPTH_MAX = 100;

/** Bytes cannot be frozen, and a proxy answers what it likes. */
const isFreezable = (object: object): boolean => !ArrayBuffer.isView(object) && !types.isProxy(object);

function freezeObject(object: object, depthLeft: number): void {
  if (depthLeft === 0 || !isFreezable(object) || Object.isFrozen(object)) return;
  // The outside first: a cycle ends where it comes back.
  Object.freeze(object);
  if (Array.isArray(object)) {
    for (let i = 0; i < object.length; i++) {
      if (memberOf(object, i) !== undefined) freezeMember(object, i, depthLeft);
    }
    return;
  }
  for (const name of Object.keys(object)) {
    if (memberOf(object, name) !== undefined) freezeMember(object, name, depthLeft);
  }
}

/** A member that is an object or an array. */
function memberOf(object: object, name: string | number): object | undefined {
  try {
    const inner = (object as Record<string | number, unknown>)[name];
    return typeof inner === "object" && inner !== null ? inner : undefined;
  } catch {
    return undefined;
  }
}

/** Asked for by its descriptor, since a getter may make another object each time, and so on without end. */
function freezeMember(object: object, name: string | number, depthLeft: number): void {
  const inner: unknown = Object.getOwnPropertyDescriptor(object, name)?.value;
  if (typeof inner === "object" && inner !== null) freezeObject(inner, depthLeft - 1);
}
