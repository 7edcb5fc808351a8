/**
 * What storage alone knows of an app's past: its checkpoints, which generation each belongs to, and which generation
 * is live. Enough to restore into an empty account.
 *
 * Invariants:
 * - A generation's record is written before the generation goes live, and never changes.
 * - "Latest" is the latest of the live lineage: what a restore abandoned is never latest.
 */
import type { CheckpointingMode } from "../app/define-app.ts";
import type { Lineage } from "../control/control.ts";
import { TidemarkError } from "../errors.ts";
import { type CheckpointStorage, readWhole } from "../storage/checkpoint-storage.ts";
import {
  CHECKPOINTS_PREFIX,
  checkpointNumberOf,
  GENERATIONS_PREFIX,
  generationPath,
  manifestPath,
} from "../storage/object-paths.ts";
import { holdsSeal, sealJson } from "../storage/sealed-json.ts";
import { type CheckpointObject, totalsOf } from "./manifest.ts";
import { readCheckpointObject } from "./parse-manifest.ts";

/** A line of the list of checkpoints. */
export type CheckpointSummary = {
  readonly checkpoint: number;
} & (
  | {
      readonly status: "completed";
      readonly generation: number;
      readonly restoredFrom?: Lineage;
      readonly mode: CheckpointingMode;
      readonly savepoint?: string;
      readonly triggeredAt: string;
      readonly completedAt: string;
      readonly keys: number;
      readonly bytes: number;
      readonly holes: number;
    }
  | { readonly status: "aborted"; readonly generation: number; readonly at: string; readonly reason: string }
  | { readonly status: "deleted"; readonly generation: number; readonly at: string; readonly completedAt: string }
  /** Its manifest is damaged, of another app, or of a newer format. */
  | { readonly status: "unreadable"; readonly reason: string }
);

export type CompletedSummary = Extract<CheckpointSummary, { readonly status: "completed" }>;

/** What a generation descends from: `control` has it, and so has storage. */
export interface LiveLineage {
  readonly generation: number;
  readonly restoredFrom?: Lineage;
}

function summaryOf(object: CheckpointObject): CheckpointSummary {
  const { checkpoint, generation } = object;
  switch (object.kind) {
    case "aborted":
      return { checkpoint, status: "aborted", generation, at: object.at, reason: object.reason };
    case "deleted":
      return { checkpoint, status: "deleted", generation, at: object.at, completedAt: object.completedAt };
    case "manifest": {
      const { restoredFrom, savepoint, mode, triggeredAt, completedAt } = object;
      return {
        checkpoint,
        status: "completed",
        ...{ generation, mode, triggeredAt, completedAt },
        ...totalsOf(object),
        ...(restoredFrom === undefined ? {} : { restoredFrom }),
        ...(savepoint === undefined ? {} : { savepoint }),
      };
    }
  }
}

/**
 * Every checkpoint that has an outcome, by number, aborted and deleted ones included. One LIST per thousand objects and
 * one GET a checkpoint: for people and for restores, not for every checkpoint.
 */
export async function* listCheckpoints(
  storage: CheckpointStorage,
  app: string,
): AsyncGenerator<CheckpointSummary, void> {
  for await (const { path } of storage.list(CHECKPOINTS_PREFIX)) {
    const n = checkpointNumberOf(path);
    if (n === undefined || path !== manifestPath(n)) continue;
    try {
      const found = await readCheckpointObject(storage, { app, n });
      if (found !== undefined) yield summaryOf(found.object);
    } catch (thrown) {
      if (!(thrown instanceof TidemarkError) || thrown.kind !== "choose-another-checkpoint") throw thrown;
      yield { checkpoint: n, status: "unreadable", reason: thrown.message };
    }
  }
}

/** The highest checkpoint number that anything in storage bears; 0: none. One LIST per thousand objects. */
export async function highestCheckpointNumber(storage: CheckpointStorage): Promise<number> {
  let highest = 0;
  for await (const { path } of storage.list(CHECKPOINTS_PREFIX)) {
    highest = Math.max(highest, checkpointNumberOf(path) ?? 0);
  }
  return highest;
}

/** What one generation was restored from, at {@link generationPath}. */
export interface GenerationRecord {
  readonly format: "tidemark-generation";
  readonly formatVersion: 1;
  readonly generation: number;
  readonly restoredFrom: Lineage;
  /** ISO 8601. */
  readonly at: string;
}

/**
 * Says in storage what a generation is restored from; called before the generation goes live. Repeatable: what says
 * the same already is fine. One PUT.
 * @throws TidemarkError `retry` when the number belongs to another restore: the restore needs a generation of its own.
 */
export async function writeGenerationRecord(
  storage: CheckpointStorage,
  record: Pick<GenerationRecord, "generation" | "restoredFrom" | "at">,
): Promise<void> {
  const whole: GenerationRecord = { format: "tidemark-generation", formatVersion: 1, ...record };
  const path = generationPath(record.generation);
  if ((await storage.createExclusively(path, Buffer.from(sealJson(whole)))) === "created") return;
  const found = await readGenerationRecord(storage, record.generation);
  const { generation, checkpoint } = record.restoredFrom;
  if (found?.restoredFrom.generation === generation && found.restoredFrom.checkpoint === checkpoint) return;
  throw new TidemarkError(
    "retry",
    `${storage.url} already has a generation ${record.generation}, restored from checkpoint ${found?.restoredFrom.checkpoint}, not from ${checkpoint}. Run the restore again: it takes a generation past all that storage knows.`,
  );
}

export async function readGenerationRecord(
  storage: CheckpointStorage,
  generation: number,
): Promise<GenerationRecord | undefined> {
  const found = await readWhole(storage, generationPath(generation));
  return found && parseGenerationRecord(found.text, generation);
}

function parseGenerationRecord(text: string, generation: number): GenerationRecord {
  let record: Partial<GenerationRecord> | null = null;
  try {
    record = JSON.parse(text);
  } catch {
    // Refused below, with everything else that is no record.
  }
  const { checkpoint, generation: from } = record?.restoredFrom ?? {};
  const usable =
    record?.generation === generation &&
    holdsSeal(record) &&
    Number.isSafeInteger(checkpoint) &&
    Number.isSafeInteger(from);
  if (usable && record?.format === "tidemark-generation" && record.formatVersion === 1) {
    return record as GenerationRecord;
  }
  throw new TidemarkError(
    "choose-another-checkpoint",
    `The record of generation ${generation} (${generationPath(generation)}) cannot be used: it was altered, or a newer Tidemark wrote it. Name the checkpoint to restore by its number.`,
  );
}

/** The highest generation that storage knows, with what it was restored from; undefined: it knows none. */
export async function liveLineage(storage: CheckpointStorage, app: string): Promise<LiveLineage | undefined> {
  const live = await lineageOfCheckpoints(storage, app);
  const highest = await highestRecord(storage);
  if (highest === 0 || highest < (live?.generation ?? 0)) return live;
  const record = await readGenerationRecord(storage, highest);
  return { generation: highest, ...(record === undefined ? {} : { restoredFrom: record.restoredFrom }) };
}

/**
 * The highest number that a generation has in storage; 0: none. Its record need not be one that can be used: the number is
 * taken all the same.
 */
export async function highestGeneration(storage: CheckpointStorage, app: string): Promise<number> {
  const live = await lineageOfCheckpoints(storage, app);
  return Math.max(live?.generation ?? 0, await highestRecord(storage));
}

async function lineageOfCheckpoints(storage: CheckpointStorage, app: string): Promise<LiveLineage | undefined> {
  let live: LiveLineage | undefined;
  for await (const summary of listCheckpoints(storage, app)) {
    if (summary.status === "unreadable" || summary.generation < (live?.generation ?? 0)) continue;
    const restoredFrom = summary.status === "completed" ? summary.restoredFrom : undefined;
    if (summary.generation === live?.generation && restoredFrom === undefined) continue;
    live = { generation: summary.generation, ...(restoredFrom === undefined ? {} : { restoredFrom }) };
  }
  return live;
}

async function highestRecord(storage: CheckpointStorage): Promise<number> {
  let highest = 0;
  for await (const { path } of storage.list(GENERATIONS_PREFIX)) {
    highest = Math.max(highest, Number(/(\d{10})\.json$/.exec(path)?.[1] ?? 0));
  }
  return highest;
}

/** A stretch of a lineage: the checkpoints of `generation` up to number `upTo` belong to it. */
export interface LineageStretch {
  readonly generation: number;
  readonly upTo: number;
}

/** The stretches of a lineage, the live generation first. One GET for each older generation. */
export async function* stretchesOf(
  storage: CheckpointStorage,
  live: LiveLineage,
): AsyncGenerator<LineageStretch, void> {
  yield { generation: live.generation, upTo: Number.POSITIVE_INFINITY };
  let origin = live.restoredFrom ?? (await readGenerationRecord(storage, live.generation))?.restoredFrom;
  while (origin !== undefined) {
    yield { generation: origin.generation, upTo: origin.checkpoint };
    origin = (await readGenerationRecord(storage, origin.generation))?.restoredFrom;
  }
}

/**
 * The latest completed checkpoint of the live lineage: the newest of the live generation, else what that was restored
 * from, and so on. `live` as control has it; without it storage alone decides.
 */
export async function latestCheckpoint(
  storage: CheckpointStorage,
  app: string,
  live?: LiveLineage,
  accept: (summary: CompletedSummary) => boolean = () => true,
): Promise<CompletedSummary | undefined> {
  const lineage = live ?? (await liveLineage(storage, app));
  if (lineage === undefined) return undefined;
  const completed: CompletedSummary[] = [];
  for await (const summary of listCheckpoints(storage, app)) {
    if (summary.status === "completed" && accept(summary)) completed.push(summary);
  }
  for await (const { generation, upTo } of stretchesOf(storage, lineage)) {
    const newest = completed.findLast((one) => one.generation === generation && one.checkpoint <= upTo);
    if (newest !== undefined) return newest;
  }
  return undefined;
}
