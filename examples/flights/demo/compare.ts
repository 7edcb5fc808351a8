/** Compares what was computed with what it has to be, airport by airport. */
import { isDeepStrictEqual } from "node:util";
import type { States } from "./truth.ts";

export interface Comparison {
  /** What was compared, for people. */
  readonly what: string;
  /** Airports that are not as they have to be: another state, none, or one that there should not be. */
  readonly different: ReadonlyMap<string, string>;
}

/** An airport that neither side has is as it has to be. */
export function compare(what: string, actual: States, expected: States): Comparison {
  const different = new Map<string, string>();
  for (const [airport, state] of expected) {
    const found = actual.get(airport);
    if (found === undefined) different.set(airport, `has no state; it should be ${JSON.stringify(state)}`);
    else if (!isDeepStrictEqual(found, state)) {
      different.set(airport, `is ${JSON.stringify(found)}; it should be ${JSON.stringify(state)}`);
    }
  }
  for (const [airport, state] of actual) {
    if (!expected.has(airport)) different.set(airport, `is ${JSON.stringify(state)}; there should be none`);
  }
  return { what, different };
}

/** How many of `airports` are the same in every comparison. */
export function identicalIn(airports: Iterable<string>, comparisons: readonly Comparison[]): number {
  let identical = 0;
  for (const airport of airports) {
    if (comparisons.every(({ different }) => !different.has(airport))) identical += 1;
  }
  return identical;
}

/** Every airport that occurs anywhere. */
export function airportsOf(...all: readonly States[]): Set<string> {
  return new Set(all.flatMap((states) => [...states.keys()]));
}
