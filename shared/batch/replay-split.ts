/**
 * Replays a restored split: reads `(position, until]` from the source and folds it by the same batches (protocol §6,
 * step 6).
 *
 * Invariants:
 * - Every batch begins as REPLAYING in the target generation: once the split runs, or a later restore has taken it,
 *   nothing more is folded here.
 * - Nothing after `until` is folded: what comes after is the mapping's.
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

export interface ReplayRequest {
  readonly split: string;
  readonly generation: number;
  /** Ms since 1970: the replay stops then, to be asked for again. */
  readonly deadlineMs: number;
  readonly batchRecords?: number;
}

export interface ReplayAnswer {
  readonly position: Position;
  /** The split has nothing left to replay in that generation. */
  readonly done: boolean;
  readonly replayedRecords: number;
}

export async function replaySplit(engine: BatchEngine, request: ReplayRequest): Promise<ReplayAnswer> {
  const { clock, control, randomness } = engine.resources;
  const place: SplitPlace = { function: engine.definition.name, split: request.split };
  let replayedRecords = 0;
  let pauseMs = RETRY_PAUSE_MS;
  for (;;) {
    const split = await readSplit(control, place);
    if (split === undefined || split === "unborn" || !isReplaying(split, request.generation)) {
      const position = split === undefined || split === "unborn" ? "" : split.position;
      return { position, done: true, replayedRecords };
    }
    const { until } = split;
    if (until === undefined || split.position >= until)
      return { position: split.position, done: true, replayedRecords };
    if (clock.now() >= request.deadlineMs) return { position: split.position, done: false, replayedRecords };

    const pass = await replayFrom(engine, request, { ...split, until });
    replayedRecords += pass.records;
    if (
      pass.outcome === "nothing left" &&
      !(await engine.source.reader.holdsAny(request.split, { after: split.position, to: until }))
    ) {
      const holes = [...split.holes, droppedHole({ after: split.position, to: until })];
      await giveUpReplay(control, place, { ...split, until }, await spillHoles(control, place, split, holes));
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

/** Batches until `until`, a failed record or the deadline. */
async function replayFrom(
  engine: BatchEngine,
  request: ReplayRequest,
  split: Split & { readonly until: Position },
): Promise<{ readonly outcome: "on the way" | "nothing left"; readonly records: number }> {
  const { clock } = engine.resources;
  const pageRecords = request.batchRecords ?? REPLAY_BATCH_RECORDS;
  let replayed = 0;
  let position = split.position;
  for await (const page of engine.source.reader.read({
    split: request.split,
    after: position,
    pageRecords,
    follow: false,
  })) {
    const records = page.records.filter(
      (record: SourceRecord) => record.position > position && record.position <= split.until,
    );
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
    const passedUntil = (page.records.at(-1)?.position ?? "") >= split.until;
    if (position >= split.until || clock.now() >= request.deadlineMs)
      return { outcome: "on the way", records: replayed };
    if (passedUntil) break;
  }
  return { outcome: replayed === 0 ? "nothing left" : "on the way", records: replayed };
}
