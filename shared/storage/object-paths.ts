/** Owns every object path of checkpoint storage. Nothing else spells one. */
import { TidemarkError } from "../errors.ts";

const CHECKPOINT_DIGITS = 10;

function number10(value: number): string {
  return String(value).padStart(CHECKPOINT_DIGITS, "0");
}

/** Keeps names of functions, splits and positions to characters that every storage takes in a path segment. */
function segment(name: string): string {
  return encodeURIComponent(name).replaceAll("*", "%2A").replaceAll(".", "%2E");
}

export const CHECKPOINTS_PREFIX = "chk-";
export const GENERATIONS_PREFIX = "generations/";

/** Says which app keeps its checkpoints here. */
export const CLAIM_PATH = "claim.json";

export function checkpointFolder(n: number): string {
  return `${CHECKPOINTS_PREFIX}${number10(n)}/`;
}

/** The manifest's address: what stands there decides a checkpoint's outcome. */
export function manifestPath(n: number): string {
  return `${checkpointFolder(n)}manifest.json`;
}

/** A part's file name within its checkpoint's folder; the writer's token makes it that writer's alone. */
export function partName(part: {
  readonly function: string;
  readonly slice: number;
  readonly sequence: number;
  readonly writer: string;
}): string {
  return `${part.function}-${String(part.slice).padStart(5, "0")}-${String(part.sequence).padStart(5, "0")}-${part.writer}.json.gz`;
}

/** The number of the checkpoint that an object belongs to. */
export function checkpointNumberOf(path: string): number | undefined {
  const match = /^chk-(\d{10})\//.exec(path);
  return match === null ? undefined : Number(match[1]);
}

/** Refuses a part name that would leave its checkpoint's folder. */
export function partPath(n: number, name: string): string {
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(name)) {
    throw new TidemarkError(
      "choose-another-checkpoint",
      `The manifest of checkpoint ${n} names the file ${JSON.stringify(name)}; only plain names within its own folder are allowed. The manifest was altered: choose another checkpoint.`,
    );
  }
  return `${checkpointFolder(n)}${name}`;
}

/** Says which checkpoint a generation was restored from, so that storage alone knows the live lineage. */
export function generationPath(generation: number): string {
  return `${GENERATIONS_PREFIX}${number10(generation)}.json`;
}

/** Whether what stands at a path decides what is restored: a manifest or its marker, or a generation's record. */
export function isCommitPath(path: string): boolean {
  return /^(?:chk-\d{10}\/manifest|generations\/\d{10})\.json$/.test(path);
}

export function deadLettersPrefix(functionName?: string): string {
  return functionName === undefined ? "dead-letters/" : `dead-letters/${segment(functionName)}/`;
}

export function deadLetterPath(place: {
  readonly function: string;
  readonly split: string;
  readonly position: string;
}): string {
  return `${deadLettersPrefix(place.function)}${segment(place.split)}/${segment(place.position)}.json`;
}

export function redrivePrefix(functionName?: string): string {
  return functionName === undefined ? "redrive/" : `redrive/${segment(functionName)}/`;
}

/** Redriven records of a function, numbered: a split of their own. */
export function redrivePath(functionName: string, position: string): string {
  return `${redrivePrefix(functionName)}${position}.json`;
}

/** Where a probe of the storage writes; the token makes it that probe's alone. */
export function probePath(token: string): string {
  return `probes/${token}`;
}
