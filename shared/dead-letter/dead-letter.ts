/**
 * Dead letters: records that were given up, kept beside the checkpoints with what is needed to see why and to put
 * them back.
 *
 * Invariants:
 * - The letter is durable before the End that makes its record a hole.
 * - A letter put back is folded at most once: the number that stands in `redrivenAs` decides which entry counts.
 */
import { TidemarkError } from "../errors.ts";
import { jsonText } from "../json/json-text.ts";
import type { JsonValue } from "../json/json-value.ts";
import { parseJson } from "../json/parse-json.ts";
import type { Position } from "../source/position.ts";
import { textOf } from "../source/record-text.ts";
import { type CheckpointStorage, readWhole } from "../storage/checkpoint-storage.ts";
import { deadLetterPath, deadLettersPrefix, olderDeadLetterPath } from "../storage/object-paths.ts";

export const DEAD_LETTER_FORMAT_VERSION = 1;

export type DeadLetterCause = "refused" | "failed" | "skipped";

export interface DeadLetter {
  readonly format: "tidemark-dead-letter";
  readonly formatVersion: number;
  readonly app: string;
  readonly function: string;
  readonly split: string;
  readonly position: Position;
  readonly generation: number;
  /**
   * - `refused`: by the schema, or unreadable.
   * - `failed`: the user's code threw or died at it `tries` times, or made a key or a state of it that cannot be kept.
   * - `skipped`: somebody had a split that stood at it pass over it.
   */
  readonly cause: DeadLetterCause;
  readonly tries: number;
  readonly error: string;
  /** ISO time. */
  readonly at: string;
  readonly arrivedAt?: string;
  /** The record as its source dumps it: text, or a marked base64 of what is no UTF-8; either gives back the same bytes. */
  readonly record: JsonValue;
  /**
   * Numbers, from 0, of the record's events that are in the state all the same: their keys were written before another key's
   * event failed over what another split had written meanwhile. All others are missing. Absent: all are missing.
   */
  readonly folded?: readonly number[];
  /** The place in the function's redrive split that this letter was put back at. */
  readonly redrivenAs?: Position;
}

/** Names a letter. */
export interface LetterPlace {
  readonly function: string;
  readonly split: string;
  readonly position: Position;
}

/**
 * Writes a letter, over an earlier one of the same record if there is one. Never blindly: a write that arrives long after
 * its caller died must not undo `redrivenAs`, or the record could be folded a second time. One PUT, as a rule.
 * @returns whether there was none before: of all who give a record up, again and again, one is to say so.
 */
export async function writeDeadLetter(storage: CheckpointStorage, letter: DeadLetter): Promise<boolean> {
  for (;;) {
    const path = await pathOf(storage, letter);
    if ((await storage.createExclusively(path, encode(letter))) === "created") return true;
    const found = await readDeadLetter(storage, letter);
    // Removed by hand meanwhile: the next turn creates it.
    if (found === undefined) continue;
    const { redrivenAs } = found.letter;
    const next: DeadLetter = redrivenAs === undefined ? letter : { ...letter, redrivenAs };
    if ((await storage.replace(path, encode(next), found.version)) === "replaced") return false;
  }
}

export async function readDeadLetter(
  storage: CheckpointStorage,
  place: LetterPlace,
): Promise<{ readonly letter: DeadLetter; readonly version: string } | undefined> {
  const path = await pathOf(storage, place);
  const found = await readWhole(storage, path);
  return found === undefined ? undefined : { letter: parse(found.bytes, path), version: found.version };
}

/** A letter stays where an earlier version wrote it, or two would be put back for one record. One more GET for a long name. */
async function pathOf(storage: CheckpointStorage, place: LetterPlace): Promise<string> {
  const older = olderDeadLetterPath(place);
  return older !== undefined && (await readWhole(storage, older)) !== undefined ? older : deadLetterPath(place);
}

/** Every letter, or every letter of one function, in the order of their places. */
export async function* listDeadLetters(storage: CheckpointStorage, functionName?: string): AsyncGenerator<DeadLetter> {
  for await (const { path } of storage.list(deadLettersPrefix(functionName))) {
    const found = await readWhole(storage, path);
    if (found !== undefined) yield parse(found.bytes, path);
  }
}

/**
 * Says which entry of the redrive split this letter was put back as; the first to say so decides, until that entry
 * is given up in its turn.
 * @returns the entry that counts, or undefined when there is no such letter.
 */
export async function claimRedrive(
  storage: CheckpointStorage,
  place: LetterPlace,
  entry: Position,
  wasGivenUp: (earlier: Position) => Promise<boolean>,
): Promise<Position | undefined> {
  for (;;) {
    const found = await readDeadLetter(storage, place);
    if (found === undefined) return undefined;
    const earlier = found.letter.redrivenAs;
    if (earlier === entry) return entry;
    if (earlier !== undefined && !(earlier < entry && (await wasGivenUp(earlier)))) return earlier;
    const claimed: DeadLetter = { ...found.letter, redrivenAs: entry };
    const path = await pathOf(storage, place);
    if ((await storage.replace(path, encode(claimed), found.version)) === "replaced") return entry;
  }
}

const encode = (letter: DeadLetter): Uint8Array => new TextEncoder().encode(`${jsonText(letter, 2)}\n`);

function parse(bytes: Uint8Array, path: string): DeadLetter {
  let letter: DeadLetter;
  try {
    letter = parseJson(textOf(bytes)) as DeadLetter;
  } catch (cause) {
    throw new TidemarkError(
      "fix-configuration",
      `The dead letter ${path} is not JSON in UTF-8. It was altered or cut short: remove it.`,
      { cause },
    );
  }
  if (letter.format === "tidemark-dead-letter" && letter.formatVersion <= DEAD_LETTER_FORMAT_VERSION) return letter;
  throw new TidemarkError(
    "fix-configuration",
    `${path} is of format ${JSON.stringify(letter.format)} version ${JSON.stringify(letter.formatVersion)}; this Tidemark reads dead letters of versions up to ${DEAD_LETTER_FORMAT_VERSION}. Update tidemark.`,
  );
}
