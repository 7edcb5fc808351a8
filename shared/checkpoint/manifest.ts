/**
 * What stands at a checkpoint's address: the manifest that commits it, or a marker that says why there is none.
 * Format 1, pure data; `parse-manifest.ts` reads it back.
 *
 * Invariants:
 * - The address is written once (`createExclusively`); only retention replaces what is there, a manifest by a marker.
 * - A manifest is enough, with its files, to restore into an empty account.
 * - It has a checksum of itself: what restores and retention decide by is what was written, or is refused.
 * - Lists are in a fixed order (functions as the app lists them, splits and files by name), so that equal checkpoints
 *   read the same.
 */
import type { CheckpointingMode } from "../app/define-app.ts";
import type { Lineage } from "../control/control.ts";
import type { Hole } from "../control/hole.ts";
import type { Position } from "../source/position.ts";
import { sealJson } from "../storage/sealed-json.ts";

export const MANIFEST_FORMAT = "tidemark-checkpoint";
export const MANIFEST_FORMAT_VERSION = 1;

export const EARLIEST = "earliest";

export interface ManifestSplit {
  readonly split: string;
  /** The cut: exactly the events at or before it are in the state (at-least-once: at least these). */
  readonly position: Position;
  /** Nothing after `position` that arrived by then can have been missed. ISO 8601. */
  readonly freshAt: string;
  /**
   * Records that arrived earlier are no part of the state, nor of a replay. ISO 8601, or {@link EARLIEST}: none is too early.
   * Absent: written before manifests said so.
   */
  readonly startFrom?: string;
  /** No record will ever follow `position`. */
  readonly ended: boolean;
  /** The versions of the code that took a record of the split last. Absent: none had said so. */
  readonly takenBy?: readonly string[];
  /** What stood in the way when the checkpoint was taken. Absent: nothing did, or it was written before manifests said so. */
  readonly failing?: ManifestFailing;
  /** What is missing from the state though it stands before `position`. */
  readonly holes: readonly Hole[];
}

/** A record that was tried, or a source that could not be read. */
export interface ManifestFailing {
  /** Of the record; where the source could not be read, of the split. */
  readonly position: Position;
  /** When it was tried first. ISO 8601. */
  readonly since: string;
  /** It does not pass by itself: the split had stopped at it, or its source could not be read. */
  readonly stopped?: true;
}

export interface ManifestFunction {
  readonly name: string;
  readonly stateVersion: number;
  readonly source: string;
  /** Keys that have a state. */
  readonly keys: number;
  readonly splits: readonly ManifestSplit[];
}

/** A part: a file of the checkpoint's folder. */
export interface ManifestFile {
  readonly name: string;
  readonly function: string;
  readonly items: number;
  /** Of the file as stored, compressed. */
  readonly bytes: number;
  /** Of the file as stored, in hexadecimal. */
  readonly sha256: string;
}

interface AddressedObject {
  readonly format: typeof MANIFEST_FORMAT;
  readonly formatVersion: typeof MANIFEST_FORMAT_VERSION;
  readonly app: string;
  readonly checkpoint: number;
  /** Of `control.checkpoint`: tells this checkpoint from one of the same number in another life of the app. */
  readonly token: string;
  readonly generation: number;
}

export interface Manifest extends AddressedObject {
  readonly kind: "manifest";
  /** What `generation` was restored from; absent in the first generation. */
  readonly restoredFrom?: Lineage;
  readonly mode: CheckpointingMode;
  /** The savepoint's name; absent: a periodic checkpoint. */
  readonly savepoint?: string;
  /** ISO 8601, like every time here. */
  readonly triggeredAt: string;
  readonly completedAt: string;
  readonly functions: readonly ManifestFunction[];
  readonly files: readonly ManifestFile[];
}

/** The checkpoint was given up; its address stays taken. */
export interface AbortedMarker extends AddressedObject {
  readonly kind: "aborted";
  readonly reason: string;
  readonly at: string;
}

/** Retention deleted the checkpoint; its address stays taken, or a stalled coordinator could commit there again. */
export interface DeletedMarker extends AddressedObject {
  readonly kind: "deleted";
  readonly at: string;
  readonly completedAt: string;
  /** Only where they still tell which tombstones may go; without holes. */
  readonly functions?: readonly ManifestFunction[];
}

export type CheckpointObject = Manifest | AbortedMarker | DeletedMarker;

/** The bytes of a manifest or a marker with a checksum of itself, readable to people: small beside the parts. */
export function encodeManifest(object: CheckpointObject): Uint8Array {
  return Buffer.from(sealJson(object), "utf8");
}

/** Keys and bytes of a whole checkpoint, and how many holes its cut has. */
export function totalsOf(manifest: Manifest): {
  readonly keys: number;
  readonly bytes: number;
  readonly holes: number;
} {
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  return {
    keys: sum(manifest.functions.map(({ keys }) => keys)),
    bytes: sum(manifest.files.map(({ bytes }) => bytes)),
    holes: sum(manifest.functions.flatMap(({ splits }) => splits.map(({ holes }) => holes.length))),
  };
}

/** What a deleted checkpoint leaves behind. */
export function deletedMarkerOf(
  manifest: Manifest,
  options: { readonly at: string; readonly keepPositions: boolean },
): DeletedMarker {
  const { format, formatVersion, app, checkpoint, token, generation, completedAt } = manifest;
  return {
    ...{ format, formatVersion, kind: "deleted", app, checkpoint, token, generation, completedAt, at: options.at },
    ...(options.keepPositions
      ? {
          functions: manifest.functions.map((description) => ({
            ...description,
            splits: description.splits.map((split) => ({ ...split, holes: [] })),
          })),
        }
      : {}),
  };
}
