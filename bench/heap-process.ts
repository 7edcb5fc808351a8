/** One contender of the heap benchmark in a process of its own, so that none inherits another's heap. */
import type { JsonValue } from "../shared/json/json-value.ts";
import { CONTENDERS, type ContenderName } from "./heap-contenders.ts";
import { digestOf } from "./state-digest.ts";
import type { Elapsed } from "./stopwatch.ts";

export interface HeapFigures extends Elapsed {
  readonly keys: number;
  readonly checkpoints: number;
  /** Equal for equal states. */
  readonly digest: string;
  /** Equal for equal sums of delays, whatever else the states hold. */
  readonly sumsDigest: string;
}

/** What the process says: first that it is ready, then the figures of each run it was told to do. */
export type HeapProcessSays = { readonly ready: true } | HeapFigures;

const [name, file = ""] = process.argv.slice(2);
const run = await CONTENDERS[name as ContenderName](file);

function sumsOf(states: ReadonlyMap<string, JsonValue>): Map<string, JsonValue> {
  return new Map(
    [...states].map(([key, state]) => {
      const { flights = null, delayed = null, totalDelay = null } = state as { readonly [name: string]: JsonValue };
      return [key, [flights, delayed, totalDelay]];
    }),
  );
}

const say = (message: HeapProcessSays): void => void process.send?.(message);

process.on("message", async (home: string) => {
  const { states, ...figures } = await run(home);
  say({ ...figures, keys: states.size, digest: digestOf(states), sumsDigest: digestOf(sumsOf(states)) });
});
process.on("disconnect", () => process.exit());
say({ ready: true });
