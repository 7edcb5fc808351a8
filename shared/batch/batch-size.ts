/**
 * How much of a batch to take after invocations of its split died.
 *
 * Each Begin that was not followed by an End halves the batch, until the one record that kills is alone: then its
 * deaths count as tries, and it ends as a dead letter like any other.
 */
export function halvedSize(records: number, beginsSinceEnd: number): number {
  // A shift by 31 or more would wrap around.
  return Math.max(1, records >> Math.min(beginsSinceEnd, 30));
}
