import { describe, expect, it } from "vitest";
import { type HashChains, hashChain } from "../../../../examples/flights/hash-chain.ts";
import { freezeDeep } from "../../../../shared/json/freeze-deep.ts";

const events = [1, 2, 3].map((delay) => ({
  date: "2001-01-10T18:20",
  delay,
  distance: 100,
  origin: "LAX",
  destination: "JFK",
}));

function fold(order: readonly number[], split = "a", from: HashChains = hashChain.state.initial()): HashChains {
  let state = from;
  order.forEach((index, position) => {
    const event = events[index];
    if (event === undefined) throw new Error(`no event ${index}`);
    const context = { key: "LAX", split, position: String(position), replay: false };
    state = hashChain.handle(freezeDeep(state), event, context) as HashChains;
  });
  return state;
}

describe("hash-chain", () => {
  it("gives the same hash for the same events in the same order, and never changes what it gives", () => {
    expect(fold([0, 1, 2])).toEqual({ chains: { a: { hash: "46655edd344fbaf3", count: 3 } } });
  });

  it.each([
    ["an event folded twice", [0, 1, 1, 2]],
    ["an event lost", [0, 2]],
    ["two events swapped", [0, 2, 1]],
  ])("gives another hash for %s", (_, order) => {
    expect(fold(order).chains.a?.hash).not.toBe(fold([0, 1, 2]).chains.a?.hash);
  });

  it("keeps the chains of splits apart, whatever the interleaving", () => {
    const first = fold([2], "b", fold([0, 1], "a"));
    const second = fold([1], "a", fold([2], "b", fold([0], "a")));
    expect(first).toEqual(second);
    expect(first.chains.b).toEqual(fold([2], "b").chains.b);
  });

  it.each(["constructor", "__proto__"])("takes a split named %s like any other", (split) => {
    const { chains } = fold([0, 1, 2], split);
    expect(Object.getOwnPropertyDescriptor(chains, split)?.value).toEqual(fold([0, 1, 2]).chains.a);
  });
});
