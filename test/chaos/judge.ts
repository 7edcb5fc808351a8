/** Holds what a run left behind against what others compute from the same flights. */
import { pathToFileURL } from "node:url";
import { allStates } from "../../examples/flights/demo/all-states.ts";
import { chainTruth } from "../../examples/flights/demo/chain-truth.ts";
import { readCheckpoint } from "../../examples/flights/demo/checkpoint-content.ts";
import { type Comparison, compare } from "../../examples/flights/demo/compare.ts";
import type { DataSet, DealtSplit } from "../../examples/flights/demo/data.ts";
import { HASH_CHAIN, ON_TIME } from "../../examples/flights/demo/stage.ts";
import { type States, truthAtCut, truthOfOriginal } from "../../examples/flights/demo/truth.ts";
import { readStatePage } from "../../local/read-states.ts";
import { localSurroundings } from "../../local/surroundings.ts";
import { tablesOf } from "../../local/worker-settings.ts";
import type { AppDescription } from "../../shared/app/app-description.ts";
import { listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import { openStores } from "../../shared/runtime/open-resources.ts";
import { readShelf } from "./shelf.ts";

export interface Remains {
  readonly app: AppDescription;
  /** Past the proxy. */
  readonly endpoint: string;
  readonly storage: string;
  readonly flights: DataSet;
  readonly splits: readonly DealtSplit[];
  readonly temporaryFolder: string;
}

export interface Judgement {
  /** Airports of the end state. */
  readonly airports: number;
  /** Checkpoints that were compared: all whose manifest stands. */
  readonly checkpoints: readonly number[];
  readonly differences: readonly string[];
}

/** Differences are told so many of for one comparison: they come by the hundred. */
const TOLD_MAX = 3;

export async function judge(remains: Remains): Promise<Judgement> {
  const { flights, splits, storage, temporaryFolder } = remains;
  const differences: string[] = [];
  const { onTime, hashChain, deadLetters } = await readEnd(remains);
  if (deadLetters > 0) differences.push(`There are ${deadLetters} dead letters; there should be none.`);
  const original = await truthOfOriginal(flights, temporaryFolder);
  differences.push(...inWords(compare("on-time at the end", onTime, original)));
  const { atEnd } = await chainTruth(splits, new Map());
  differences.push(...inWords(compare("hash-chain at the end", hashChain, atEnd)));

  const { standing } = readShelf(storage);
  for (const { checkpoint, holes } of standing) {
    if (holes > 0) differences.push(`Checkpoint ${checkpoint} has ${holes} holes; there should be none.`);
    differences.push(...(await differencesOf(remains, checkpoint)));
  }
  const airports = new Set([...original.keys(), ...onTime.keys()]).size;
  return { airports, checkpoints: standing.map(({ checkpoint }) => checkpoint), differences };
}

/** A checkpoint against the flights at or before its own positions, and no others. */
async function differencesOf({ app, splits, storage, temporaryFolder }: Remains, n: number): Promise<string[]> {
  const place = { storageUrl: pathToFileURL(storage).href, app: app.name, checkpoint: n };
  try {
    const { cuts, states } = await readCheckpoint(place, temporaryFolder);
    const cut = splits.map((split) => ({ ...split, rows: cuts.onTime.get(split.split) ?? 0 }));
    const { atCut } = await chainTruth(splits, cuts.hashChain);
    return [
      ...inWords(compare(`on-time in checkpoint ${n}`, states.onTime, await truthAtCut(cut, temporaryFolder))),
      ...inWords(compare(`hash-chain in checkpoint ${n}`, states.hashChain, atCut)),
    ];
  } catch (thrown) {
    return [`Checkpoint ${n} cannot be read: ${String(thrown)}`];
  }
}

async function readEnd({ app, endpoint, storage }: Remains) {
  const surroundings = localSurroundings(endpoint, () => {});
  const stores = await openStores(
    { app, tables: tablesOf(app), storageUrl: pathToFileURL(storage).href, sources: {} },
    surroundings,
  );
  try {
    const of = (name: string): Promise<States> => allStates((cursor) => readStatePage(stores, name, cursor));
    let deadLetters = 0;
    for await (const _ of listDeadLetters(stores.storage)) deadLetters += 1;
    return { onTime: await of(ON_TIME), hashChain: await of(HASH_CHAIN), deadLetters };
  } finally {
    await stores.close();
    surroundings.close();
  }
}

function inWords({ what, different }: Comparison): string[] {
  const told = [...different].slice(0, TOLD_MAX).map(([airport, how]) => `${what}: ${airport} ${how}`);
  const more = different.size - told.length;
  return more > 0 ? [...told, `${what}: ${more} more airports differ`] : told;
}
