/**
 * Asking for a split to pass over what it stands at.
 *
 * A wish on the split's item, which its next batch carries out under its own Begin and End, so that fencing, epochs, holes
 * and cuts are those of any batch: the records become dead letters of the cause `skipped`, and holes. Invariants:
 * - A wish is for the record that the split stood at when it was asked for; it is dropped once the split stands elsewhere,
 *   and by a restore.
 * - A wish that is not carried out yet is never changed: the batch that began to may have died.
 */
import type { ControlStore } from "../control/control-store.ts";
import { type Split, standsAt } from "../control/split.ts";
import { askToSkip, listSplits, readSplit, type SplitPlace } from "../control/split-steps.ts";
import { TidemarkError } from "../errors.ts";
import type { Position } from "../source/position.ts";

export interface SkipChoice {
  /** One of the app's. */
  readonly function: string;
  /** @default every split of the function that has stopped */
  readonly split?: string;
  /** How many records from the one on that the split stands at. @default 1 */
  readonly records?: number;
}

export interface Skipping {
  readonly skipping: readonly { readonly split: string; readonly at: Position; readonly records: number }[];
}

/** More at a time is no repair: a schema or `handle` that takes them is, or a restore. */
export const SKIPPED_RECORDS_MAX = 10_000;

/** A batch may end between the read and the write. */
const ROUNDS_MAX = 10;

/**
 * Asks; the next batch of each split does it. Asked again before that, nothing changes. Costs a read and a write a split.
 * @throws TidemarkError `fix-configuration` when the split is none, the split stands at no record, or another
 *   wish waits there; then nothing was asked for at that split
 */
export async function skipRecords(control: ControlStore, choice: SkipChoice): Promise<Skipping> {
  const { function: name, split: only, records = 1 } = choice;
  if (!(Number.isSafeInteger(records) && records >= 1 && records <= SKIPPED_RECORDS_MAX)) {
    throw new TidemarkError(
      "fix-configuration",
      `${records} records cannot be passed over at once; it is a whole number from 1 to ${SKIPPED_RECORDS_MAX}.`,
    );
  }
  if (only !== undefined) return { skipping: [await skipAt(control, { function: name, split: only }, records)] };
  const stopped: string[] = [];
  const failing: string[] = [];
  for await (const { split, item } of listSplits(control, name)) {
    if (item === "unborn" || !standsAt(item)) continue;
    (item.failing?.stopped === true ? stopped : failing).push(split);
  }
  if (stopped.length === 0) {
    const way =
      failing.length === 0
        ? "Nothing was changed."
        : `Nothing was changed. Of these splits a record is being tried: ${failing.join(", ")}; name one to pass over it at once.`;
    throw new TidemarkError(
      "fix-configuration",
      `No split of ${name} has stopped, so there is nothing to skip. ${way}`,
    );
  }
  const skipping: Skipping["skipping"][number][] = [];
  for (const split of stopped) skipping.push(await skipAt(control, { function: name, split }, records));
  return { skipping };
}

async function skipAt(
  control: ControlStore,
  place: SplitPlace,
  records: number,
): Promise<Skipping["skipping"][number]> {
  for (let round = 1; round <= ROUNDS_MAX; round += 1) {
    const read = await readSplit(control, place);
    const at = read === undefined || read === "unborn" ? undefined : standsAt(read);
    if (read === undefined || read === "unborn" || at === undefined) throw standsNowhere(place, read);
    const waiting = read.skip?.after === read.position ? read.skip : undefined;
    if (waiting !== undefined && waiting.records !== records) throw otherWish(place, waiting.records);
    const asked = { split: place.split, at, records };
    if (waiting !== undefined || (await askToSkip(control, place, { read, at, records })) !== undefined) return asked;
  }
  throw new TidemarkError(
    "retry",
    `Split ${place.split} of ${place.function} goes on while it is asked to skip a record, so it may not need to. Nothing was changed.`,
  );
}

function standsNowhere({ function: name, split }: SplitPlace, read: Split | "unborn" | undefined): TidemarkError {
  const why =
    read === undefined
      ? `The function ${name} has read no split ${JSON.stringify(split)}.`
      : `Split ${split} of ${name} stands at no record: ${read === "unborn" ? "nothing of it was read yet" : `it is at ${read.position || "its beginning"}, and nothing after that has failed`}.`;
  return new TidemarkError("fix-configuration", `${why} There is nothing to skip, and nothing was changed.`);
}

function otherWish({ function: name, split }: SplitPlace, records: number): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `Split ${split} of ${name} was asked to pass over ${records} records and has not come to it; a batch that began to may have died, so that stays. Its next batch does it: start a run if none is alive, and ask again after that.`,
  );
}
