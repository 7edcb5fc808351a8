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
