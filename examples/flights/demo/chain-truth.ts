/**
 * What `hash-chain` has to come to, by a plain pass over the files, line by line. It shares no code with the function:
 * the chain of an airport in a split is SHA-256 over the hash before and the flight's text, cut to 16 hex digits.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { JsonValue } from "../../../shared/json/json-value.ts";
import type { DealtSplit } from "./data.ts";
import type { CutSplit, States } from "./truth.ts";

interface Chain {
  hash: string;
  count: number;
}

interface Flight {
  readonly date: string;
  readonly delay: number;
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
}

export interface ChainTruth {
  readonly atEnd: States;
  /** After the flights at or before each split's cut. */
  readonly atCut: States;
}

export async function chainTruth(
  splits: readonly DealtSplit[],
  cuts: ReadonlyMap<string, CutSplit["rows"]>,
): Promise<ChainTruth> {
  const truth = { atEnd: new Map(), atCut: new Map() } satisfies ChainTruth;
  for (const { split, file } of splits) {
    const chains = new Map<string, Chain>();
    const cut = cuts.get(split) ?? 0;
    let row = 0;
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (row === cut) add(truth.atCut, split, chains);
      row += 1;
      const { date, delay, distance, origin, destination } = JSON.parse(line) as Flight;
      const chain = chains.get(origin) ?? { hash: "", count: 0 };
      const minute = date.replaceAll("/", "-").replace(" ", "T").slice(0, 16);
      const text = JSON.stringify([minute, delay, distance, origin, destination]);
      chain.hash = createHash("sha256").update(`${chain.hash}${text}`).digest("hex").slice(0, 16);
      chain.count += 1;
      chains.set(origin, chain);
    }
    if (cut >= row) add(truth.atCut, split, chains);
    add(truth.atEnd, split, chains);
  }
  return truth;
}

function add(states: States, split: string, chains: ReadonlyMap<string, Chain>): void {
  for (const [airport, { hash, count }] of chains) {
    const before = (states.get(airport) ?? { chains: {} }) as {
      readonly chains: { readonly [split: string]: JsonValue };
    };
    states.set(airport, { chains: { ...before.chains, [split]: { hash, count } } });
  }
}
