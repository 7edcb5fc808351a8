import type { Randomness } from "../environment.ts";

const FIRST_MS = 25;
const LONGEST_MS = 3_000;

/** Exponential with full jitter, so that writers who were throttled together do not come back together. In ms. */
export function backoffMs(tries: number, randomness: Randomness): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(tries, 16));
  return 1 + Math.floor(randomness.fraction() * ceiling);
}
