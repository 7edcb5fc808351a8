/** The checkpoint from before the bad version is restored, and what came after it is replayed by the good one. */
import { readManifest } from "../../shared/checkpoint/parse-manifest.ts";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { rowOfPosition } from "../../shared/source/file/file-position.ts";
import { checkpointFolder } from "../../shared/storage/object-paths.ts";
import { openCheckpointStorage } from "../../shared/storage/open-storage.ts";
import { HASH_CHAIN, ON_TIME, type Stage } from "./stage.ts";
import { onTimeOfCheckpoint, partFiles, type States, statesOfCheckpoint } from "./truth.ts";

export interface Restored {
  readonly checkpoint: number;
  readonly seconds: number;
  /** Flights replayed by `on-time`. */
  readonly replayedFlights: number;
  /** Flights that had not arrived when the restore began. */
  readonly toCome: number;
}

/** What a checkpoint says of itself: its files, read by DuckDB, and where it cut each split. */
export interface CheckpointContent {
  readonly states: { readonly onTime: States; readonly hashChain: States };
  readonly cuts: { readonly onTime: Cuts; readonly hashChain: Cuts };
}

/** Flights at or before a split's position. */
export type Cuts = ReadonlyMap<string, number>;

export async function restoreCheckpoint(stage: Stage, checkpoint: number, goodApp: string): Promise<Restored> {
  const { engine, watch, narrator, feed } = stage;
  await engine.redeploy(goodApp);
  const toCome = feed.toCome;
  narrator.say(`The good version is back. Restoring checkpoint ${checkpoint}; ${toCome} flights are still to come.`);
  const reached = new Map<string, number>();
  let finished = false;
  const deaf = watch.listen((event) => {
    if (event.type === "restore-finished" && event.checkpoint === checkpoint) finished = true;
    if (event.type === "split-replayed" && event.function === ON_TIME) {
      reached.set(event.split, rowOfPosition(event.position));
    }
  });
  const startedAtMs = performance.now();
  let seconds = 0;
  try {
    const { outcome } = await engine.restore({ checkpoint });
    if (outcome !== "finished") {
      throw new TidemarkError("retry", `The restore ended as ${outcome}; run the demo again.`);
    }
    seconds = (performance.now() - startedAtMs) / 1000;
    // Control says so a moment before the event does.
    await watch.until("the restore's last word", () => finished);
  } finally {
    deaf();
  }
  const { onTime } = await cutsOf(stage, checkpoint);
  const replayedFlights = [...reached].reduce(
    (sum, [split, row]) => sum + Math.max(0, row - (onTime.get(split) ?? row)),
    0,
  );
  narrator.say(`${replayedFlights} flights were replayed, and flights go on flowing: ${seconds.toFixed(1)} s in all.`);
  return { checkpoint, seconds, replayedFlights, toCome };
}

/** Reads a checkpoint from its folder, soon: the app keeps the newest ten. */
export async function readCheckpoint(
  stage: Stage,
  checkpoint: number,
  temporaryFolder: string,
): Promise<CheckpointContent> {
  const { files, ...cuts } = await cutsOf(stage, checkpoint);
  const of = (name: string): string[] =>
    partFiles(
      stage.engine.storageUrl,
      checkpointFolder(checkpoint),
      files.filter((file) => file.function === name).map((file) => file.name),
    );
  return {
    cuts,
    states: {
      onTime: await onTimeOfCheckpoint(of(ON_TIME), temporaryFolder),
      hashChain: await statesOfCheckpoint(of(HASH_CHAIN), temporaryFolder),
    },
  };
}

async function cutsOf({ engine }: Stage, checkpoint: number) {
  const storage = await openCheckpointStorage(engine.storageUrl, { clock: systemClock, randomness: systemRandomness });
  try {
    const { functions, files } = await readManifest(storage, { app: engine.app.name, n: checkpoint });
    const cuts = (name: string): Cuts =>
      new Map(
        functions
          .filter((one) => one.name === name)
          .flatMap(({ splits }) => splits.map(({ split, position }) => [split, rowOfPosition(position)] as const)),
      );
    return { files, onTime: cuts(ON_TIME), hashChain: cuts(HASH_CHAIN) };
  } finally {
    await storage.close();
  }
}
