/**
 * Owns every object path of checkpoint storage. Nothing else spells one.
 *
 * Invariant: a path, without what a storage URL puts before it, is ASCII, has at most 600 bytes, and none of its segments
 * has more than 255: S3 takes keys of 1,024 bytes, file systems names of 255 bytes.
 */
import { createHash } from "node:crypto";
import { TidemarkError } from "../errors.ts";

const CHECKPOINT_DIGITS = 10;

function number10(value: number): string {
  return String(value).padStart(CHECKPOINT_DIGITS, "0");
}

/** The longest segment that every storage takes. */
const SEGMENT_BYTES_MAX = 255;

/** Of a file: its ending, and the number of a version of it, come after. */
const FILE_SEGMENT_BYTES_MAX = 220;

/** What is left of a longer one, to recognise it by. */
const START_BYTES_MAX = 150;

/**
 * Keeps names of functions, splits and positions to characters and lengths that every storage takes in a path segment. Of a
 * name that is too long (a name of 80 CJK letters is one of 720 bytes here) the beginning stays, with a hash of all of it.
 * No two names share a segment: "=" is in none that was not cut.
 */
function segment(name: string, bytesMax: number = SEGMENT_BYTES_MAX): string {
  const whole = wholeSegment(name);
  if (whole.length <= bytesMax) return whole;
  let start = "";
  for (const character of name) {
    const next = start + wholeSegment(character);
    if (next.length > START_BYTES_MAX) break;
    start = next;
  }
  return `${start}=${createHash("sha256").update(name).digest("hex").slice(0, 32)}`;
}

function wholeSegment(name: string): string {
  return encodeURIComponent(wellFormed(name)).replaceAll("*", "%2A").replaceAll(".", "%2E");
}

/** Every Node from 20 has the method; TypeScript's ES2023 library does not know it. */
const wellFormed = (text: string): string => (text as unknown as { toWellFormed(): string }).toWellFormed();

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

interface LetterPlace {
  readonly function: string;
  readonly split: string;
  readonly position: string;
}

export function deadLetterPath(place: LetterPlace): string {
  return `${deadLettersPrefix(place.function)}${segment(place.split)}/${segment(place.position, FILE_SEGMENT_BYTES_MAX)}.json`;
}

/**
 * Where earlier versions wrote a letter whose split has a long name, which S3 took up to its limit; undefined where that is
 * {@link deadLetterPath}, or no storage took it.
 */
export function olderDeadLetterPath(place: LetterPlace): string | undefined {
  const split = wholeSegment(place.split);
  if (split.length <= SEGMENT_BYTES_MAX) return undefined;
  const path = `${deadLettersPrefix(place.function)}${split}/${wholeSegment(place.position)}.json`;
  return path.length <= S3_KEY_BYTES_MAX ? path : undefined;
}

export const S3_KEY_BYTES_MAX = 1_024;

/** The longest is that of a dead letter: names of a function and of two segments. */
export const OBJECT_PATH_BYTES_MAX = 600;

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
