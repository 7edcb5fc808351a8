/** A checkpoint's snapshot: the slices of every function's state, some at a time (protocol §5, step 3). */
import pMap from "p-map";
import type { CheckpointingMode } from "../app/define-app.ts";
import type { CheckpointRun, Interruption } from "./checkpoint-run.ts";
import type { Covered } from "./coverage.ts";
import { throwFirst } from "./cut.ts";
import type { ManifestFile } from "./manifest.ts";
import { readProgress } from "./slice-progress.ts";
import { ImageGone, type SliceWork, snapshotSlice } from "./snapshot-slice.ts";
import { handOut, type Workers } from "./work.ts";

/** Slices of one function that are scanned at a time, by default: each holds a page and a compressor. */
export const SLICES_CONCURRENCY = 4;

export interface SnapshotOptions {
  readonly slices: number;
  readonly concurrency: number;
  readonly mode: CheckpointingMode;
  readonly covered: Covered;
  /** Who scans the slices; absent: this process. */
  readonly workers?: Workers;
}

/**
 * Writes every part that is not yet durable. When it returns the files, all of them are.
 * @throws ImageGone when an item's image at the cut is gone.
 */
export async function takeSnapshot(
  run: CheckpointRun,
  { slices, concurrency, mode, covered, workers }: SnapshotOptions,
): Promise<ManifestFile[] | Interruption> {
  const { app, control } = run.resources;
  const checkpoint = run.checkpoint.n;
  const places = app.functions.flatMap(({ name }) =>
    Array.from({ length: slices }, (_, slice) => ({ checkpoint, function: name, slice })),
  );
  const failed = new AbortController();
  const outcomes = await pMap(
    places,
    async (place) => {
      if (failed.signal.aborted) return "unfinished" as const;
      try {
        const work = { run, place, slices, mode, covered, signal: failed.signal };
        return await (workers === undefined ? snapshotSlice(work) : handOutSlice(work, workers));
      } catch (thrown) {
        failed.abort();
        throw thrown;
      }
    },
    { concurrency: workers?.count ?? concurrency, stopOnError: false },
  ).catch(throwFirst);
  for (const interruption of ["superseded", "unfinished"] as const) {
    if (outcomes.includes(interruption)) return interruption;
  }
  const files: ManifestFile[] = [];
  for (const place of places) files.push(...(await readProgress(control, place)).parts);
  return files;
}

/** The progress that the workers saved decides: an answer may be lost, and a slice may have been done before. */
async function handOutSlice({ run, place, signal }: SliceWork, { invoke }: Workers): Promise<"done" | Interruption> {
  const { clock, control, randomness } = run.resources;
  for (;;) {
    if ((await readProgress(control, place)).done) return "done";
    const work = { work: "snapshot", token: run.checkpoint.token, ...place } as const;
    const answer = await handOut(invoke, work, { clock, randomness, untilMs: run.untilMs, signal });
    if (answer.outcome === "image-gone") throw new ImageGone(answer.reason);
    if (answer.outcome !== "done") return answer.outcome;
  }
}
