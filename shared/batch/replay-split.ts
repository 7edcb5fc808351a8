/**
 * Replays a restored split: reads `(position, until]` from the source and folds it by the same batches (protocol §6,
 * step 6).
 *
 * Invariants:
 * - Every batch begins as REPLAYING in the target generation: once the split runs, or a later restore has taken it,
 *   nothing more is folded here.
 * - Nothing after `until` is folded: what comes after is the mapping's. But a restore that is held at a `stop` is replayed
 *   up to it even past `until`: mappings are off, and what they deliver again later is dropped by its position.
 */

import { droppedHole } from "../control/hole.ts";
import { spillHoles } from "../control/hole-items.ts";
import type { Split } from "../control/split.ts";
import { giveUpReplay, readSplit, type SplitPlace } from "../control/split-steps.ts";
import type { Position } from "../source/position.ts";
import type { SourceRecord } from "../source/source.ts";
import { type BatchEngine, processBatch } from "./process-batch.ts";

export const REPLAY_BATCH_RECORDS = 500;
const RETRY_PAUSE_MS = 100;
const RETRY_PAUSE_MS_MAX = 10_000;

/** See `ReplayStop` of `restore/`: before the first record that arrived later, or after a position. */
export interface Stop {
  readonly arrivedByMs?: number;
  readonly position?: Position;
}

export interface ReplayRequest {
  readonly split: string;
  readonly generation: number;
  readonly stop?: Stop;
  /** Ms since 1970: the replay stops then, to be asked for again. */
  readonly deadlineMs: number;
  readonly batchRecords?: number;
}

export interface ReplayAnswer {
  readonly position: Position;
  /** The split has nothing left to replay in that generation. */
  readonly done: boolean;
  /** The split has come to `stop`. */
  readonly stopped?: boolean;
  readonly replayedRecords: number;
}

export async function replaySplit(engine: BatchEngine, request: ReplayRequest): Promise<ReplayAnswer> {
  const { clock, control, observe, randomness } = engine.resources;
  const place: SplitPlace = { function: engine.definition.name, split: request.split };
  let replayedRecords = 0;
  let pauseMs = RETRY_PAUSE_MS;
  for (;;) {
    const split = await readSplit(control, place);
    if (split === undefined || split === "unborn" || !isReplaying(split, request.generation)) {
      const position = split === undefined || split === "unborn" ? "" : split.position;
      return { position, done: true, replayedRecords };
    }
    const { position } = split;
    const { stop } = request;
    const until = stop === undefined ? split.until : stop.position;
    if (stop?.arrivedByMs === undefined && (until === undefined || position >= until)) {
      return { position, done: stop === undefined, ...(stop === undefined ? {} : { stopped: true }), replayedRecords };
    }
    if (clock.now() >= request.deadlineMs) return { position, done: false, replayedRecords };

    const pass = await replayFrom(engine, request, { position, ...(until === undefined ? {} : { until }) });
    replayedRecords += pass.records;
    if (pass.outcome === "stopped" || (stop !== undefined && pass.outcome === "nothing left")) {
      const now = await readSplit(control, place);
      const reached = now === undefined || now === "unborn" ? position : now.position;
      return { position: reached, done: false, stopped: true, replayedRecords };
    }
    if (
      pass.outcome === "nothing left" &&
      until !== undefined &&
      !(await engine.source.reader.holdsAny(request.split, { after: split.position, to: until }))
    ) {
      const hole = droppedHole({ after: split.position, to: until });
      const holes = await spillHoles(control, place, split, [...split.holes, hole]);
      const given = await giveUpReplay(control, place, { ...split, until }, holes);
      if (given !== undefined) observe({ type: "hole", ...place, epoch: split.epoch, generation: split.gen, hole });
    } else if (pass.records > 0) {
      pauseMs = RETRY_PAUSE_MS;
    } else {
      await clock.sleep(pauseMs * (0.5 + randomness.fraction() / 2));
      pauseMs = Math.min(pauseMs * 2, RETRY_PAUSE_MS_MAX);
    }
  }
}

const isReplaying = (split: Split, generation: number): boolean =>
  split.phase === "REPLAYING" && split.gen === generation;

/** Batches until `until`, the first record that arrived too late, a failed record or the deadline. */
async function replayFrom(
  engine: BatchEngine,
  request: ReplayRequest,
  split: { readonly position: Position; readonly until?: Position },
): Promise<{ readonly outcome: "on the way" | "nothing left" | "stopped"; readonly records: number }> {
  const { clock } = engine.resources;
  const pageRecords = request.batchRecords ?? REPLAY_BATCH_RECORDS;
  const arrivedByMs = request.stop?.arrivedByMs ?? Number.POSITIVE_INFINITY;
  const { until } = split;
  let replayed = 0;
  let position = split.position;
  for await (const page of engine.source.reader.read({
    split: request.split,
    after: position,
    pageRecords,
    follow: false,
  })) {
    const due = page.records.filter(
      (record: SourceRecord) => record.position > position && (until === undefined || record.position <= until),
    );
    const tooLate = due.findIndex(({ arrivalTimeMs }) => (arrivalTimeMs ?? 0) > arrivedByMs);
    const records = tooLate === -1 ? due : due.slice(0, tooLate);
    if (records.length > 0) {
      const result = await processBatch(engine, {
        split: request.split,
        records,
        role: { phase: "REPLAYING", generation: request.generation },
        deadlineMs: request.deadlineMs,
      });
      replayed += result.position > position ? records.length : 0;
      position = result.position;
      if (result.failedFrom !== undefined) return { outcome: "on the way", records: replayed };
    }
    if (tooLate !== -1) return { outcome: "stopped", records: replayed };
    if ((until !== undefined && position >= until) || clock.now() >= request.deadlineMs)
      return { outcome: "on the way", records: replayed };
    if (until !== undefined && (page.records.at(-1)?.position ?? "") >= until) break;
  }
  return { outcome: replayed === 0 ? "nothing left" : "on the way", records: replayed };
}
