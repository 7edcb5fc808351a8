/** Holds what Tidemark computed against what others compute from the same flights. */

import { chainTruth } from "./chain-truth.ts";
import type { CheckpointContent } from "./checkpoint-content.ts";
import { airportsOf, type Comparison, compare, identicalIn } from "./compare.ts";
import type { DataSet, DealtSplit } from "./data.ts";
import { type States, truthAtCut, truthOfOriginal } from "./truth.ts";

export interface Computed {
  readonly onTime: States;
  readonly hashChain: States;
  readonly checkpoint: CheckpointContent;
}

export interface Verdict {
  readonly airports: number;
  /** Airports of which everything that was compared is as it has to be. */
  readonly identical: number;
  /** The same, of the state at the end; of the restored checkpoint; of the hash chains at the end and in it. */
  readonly onTimeIdentical: number;
  readonly checkpointIdentical: number;
  readonly hashChainsIdentical: number;
  /** Chains compared at the end: one for each airport and split. */
  readonly hashChains: number;
  readonly comparisons: readonly Comparison[];
}

export async function judge(
  computed: Computed,
  data: { readonly flights: DataSet; readonly splits: readonly DealtSplit[]; readonly temporaryFolder: string },
): Promise<Verdict> {
  const { cuts, states } = computed.checkpoint;
  const cut = data.splits.map((split) => ({ ...split, rows: cuts.onTime.get(split.split) ?? 0 }));
  const original = await truthOfOriginal(data.flights, data.temporaryFolder);
  const chains = await chainTruth(data.splits, cuts.hashChain);
  const atEnd = compare("on-time", computed.onTime, original);
  const atCut = compare("on-time in the checkpoint", states.onTime, await truthAtCut(cut, data.temporaryFolder));
  const chainsAtEnd = compare("hash-chain", computed.hashChain, chains.atEnd);
  const chainsAtCut = compare("hash-chain in the checkpoint", states.hashChain, chains.atCut);

  const airports = airportsOf(original, computed.onTime, computed.hashChain, states.onTime, states.hashChain);
  const identical = (...comparisons: Comparison[]): number => identicalIn(airports, comparisons);
  return {
    airports: airports.size,
    identical: identical(atEnd, atCut, chainsAtEnd, chainsAtCut),
    onTimeIdentical: identical(atEnd),
    checkpointIdentical: identical(atCut, chainsAtCut),
    hashChainsIdentical: identical(chainsAtEnd, chainsAtCut),
    hashChains: [...chains.atEnd.values()].reduce<number>((sum, state) => sum + splitsOf(state), 0),
    comparisons: [atEnd, atCut, chainsAtEnd, chainsAtCut],
  };
}

function splitsOf(state: unknown): number {
  return Object.keys((state as { readonly chains: object }).chains).length;
}
