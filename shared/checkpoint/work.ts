/**
 * Work that is handed out: a slice of a snapshot, a part of a restore. One mechanism for all three kinds; who invokes
 * whom is the wiring's (`WorkInvoker`), and without one the coordinator does the work in its own process.
 *
 * Invariants:
 * - A worker's answer decides nothing: what is done stands in the control table, and the coordinator reads it there.
 * - Any number of workers may be given one piece: each step of it is a conditional write or may be repeated. A worker
 *   that dies leaves its progress, and whoever is given the piece next goes on from there.
 * - A piece belongs to one checkpoint, or one restore, by its token: a worker of an older one stops.
 */
import type { Clock, Randomness } from "../environment.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import type { ManifestFile } from "./manifest.ts";

/** Scan a slice of a function's state into parts. */
export interface SnapshotWork {
  readonly work: "snapshot";
  readonly checkpoint: number;
  /** Of the checkpoint. */
  readonly token: string;
  readonly function: string;
  readonly slice: number;
}

/** Read a part through, before a restore of its checkpoint is begun. */
export interface CheckWork {
  readonly work: "check";
  readonly checkpoint: number;
  /** Of the restore that was asked for. */
  readonly token: string;
  readonly file: ManifestFile;
  /** The newest version of state that the manifest knows for the part's function. */
  readonly stateVersionMax: number;
}

/** Write a part's items into the generation that a restore fills. */
export interface LoadWork {
  readonly work: "load";
  readonly checkpoint: number;
  /** Of the restore. */
  readonly token: string;
  readonly target: number;
  readonly file: ManifestFile;
  /** The function of the app that takes the part. */
  readonly function: string;
}

export type Work = SnapshotWork | CheckWork | LoadWork;

export type WorkRequest = Work & {
  /** The worker stops after so long, in ms, or earlier at its own deadline: no connection idles for longer. */
  readonly milliseconds: number;
};

export type WorkOutcome =
  | "done"
  /** Time was up; to be given out again. */
  | "unfinished"
  /** The checkpoint, or the restore, is not under way any more. */
  | "superseded"
  /** An item's image at the cut is gone: the checkpoint cannot complete. */
  | "image-gone";

export interface WorkAnswer {
  readonly outcome: WorkOutcome;
  /** Of `image-gone`. */
  readonly reason?: string;
}

/**
 * Has a worker do a piece of work for a while. May fail or stop early: it is asked again.
 * @throws TidemarkError; one of kind `retry`, or any other error, stands for a worker that died, and is tried again
 */
export type WorkInvoker = (request: WorkRequest) => Promise<WorkAnswer>;

/** Workers as the coordinator has them. */
export interface Workers {
  readonly invoke: WorkInvoker;
  /** How many work at a time. */
  readonly count: number;
}

/** A NAT gateway forgets a connection that idles for 350 s. */
const STRETCH_MS = 120_000;

/** Invocations in a row that may fail before the coordinator gives up, for the next one to go on. */
const FAILURES_MAX = 6;
const BACKOFF_MS = 200;
const BACKOFF_MS_MAX = 10_000;

export interface HandOut {
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** Ms since 1970. */
  readonly untilMs: number;
  /** Another piece failed: this one is given out no more. */
  readonly signal?: AbortSignal;
}

/**
 * Gives a piece out until it is done, or there is no time left.
 * @throws TidemarkError what a worker refuses, or `retry` after some failures in a row; what was done stays done
 */
export async function handOut(
  invoke: WorkInvoker,
  work: Work,
  { clock, randomness, untilMs, signal }: HandOut,
): Promise<WorkAnswer> {
  let failures = 0;
  for (;;) {
    const leftMs = untilMs - clock.now();
    if (leftMs <= 0 || signal?.aborted === true) return { outcome: "unfinished" };
    const begunAtMs = clock.now();
    try {
      const answer = await invoke({ ...work, milliseconds: Math.min(STRETCH_MS, leftMs) });
      if (answer.outcome !== "unfinished") return answer;
      failures = 0;
      // A worker whose clock is ahead of ours sees the end sooner, and would be asked in a tight loop.
      if (clock.now() - begunAtMs < BACKOFF_MS) await clock.sleep(BACKOFF_MS);
    } catch (thrown) {
      if (thrown instanceof TidemarkError && thrown.kind !== "retry") throw thrown;
      failures += 1;
      if (failures >= FAILURES_MAX) throw failing(work, thrown);
      const bound = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** failures);
      await clock.sleep(Math.ceil(bound * randomness.fraction()));
    }
  }
}

function failing(work: Work, thrown: unknown): TidemarkError {
  const what = work.work === "snapshot" ? `slice ${work.slice} of function ${work.function}` : `part ${work.file.name}`;
  return new TidemarkError(
    "retry",
    `The ${work.work} of ${what} (checkpoint ${work.checkpoint}) failed ${FAILURES_MAX} times in a row, at last with: ${describeThrown(thrown)}. What was done of it stays; the next run of the coordinator goes on. Look into the snapshot function's log.`,
    { cause: thrown },
  );
}
