/**
 * Proof of order and of once: each airport keeps, per split, a hash over every event in the order they were folded.
 * An event that is lost, folded twice or folded out of order gives another hash, for this airport and split, for ever.
 */
import { createHash } from "node:crypto";
import { defineFunction } from "../../shared/index.ts";
import { type Flight, FlightSchema } from "./flight-schema.ts";

export interface HashChain {
  /** The first 16 hex digits of SHA-256 over the hash before and the event's text; "" before the first event. */
  readonly hash: string;
  readonly count: number;
}

export interface HashChains {
  /** By split, since only the events of one split have an order. One entry for every split the airport was ever in. */
  readonly chains: { readonly [split: string]: HashChain };
}

const EMPTY: HashChain = { hash: "", count: 0 };

export const hashChain = defineFunction({
  name: "hash-chain",
  event: FlightSchema,
  key: (flight) => flight.origin,
  state: { initial: (): HashChains => ({ chains: {} }) },
  handle: ({ chains }, flight, { split }) => {
    // A split may be named like a property that every object inherits.
    const last = Object.hasOwn(chains, split) ? (chains[split] ?? EMPTY) : EMPTY;
    return { chains: { ...chains, [split]: nextLink(last, flight) } };
  },
});

/** The chain with one more event: also how a verifier recomputes it from the source. */
export function nextLink(last: HashChain, flight: Flight): HashChain {
  const text = JSON.stringify([flight.date, flight.delay, flight.distance, flight.origin, flight.destination]);
  return {
    hash: createHash("sha256").update(last.hash).update(text).digest("hex").slice(0, 16),
    count: last.count + 1,
  };
}
