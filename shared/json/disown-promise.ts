import { types } from "node:util";

/**
 * Whether a value is a promise. One that the user's code gave where none is taken is refused, and nobody waits for it any
 * more: were it left alone, it would end the process when it rejects, and with it every record's second try.
 */
export function disownPromise(value: unknown): boolean {
  if (!types.isPromise(value)) return false;
  // Not by a `then` of the value's own, which may be anything.
  Promise.prototype.then.call(value, undefined, () => {});
  return true;
}
