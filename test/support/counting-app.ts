/**
 * An app whose state tells whether each event was folded once and in order: a count, and a chain that depends on the
 * order. `TIDEMARK_TEST_DELAY_MS` slows `handle` down, so that a test can strike in the middle of a batch. It refuses a negative `n` unless `TIDEMARK_TEST_TAKES_NEGATIVE`
 * is 1, and counts wrongly if `TIDEMARK_TEST_BUG` is. `TIDEMARK_TEST_CHANGES_AT` names a key at which it adds a member to every object,
 * `TIDEMARK_TEST_BREAKS_AT` one at which it replaces a method of lists for good, `TIDEMARK_TEST_ENDS_AT` one at which it ends its process.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { defineApp, defineFunction } from "../../shared/index.ts";

export const Event = z.object({ key: z.string(), n: z.int() });

export interface Counted {
  readonly count: number;
  /** By split: a key's events come from several, and only those of one are in order. */
  readonly chains: { readonly [split: string]: number };
}

export const link = (chain: number, n: number): number => (chain * 31 + n) % 1_000_003;

/** The version after the repair of what the dead letters died of. */
const takesNegative = process.env.TIDEMARK_TEST_TAKES_NEGATIVE === "1";
/** A bad deployment: every event counts for a thousand. */
const weight = process.env.TIDEMARK_TEST_BUG === "1" ? 1_000 : 1;
const delayMs = Number(process.env.TIDEMARK_TEST_DELAY_MS ?? 0);
/** The function under another name: "anew", or with a `previousName`, "carried over". */
const renamed = process.env.TIDEMARK_TEST_RENAMED;

export const counting = defineFunction({
  name: renamed === undefined ? "counting" : "renamed",
  ...(renamed === "carried over" ? { previousName: "counting" } : {}),
  event: Event,
  key: (event) => event.key,
  state: { initial: (): Counted => ({ count: 0, chains: {} }) },
  handle: async (state, event, { split }) => {
    if (delayMs > 0) await sleep(delayMs);
    if (event.key === process.env.TIDEMARK_TEST_CHANGES_AT) Object.assign(Object.prototype, { added: event.n });
    if (event.key === process.env.TIDEMARK_TEST_BREAKS_AT) {
      Object.defineProperty(Array.prototype, "map", { value: () => [], writable: false, configurable: false });
    }
    if (event.key === process.env.TIDEMARK_TEST_ENDS_AT) process.exit(7);
    if (event.n < 0 && !takesNegative) throw new Error(`n is ${event.n}`);
    return {
      count: state.count + weight,
      chains: { ...state.chains, [split]: link(state.chains[split] ?? 0, event.n) },
    };
  },
});

export default defineApp({
  name: "counts",
  functions: [{ function: counting, source: "events" }],
  deadLetters: { triesMax: 2 },
});
