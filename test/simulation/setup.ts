/**
 * What a history is about: its workload, what can go wrong and how often. Each seed switches a few things on, so that
 * those it has meet often; all of them at once would seldom get anywhere.
 *
 * Most histories are small: nearly everything that breaks a promise does so with few events, splits and faults, and
 * many small histories are played in the time of a large one. The others are as large as it takes for the rest.
 */
import type { Choices } from "./choices.ts";
import type { ControlStep } from "./control-step.ts";
import { FAULTS, type Fault, type Treatment } from "./scheduler.ts";

export interface SplitPlan {
  readonly split: string;
  /** A letter a record, the key of its event; a capital clears the key, `!` is refused by the schema. */
  readonly letters: string;
  /** Of each record, the letters of its further events; `_`: it has none at all. Absent: the source has no `decode`. */
  readonly more?: readonly string[];
  /** Splits that it comes after. */
  readonly parents: readonly string[];
  /** Events that are there at the start; the others arrive one by one. */
  readonly early: number;
  /** The source lists it once it has an event, so that a checkpoint may not know it. @default false - from the start */
  readonly late?: boolean;
}

/** What a deployment has besides what an embedded engine has. */
export interface Deployment {
  /** How many take slices, checks and loads at a time. */
  readonly workers: number;
  /** The mapping was disabled by hand before anything began, and somebody else delivers. */
  readonly offByHand: boolean;
  /** How long the mapping takes to be enabled or disabled. */
  readonly settlingMs: number;
  /** Batches come of the mapping also while it is off. */
  readonly deliversAllTheSame: boolean;
  /** A mapping that is enabled again begins at an older point. */
  readonly startsOver: boolean;
  /** Something was restored before, so long ago that what it owed its mapping may be forgotten any moment. */
  readonly restoredBefore: boolean;
  /** So long that what a restore owed its mapping is forgotten. */
  readonly lasts: boolean;
}

export interface Setup {
  /** Restores are asked for, and whoever coordinates has workers and a mapping. Absent: as the embedded engine does it. */
  readonly deployment?: Deployment;
  readonly mode: "exactly-once" | "at-least-once";
  readonly splits: readonly SplitPlan[];
  /** Keys are those of all splits, or each split has its own. */
  readonly sharedKeys: boolean;
  readonly mappings: number;
  readonly batchMax: number;
  readonly caches: boolean;
  readonly slices: number;
  readonly retained: number;
  readonly triesMax: number;
  readonly maxConsecutiveDeadLetters: number;
  /** Ids of events that `handle` throws at, until the function is repaired. */
  readonly poison: ReadonlySet<string>;
  /** Ids of events that `handle` throws at, until then, over a state that another split has come into. */
  readonly rivals: ReadonlySet<string>;
  /** Ids of events that kill the process in `handle`, until then. */
  readonly killers: ReadonlySet<string>;
  readonly redrives: number;
  /** How often a split that stands at a record is asked to pass over it. */
  readonly skips: number;
  /** Some processes run a deploy whose schema refuses everything, until the function is repaired. */
  readonly brokenSchemas: boolean;
  /** Some processes run code of an older state version. */
  readonly versions: boolean;
  /** The source forgets what is older than a day. */
  readonly expiry: boolean;
  /** How long before it begins the records have arrived that are there then. */
  readonly agedMs: number;
  /** Ages that the clock jumps by. */
  readonly jumpsMs: readonly number[];
  /** Tombstones are written, so that no invocation may outlive the age at which they are removed. */
  readonly clears: boolean;
  /** How many are asked for while anything can happen; 0: none is ever taken, but for {@link lastCheckpoint}. */
  readonly checkpoints: number;
  readonly restores: number;
  /** How many restores are to be held somewhere. */
  readonly holds: number;
  /** The function is renamed, and a restore takes over what it had under its old name. */
  readonly renames: boolean;
  /** How many parts are altered where they lie, while a restore reads them. */
  readonly alterations: number;
  /** Items that a page of a scan has at the most. */
  readonly statePageItems: number;
  /** A part of a checkpoint ends with so many. @default the product's */
  readonly partItemsMax?: number;
  /** A checkpoint has completed before anything goes wrong. */
  readonly headStart: boolean;
  /** Once the faults have stopped: a checkpoint while the rest is delivered, and a restore of the latest after that. */
  readonly lastCheckpoint: boolean;
  readonly lastRestore: boolean;
  readonly duplicates: number;
  readonly kills: number;
  readonly actions: number;
  /** What begins: each group together, once the one before it has come to rest. Absent: drawn as it comes. */
  readonly script?: readonly (readonly Action[])[];
  /** How often something new begins instead of a call being let through. */
  readonly eagerness: number;
  readonly faultsMax: number;
  /** Who is about to write this first stalls just before it: there is little time for it to happen by itself. */
  readonly stallsAt?: StallingStep;
  /** Who stalled sleeps until all is done, more often than not. */
  readonly zombies: boolean;
  readonly treatment: Treatment;
}

export type StallingStep = ControlStep | "turn mapping off";

/** Steps before which little time passes, and after whose reads much may change. */
const STALLS_AT: readonly StallingStep[] = [
  "trigger",
  "plan snapshot",
  "record outcome",
  "announce deletions",
  "settle",
  "ask for barrier",
  "move idle split",
  "resolve",
  "birth",
  "end",
  "ask for restore",
  "refuse restore",
  "record restore",
  "flip control",
  "flip split",
  "run split",
  "hold restore",
  "finish restore",
  "owe mapping",
  "forget mappings",
  "turn mapping off",
];

export type Action = "deliver" | "coordinate" | "restore";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

/** How many histories are large. */
const LARGE = 0.15;

export function drawSetup(choices: Choices): Setup {
  const one = <Of>(...of: readonly Of[]): Of => of[choices.below(of.length)] as Of;
  const sometimes = (probability: number): boolean => choices.chance(probability);

  const large = sometimes(LARGE);
  // What batches do among themselves needs no checkpoint, which is most of a small history's calls.
  const batchesOnly = !large && sometimes(0.4);
  const sharedKeys = !sometimes(0.3);
  const clears = sometimes(0.3);
  const stops = sometimes(0.1);
  const refuses = sometimes(0.15);
  const keys = large ? one("ab", "a", "abc") : one("a", "ab");
  const letters = (length: number): string => {
    let text = "";
    for (let index = 0; index < length; index += 1) {
      const key = keys[choices.below(keys.length)] as string;
      if (refuses && sometimes(0.25)) text += "!";
      else text += clears && sometimes(0.3) ? key.toUpperCase() : key;
    }
    return text;
  };
  const resharding = sometimes(0.15);
  const count = large ? (resharding ? one(2, 3) : one(2, 1, 3)) : resharding ? 2 : one(1, 2, 2, 3);
  const splits: SplitPlan[] = [];
  const several = sometimes(0.2);
  /** In a record of two keys there is something to tear apart. */
  const further = (): string => (sometimes(0.15) ? "_" : one("b", "a", "", letters(2)));
  for (let index = 0; index < count; index += 1) {
    const length = (index === 0 ? 2 : 1) + choices.below(large ? 4 : 3);
    const late = index > 0 && sometimes(0.15);
    splits.push({
      split: "stu"[index] as string,
      letters: letters(length),
      ...(several ? { more: Array.from({ length }, further) } : {}),
      parents: resharding && index > 0 ? ["s"] : [],
      early: late ? 0 : length - choices.below(length + 1),
      ...(late ? { late } : {}),
    });
  }
  const ids = splits.flatMap(({ split, letters, more = [] }) =>
    [...letters].flatMap((_, index) => {
      const id = `${split}${index + 1}`;
      return [id, ...[...(more[index] ?? "")].map((_, further) => `${id}.${further + 1}`)];
    }),
  );
  const some = (probability: number): ReadonlySet<string> =>
    sometimes(probability)
      ? new Set([ids[choices.below(ids.length)], ids[choices.below(ids.length)]] as string[])
      : new Set();

  const poison = some(stops ? 0.8 : 0.15);
  const killers = some(0.1);
  const redrives = sometimes(several ? 0.3 : 0.1) ? 2 : 0;
  // What was skipped or refused by one version may be in the state by another: put back, it would be there twice.
  const skips = redrives === 0 && poison.size + killers.size > 0 && sometimes(0.5) ? one(1, 2) : 0;
  const brokenSchemas = !several && redrives === 0 && sometimes(stops ? 0.4 : 0.05);
  const expiry = sometimes(0.15);
  // What is there before anything begins may be half forgotten by then.
  const agedMs = expiry ? one(13 * HOUR_MS, 0) : 0;
  const minutes = sometimes(0.3) ? [11 * MINUTE_MS] : [];
  const hours = sometimes(clears ? 0.4 : 0.15) ? [80 * MINUTE_MS] : [];
  // To be forgotten, a tombstone takes two checkpoints and the time between them.
  const forgets = !batchesOnly && clears && hours.length > 0;
  const long = large || forgets;
  const days = expiry ? [25 * HOUR_MS, 13 * HOUR_MS] : [];
  const faulty = sometimes(0.75);
  const faults: Fault[] = faulty ? FAULTS.filter(() => sometimes(0.5)) : [];
  const restores = batchesOnly ? 0 : large ? one(0, 0, 0, 1, 1, 2) : one(0, 1);
  const deployment = !batchesOnly && sometimes(0.25) ? drawDeployment(choices) : undefined;
  // What the old name's letters and forgotten records come to is nobody's question here.
  const renames = restores > 0 && deployment === undefined && redrives + skips === 0 && !expiry && sometimes(0.2);
  // A mapping's debts are forgotten after twenty minutes.
  const halfHours = deployment !== undefined && sometimes(0.3) ? [30 * MINUTE_MS] : [];
  return {
    ...(deployment && { deployment }),
    mode: sometimes(0.12) ? "at-least-once" : "exactly-once",
    splits,
    sharedKeys,
    mappings: sometimes(0.2) ? 2 : 1,
    batchMax: one(2, 3, 1),
    caches: sometimes(0.3),
    slices: one(1, 1, 2),
    retained: large ? one(2, 1, 3) : one(1, 2),
    triesMax: one(2, 3),
    maxConsecutiveDeadLetters: stops ? 1 : 100,
    poison,
    rivals: several && sometimes(0.5) ? new Set(ids) : new Set(),
    killers,
    redrives,
    skips,
    brokenSchemas,
    versions: sometimes(0.1),
    expiry,
    agedMs,
    jumpsMs: [...minutes, ...halfHours, ...hours, ...days],
    clears,
    checkpoints: batchesOnly ? 0 : forgets ? 3 : one(1, 1, 2, 3),
    restores: deployment !== undefined && restores > 0 ? restores + choices.below(3) : restores,
    renames,
    holds: restores > 0 && !renames && sometimes(0.25) ? 1 : 0,
    // A spoiled restore whose checkpoints all need what the source has forgotten would stay where it is.
    alterations: deployment !== undefined && restores > 0 && sometimes(0.3) && !expiry ? 1 : 0,
    statePageItems: one(2, 1),
    ...(sometimes(0.3) ? { partItemsMax: 1 } : {}),
    headStart: restores > 0 && sometimes(0.7),
    lastCheckpoint: !batchesOnly && sometimes(forgets ? 0.5 : 0.15),
    lastRestore: !batchesOnly && sometimes(0.07),
    duplicates: sometimes(0.3) ? 2 : 0,
    kills: sometimes(0.4) ? 1 + choices.below(2) : 0,
    actions: 3 + choices.below(long ? 10 : 7),
    eagerness: one(0.2, 0.4, 0.8),
    ...(sometimes(batchesOnly ? 0.05 : 0.25)
      ? { stallsAt: STALLS_AT[choices.below(STALLS_AT.length)] as StallingStep }
      : {}),
    zombies: sometimes(0.3),
    faultsMax: faults.length === 0 ? 0 : 1 + choices.below(large ? 4 : 3),
    treatment: {
      switching: one(0.05, 0.2, 0.5, 1),
      // As likely for a history as for one of many more calls.
      faultiness: large ? one(0.05, 0.02, 0.15) : one(0.1, 0.05, 0.2),
      faults,
      stalling: one(0, 0, 0.03, 0.1),
    },
  };
}

function drawDeployment(choices: Choices): Deployment {
  return {
    workers: [1, 1, 2, 4][choices.below(4)] as number,
    offByHand: choices.chance(0.1),
    settlingMs: choices.chance(0.5) ? 3_000 : 0,
    deliversAllTheSame: choices.chance(0.3),
    startsOver: choices.chance(0.3),
    restoredBefore: choices.chance(0.3),
    lasts: choices.chance(0.2),
  };
}
