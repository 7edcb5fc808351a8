/**
 * Freezes JSON throughout, so that a handler cannot change in place what others still hold (the image before, a
 * cache, the state that a failed write is folded from again).
 *
 * What is frozen already is taken to be frozen throughout and not entered: the unchanged parts of a state cost one
 * look each, not one walk. Freezing only the outside of a state by hand gives that protection up for its inside.
 * @returns the value itself.
 */
export function freezeDeep<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null) freezeObject(value);
  return value;
}

/**
 * {@link freezeDeep} for a state that was made from one that is frozen throughout: what both have under the same name is
 * frozen already. Asking an object whether it is frozen takes longer than a comparison, and a state is made for each event.
 * @returns the next state itself.
 */
export function freezeNext<Value>(next: Value, previous: unknown): Value {
  if (next === previous || typeof next !== "object" || next === null) return next;
  if (typeof previous !== "object" || previous === null || Array.isArray(next) || ArrayBuffer.isView(next)) {
    return freezeDeep(next);
  }
  Object.freeze(next);
  for (const name in next) {
    const inner: unknown = next[name];
    if (typeof inner !== "object" || inner === null) continue;
    if (inner !== (previous as Record<string, unknown>)[name]) freezeObject(inner);
  }
  return next;
}

function freezeObject(object: object): void {
  if (Object.isFrozen(object)) return;
  // Bytes cannot be frozen; they are no state either, and `checkState` says so.
  if (ArrayBuffer.isView(object)) return;
  // The outside first: a cycle ends where it comes back.
  Object.freeze(object);
  if (Array.isArray(object)) {
    for (let i = 0; i < object.length; i++) {
      const item: unknown = object[i];
      if (typeof item === "object" && item !== null) freezeObject(item);
    }
    return;
  }
  for (const name in object) {
    const inner = (object as Record<string, unknown>)[name];
    if (typeof inner === "object" && inner !== null) freezeObject(inner);
  }
}
