/**
 * Putting dead letters back, so that each still counts exactly once.
 *
 * A letter that is put back is an entry of the function's redrive split, which is read, checkpointed and replayed like
 * any other. Invariants:
 * - An entry is folded only while its record is a hole of the split it came from. After a restore to an earlier cut
 *   that record is tried afresh by its own split; where it succeeds, the entry is passed over.
 * - Of several entries of one letter the first that is met counts (`redrivenAs`); a later one takes over only when the
 *   earlier entry was itself given up.
 * - An entry waits until its record's split has come to the record, so that hole or not is decided for good.
 */
import type { ControlStore } from "../control/control-store.ts";
import { isInHole } from "../control/hole.ts";
import { allHoles } from "../control/hole-items.ts";
import { readSplit } from "../control/split-steps.ts";
import type { Clock } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { Position } from "../source/position.ts";
import type { SourceRecord } from "../source/source.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { claimRedrive, type DeadLetter, type LetterPlace } from "./dead-letter.ts";
import { appendRedrive, REDRIVE_SPLIT, type RedriveLetter } from "./redrive-letter.ts";
import { redrivenLetter } from "./with-redrive.ts";

/** Positions of those redriven records that must not be folded. */
export async function passedOver(
  stores: { readonly control: ControlStore; readonly storage: CheckpointStorage },
  functionName: string,
  records: readonly SourceRecord[],
): Promise<ReadonlySet<Position>> {
  const passed = new Set<Position>();
  for (const record of records) {
    const letter = redrivenLetter(record);
    if (letter !== undefined && !(await counts(stores, functionName, letter, record.position)))
      passed.add(record.position);
  }
  return passed;
}

async function counts(
  { control, storage }: { readonly control: ControlStore; readonly storage: CheckpointStorage },
  functionName: string,
  letter: RedriveLetter,
  entry: Position,
): Promise<boolean> {
  const origin: LetterPlace = { function: functionName, split: letter.split, position: letter.position };
  const split = await readSplit(control, origin);
  if (split === undefined || split === "unborn" || split.position < letter.position) {
    throw new TidemarkError(
      "retry",
      `The redriven record ${letter.position} of split ${letter.split} of ${functionName} waits until its split has come to it; it is delivered again.`,
    );
  }
  if (!(await allHoles(control, origin, split)).some((hole) => isInHole(hole, letter.position))) return false;
  return (
    (await claimRedrive(storage, origin, entry, (earlier) => wasGivenUp(control, functionName, earlier))) === entry
  );
}

/** Whether an earlier entry of the same letter became a dead letter itself. */
async function wasGivenUp(control: ControlStore, functionName: string, entry: Position): Promise<boolean> {
  const place = { function: functionName, split: REDRIVE_SPLIT };
  const split = await readSplit(control, place);
  if (split === undefined || split === "unborn") return false;
  return (await allHoles(control, place, split)).some((hole) => isInHole(hole, entry));
}

/**
 * Puts a dead letter back: its record is delivered again at the end of the function's redrive split.
 * Putting it back twice is harmless: one entry counts.
 * @param options.after an entry that is known to be there, so that the last one need not be looked for
 */
export function redrive(
  storage: CheckpointStorage,
  letter: DeadLetter,
  { source, ...options }: { readonly clock: Clock; readonly source: string; readonly after?: Position },
): Promise<Position> {
  const entry = { ...letter, source } as unknown as RedriveLetter & {
    readonly [more: string]: JsonValue;
  };
  return appendRedrive(storage, letter.function, entry, options);
}
