/** The small apps whose histories are all played: what begins in them, and what may go wrong. */
import type { Exploration } from "./explore.ts";
import { FAULTS, type Fault } from "./scheduler.ts";
import type { Setup } from "./setup.ts";

const SMALL: Setup = {
  mode: "exactly-once",
  splits: [],
  sharedKeys: true,
  mappings: 1,
  batchMax: 1,
  caches: false,
  slices: 1,
  retained: 2,
  triesMax: 2,
  maxConsecutiveDeadLetters: 100,
  poison: new Set(),
  killers: new Set(),
  rivals: new Set(),
  redrives: 0,
  skips: 0,
  brokenSchemas: false,
  versions: false,
  expiry: false,
  agedMs: 0,
  jumpsMs: [],
  clears: false,
  checkpoints: 0,
  restores: 0,
  renames: false,
  holds: 0,
  alterations: 0,
  statePageItems: 2,
  headStart: false,
  lastCheckpoint: false,
  lastRestore: false,
  duplicates: 0,
  kills: 0,
  actions: 0,
  eagerness: 0,
  zombies: false,
  faultsMax: 0,
  treatment: { switching: 0.5, faultiness: 0.5, faults: FAULTS, stalling: 0 },
};

const split = (name: string, letters: string) => ({ split: name, letters, parents: [], early: letters.length });

/** A process dies, before or after its call, or with its call still on the way. */
export const CRASHES: readonly Fault[] = FAULTS.filter((fault) => fault.startsWith("dies"));

/**
 * Two splits, two keys, three events, a checkpoint, one fault. One of the splits is born, and has its key folded, while
 * the checkpoint is taken: the third process at once would be more orders than anybody can play.
 */
export function oneCheckpoint(faults: readonly Fault[]): Exploration {
  const script = [["deliver"], ["deliver", "coordinate"], ["deliver"]] as const;
  return {
    name: `2 splits, 2 keys, 3 events, 1 checkpoint, ${faults.length === 0 ? "no fault" : "1 fault"}`,
    setup: {
      ...SMALL,
      splits: [split("s", "a"), split("t", "ab")],
      script,
      actions: script.length,
      faultsMax: faults.length === 0 ? 0 : 1,
      treatment: { ...SMALL.treatment, faults },
    },
  };
}

/** One split, a checkpoint, a restore of it, one crash. */
export function oneRestore(faults: readonly Fault[]): Exploration {
  const script = [["deliver"], ["coordinate"], ["deliver", "restore"], ["deliver"], ["deliver"]] as const;
  return {
    name: `1 split, 1 restore, ${faults.length === 0 ? "no crash" : "1 crash"}`,
    setup: {
      ...SMALL,
      splits: [split("s", "aba")],
      script,
      actions: script.length,
      faultsMax: faults.length === 0 ? 0 : 1,
      treatment: { ...SMALL.treatment, faults },
    },
  };
}
