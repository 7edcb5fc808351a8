/** A promise that a history broke, in words. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export function promise(holds: boolean, broken: () => string): asserts holds {
  if (!holds) throw new Violation(broken());
}
