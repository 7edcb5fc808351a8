/**
 * How a restore has an event function read a split again: the one port of `restore/`. A deployment invokes the
 * function's Lambda, the embedded engine calls the batch itself; `restore/` never runs user code.
 */
import type { Position } from "../source/position.ts";

/** Where a replay stops for the time being, before it has reached `until`, or past it. One of the two. */
export interface ReplayStop {
  /** Before the first record that arrived later. Ms since 1970. */
  readonly arrivedByMs?: number;
  /** After the last record at or before it. */
  readonly position?: Position;
}

export interface ReplayRequest {
  readonly function: string;
  readonly split: string;
  /** The restored generation; the function's Begin refuses every other. */
  readonly generation: number;
  /** The restore is to be held there. */
  readonly stop?: ReplayStop;
  /** The function stops after so long, in ms, or earlier at its own deadline: no connection idles for longer. */
  readonly milliseconds?: number;
}

export interface ReplayAnswer {
  /** How far the split has come. */
  readonly position: Position;
  /** Nothing is left to replay: the split has reached `until`. What the source dropped since pre-flight is a hole by then. */
  readonly done: boolean;
  /** The split has come to the request's `stop`. */
  readonly stopped?: boolean;
}

/**
 * Replays a stretch of a split's `(position, until]`. May stop early, do nothing, or fail; it is asked again until the
 * split has reached `until`. An error of kind `retry`, or one that is no TidemarkError, is tried again with jitter.
 */
export type ReplayInvoker = (request: ReplayRequest) => Promise<ReplayAnswer>;
