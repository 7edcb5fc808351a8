/** Which mutants a run takes that has no time for all. */
import { createHash } from "node:crypto";

/**
 * `k` of a list, going round: the turns 0, 1, 2, … take the first k, the next k and so on, so that every one has its turn.
 * @param of the number of the turn; any other text (a commit) stands for a turn of its own
 */
export function inRotation<Item>(items: readonly Item[], k: number, of: string): Item[] {
  const turn = /^\d{1,9}$/.test(of) ? Number(of) : createHash("sha256").update(of).digest().readUInt32BE();
  const first = (turn * k) % Math.max(1, items.length);
  return Array.from({ length: Math.min(k, items.length) }, (_, index) => items[(first + index) % items.length] as Item);
}
