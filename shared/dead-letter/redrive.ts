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
import { type Hole, isInHole } from "../control/hole.ts";
import { allHoles } from "../control/hole-items.ts";
import type { Split } from "../control/split.ts";
import { readSplit, type SplitPlace } from "../control/split-steps.ts";
import type { Clock } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { Position } from "../source/position.ts";
import type { SourceRecord } from "../source/source.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { claimRedrive, type DeadLetter, type LetterPlace } from "./dead-letter.ts";
import { appendRedrive, REDRIVE_SPLIT, type RedriveLetter, readRedriven, redriveNumber } from "./redrive-letter.ts";
import { redrivenLetter } from "./with-redrive.ts";

/** What is to be known of redriven records before they are folded. */
export interface Redriven {
  /** Positions of those that must not be folded. */
  readonly passedOver: ReadonlySet<Position>;
  /** By position: numbers of a record's events that are in the state already, though the record was given up. */
  readonly foldedBefore: ReadonlyMap<Position, ReadonlySet<number>>;
}

interface Stores {
  readonly control: ControlStore;
  readonly storage: CheckpointStorage;
}

/** @param redriveSplit - as the batch found it */
export async function redrivenRecords(
  stores: Stores,
  place: SplitPlace,
  redriveSplit: Split,
  records: readonly SourceRecord[],
): Promise<Redriven> {
  const passedOver = new Set<Position>();
  const foldedBefore = new Map<Position, ReadonlySet<number>>();
  for (const record of records) {
    const letter = redrivenLetter(record);
    if (letter === undefined) continue;
    const hole = await holeThatCounts(stores, place.function, letter, record.position);
    if (hole === undefined) passedOver.add(record.position);
    else {
      const earlier = await foldedByEarlier(stores, place, redriveSplit, { letter, entry: record.position });
      const folded = [...(hole.folded ?? []), ...earlier];
      if (folded.length > 0) foldedBefore.set(record.position, new Set(folded));
    }
  }
  return { passedOver, foldedBefore };
}

/** The hole of an entry's own record; undefined: the entry does not count. */
async function holeThatCounts(
  { control, storage }: Stores,
  functionName: string,
  letter: RedriveLetter,
  entry: Position,
): Promise<Hole | undefined> {
  const origin: LetterPlace = { function: functionName, split: letter.split, position: letter.position };
  const split = await readSplit(control, origin);
  if (split === undefined || split === "unborn" || split.position < letter.position) {
    throw new TidemarkError(
      "retry",
      `The redriven record ${letter.position} of split ${letter.split} of ${functionName} waits until its split has come to it; it is delivered again.`,
    );
  }
  const hole = (await allHoles(control, origin, split)).find((one) => isInHole(one, letter.position));
  if (hole === undefined) return undefined;
  const counting = await claimRedrive(storage, origin, entry, (earlier) => wasGivenUp(control, functionName, earlier));
  return counting === entry ? hole : undefined;
}

/**
 * Numbers of the events that earlier entries of the same letter left in the state when they were given up in their turn. The
 * holes say it, not the letter: after a restore they are those of the cut. Costs a GET for each such hole, of which there is hardly
 * ever one.
 */
async function foldedByEarlier(
  { control, storage }: Stores,
  place: SplitPlace,
  redriveSplit: Split,
  { letter, entry }: { readonly letter: RedriveLetter; readonly entry: Position },
): Promise<readonly number[]> {
  const numbers: number[] = [];
  for (const { from, folded } of await allHoles(control, place, redriveSplit)) {
    if (folded === undefined || from === undefined || from >= entry) continue;
    const earlier = (await readRedriven(storage, place.function, redriveNumber(from)))?.letter;
    if (earlier?.split === letter.split && earlier.position === letter.position) numbers.push(...folded);
  }
  return numbers;
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
