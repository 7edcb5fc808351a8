/** What a checkpoint says of itself, read from its folder. */
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import { systemClock, systemRandomness } from "../../../shared/environment.ts";
import { rowOfPosition } from "../../../shared/source/file/file-position.ts";
import { checkpointFolder } from "../../../shared/storage/object-paths.ts";
import { openCheckpointStorage } from "../../../shared/storage/open-storage.ts";
import { HASH_CHAIN, ON_TIME } from "./stage.ts";
import { onTimeOfCheckpoint, partFiles, type States, statesOfCheckpoint } from "./truth.ts";

/** Which checkpoint, and where: the storage is a folder. */
export interface CheckpointPlace {
  readonly storageUrl: string;
  readonly app: string;
  readonly checkpoint: number;
}

/** A checkpoint's files, read by DuckDB, and where it cut each split. */
export interface CheckpointContent {
  readonly states: { readonly onTime: States; readonly hashChain: States };
  readonly cuts: { readonly onTime: Cuts; readonly hashChain: Cuts };
}

/** Flights at or before a split's position. */
export type Cuts = ReadonlyMap<string, number>;

/** Reads a checkpoint, soon: the app keeps the newest ten. */
export async function readCheckpoint(place: CheckpointPlace, temporaryFolder: string): Promise<CheckpointContent> {
  const { files, ...cuts } = await cutsOf(place);
  const of = (name: string): string[] =>
    partFiles(
      place.storageUrl,
      checkpointFolder(place.checkpoint),
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

export async function cutsOf({ storageUrl, app, checkpoint }: CheckpointPlace) {
  const storage = await openCheckpointStorage(storageUrl, { clock: systemClock, randomness: systemRandomness });
  try {
    const { functions, files } = await readManifest(storage, { app, n: checkpoint });
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
