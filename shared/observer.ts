/** What happens inside, as data: the CLI prints it, Lambda logs it and makes metrics of it. Never needed for safety. */
import type { Hole } from "./control/hole.ts";

export type TidemarkEvent =
  | {
      readonly type: "batch";
      readonly function: string;
      readonly split: string;
      readonly epoch: number;
      readonly generation: number;
      readonly replay: boolean;
      readonly records: number;
      readonly folded: number;
      readonly keys: number;
      readonly cacheHits: number;
      readonly conflicts: number;
      readonly milliseconds: number;
    }
  | { readonly type: "born"; readonly function: string; readonly split: string }
  | {
      readonly type: "barrier";
      readonly function: string;
      readonly split: string;
      readonly checkpoint: number;
      readonly position: string;
    }
  | {
      /** Said once of each letter, when it is written for the first time. */
      readonly type: "dead-letter";
      readonly function: string;
      readonly split: string;
      readonly epoch: number;
      readonly generation: number;
      readonly position: string;
      readonly cause: "refused" | "failed" | "skipped";
      readonly error: string;
    }
  | {
      readonly type: "hole";
      readonly function: string;
      readonly split: string;
      readonly epoch: number;
      readonly generation: number;
      readonly hole: Hole;
    }
  | {
      readonly type: "record-failed";
      readonly function: string;
      readonly split: string;
      readonly epoch: number;
      readonly generation: number;
      readonly position: string;
      readonly tries: number;
      readonly error: string;
    }
  | {
      readonly type: "split-stopped";
      readonly function: string;
      readonly split: string;
      readonly epoch: number;
      readonly generation: number;
      readonly position: string;
      readonly deadLetters: number;
      readonly error: string;
    }
  | { readonly type: "checkpoint-triggered"; readonly checkpoint: number; readonly savepoint?: string }
  | { readonly type: "checkpoint-carried-on"; readonly checkpoint: number; readonly status: string }
  | {
      readonly type: "checkpoint-completed";
      readonly checkpoint: number;
      readonly keys: number;
      readonly bytes: number;
      readonly milliseconds: number;
    }
  | { readonly type: "checkpoint-aborted"; readonly checkpoint: number; readonly reason: string }
  | { readonly type: "checkpoint-deleted"; readonly checkpoint: number }
  | { readonly type: "lag"; readonly function: string; readonly split: string; readonly milliseconds: number }
  | { readonly type: "look-failed"; readonly function: string; readonly split: string; readonly error: string }
  | { readonly type: "restore-started"; readonly checkpoint: number; readonly generation: number }
  | { readonly type: "restore-carried-on"; readonly checkpoint: number; readonly generation: number }
  | {
      readonly type: "restore-loaded";
      readonly checkpoint: number;
      readonly generation: number;
      readonly keys: number;
      readonly milliseconds: number;
    }
  | { readonly type: "split-replayed"; readonly function: string; readonly split: string; readonly position: string }
  | { readonly type: "restore-requested"; readonly checkpoint: number }
  | { readonly type: "restore-refused"; readonly checkpoint: number; readonly reason: string }
  /** It has come to its hold and stays there until it is told to go on. */
  | { readonly type: "restore-held"; readonly checkpoint: number; readonly generation: number }
  /** The function's redriven dead letters are resolved up to this position. */
  | { readonly type: "redriven"; readonly function: string; readonly position: string }
  /** Redriven dead letters were delivered, and not all of them are resolved; they are delivered again. */
  | { readonly type: "redrive-failed"; readonly function: string; readonly error: string }
  /** The redriven dead letter at this position waits until its own split has come to its record. */
  | { readonly type: "redrive-waits"; readonly function: string; readonly position: string }
  | { readonly type: "mapping-failed"; readonly function: string; readonly error: string }
  | { readonly type: "mapping-drifted"; readonly function: string; readonly drift: readonly string[] }
  /** Its own schedule will come to what it was to be told. */
  | { readonly type: "coordinator-not-woken"; readonly error: string }
  | {
      readonly type: "restore-finished";
      readonly checkpoint: number;
      readonly generation: number;
      readonly milliseconds: number;
    }
  | { readonly type: "tombstones-removed"; readonly function: string; readonly keys: number };

export type Observer = (event: TidemarkEvent) => void;
