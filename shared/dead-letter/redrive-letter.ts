/**
 * Dead letters that are put back: a split of their own, one object a record, numbered without gaps.
 *
 * Invariants:
 * - A number is taken by exclusive creation, and only after the one before it was seen: there is never a gap, so a
 *   reader that finds no next object has read all there are.
 * - Nothing removes them: a restore reads them again.
 */
import type { Clock } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import { jsonText } from "../json/json-text.ts";
import type { JsonValue } from "../json/json-value.ts";
import { parseJson } from "../json/parse-json.ts";
import { BEGINNING, type Position } from "../source/position.ts";
import { textOf } from "../source/record-text.ts";
import { type CheckpointStorage, readWhole } from "../storage/checkpoint-storage.ts";
import { redrivePath, redrivePrefix } from "../storage/object-paths.ts";

const NUMBER_DIGITS = 12;

/** The one split of redriven records that a function has. */
export const REDRIVE_SPLIT = "redrive";

/** What of a dead letter is put back; it may hold more (its error, its tries), which is kept. */
export interface RedriveLetter {
  readonly function: string;
  /** The split and position that the record was given up at. */
  readonly split: string;
  readonly position: Position;
  /** The record as `SourceEvents.dump` made it. */
  readonly record: JsonValue;
  /** The name of the source that the record came from. */
  readonly source: string;
  readonly [more: string]: JsonValue;
}

export interface RedrivenLetter {
  readonly letter: RedriveLetter;
  /** ISO 8601 */
  readonly redrivenAt: string;
}

export function redrivePosition(number: number): Position {
  return String(number).padStart(NUMBER_DIGITS, "0");
}

/** @throws TidemarkError `fix-configuration` when the position is none of redriven records */
export function redriveNumber(position: Position): number {
  if (position === BEGINNING) return 0;
  if (!/^\d{12}$/.test(position)) {
    throw new TidemarkError(
      "fix-configuration",
      `${JSON.stringify(position)} is no position of redriven records (${NUMBER_DIGITS} digits). The split belonged to another source.`,
    );
  }
  return Number(position);
}

/**
 * Puts a dead letter back at the end of its function's redriven records. A record that failed again after it was
 * redriven goes back as what it was at first.
 *
 * Crash: the letter is there whole or not at all; who calls again after a lost answer puts it back twice.
 * Cost: one conditional PUT, and one LIST for each thousand records unless `after` names one that is known to be there.
 * @returns the position it has now
 */
export async function appendRedrive(
  storage: CheckpointStorage,
  functionName: string,
  letter: RedriveLetter,
  options: { readonly clock: Clock; readonly after?: Position },
): Promise<Position> {
  const original = letter.split === REDRIVE_SPLIT ? (letter.record as unknown as RedriveLetter) : letter;
  const redriven: RedrivenLetter = {
    letter: original,
    redrivenAt: new Date(options.clock.now()).toISOString(),
  };
  const body = Buffer.from(jsonText(redriven));
  let number = options.after === undefined ? await lastNumber(storage, functionName) : redriveNumber(options.after);
  for (;;) {
    const position = redrivePosition(++number);
    if ((await storage.createExclusively(redrivePath(functionName, position), body)) === "created") return position;
  }
}

/** @returns undefined when there is no such record */
export async function readRedriven(
  storage: CheckpointStorage,
  functionName: string,
  number: number,
): Promise<RedrivenLetter | undefined> {
  const path = redrivePath(functionName, redrivePosition(number));
  const object = await readWhole(storage, path);
  if (object === undefined) return undefined;
  try {
    const redriven = parseJson(textOf(object.bytes)) as Partial<RedrivenLetter> | null;
    if (typeof redriven?.letter?.split === "string" && typeof redriven.redrivenAt === "string") {
      return redriven as RedrivenLetter;
    }
  } catch {
    // Said below: it is no letter, however it is broken.
  }
  throw new TidemarkError(
    "fix-configuration",
    `The object ${path} in ${storage.url} is no redriven dead letter. It was changed by hand: put back the object as it was written.`,
  );
}

async function lastNumber(storage: CheckpointStorage, functionName: string): Promise<number> {
  const prefix = redrivePrefix(functionName);
  let last = 0;
  for await (const { path } of storage.list(prefix)) {
    const name = /^(\d{12})\.json$/.exec(path.slice(prefix.length));
    if (name !== null) last = Number(name[1]);
  }
  return last;
}
