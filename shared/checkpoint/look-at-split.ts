/**
 * The coordinator's look at what the source still holds: it keeps `freshAt` of quiet splits young, finds the end of
 * closed ones, and measures the lag. It saves a later alarm, never a checkpoint: a source out of reach is told to the
 * observer, and the checkpoint goes on without the look.
 *
 * Invariant: a look keeps a split fresh only while nothing that came since it was fresh can have expired by the time that it
 * was answered ◆.
 */
import type { AppResources } from "../app/app-resources.ts";
import { EXPIRY_MARGIN_MS } from "../control/begin.ts";
import { expiredHole } from "../control/hole.ts";
import { spillHoles } from "../control/hole-items.ts";
import { isClean, type Split } from "../control/split.ts";
import { noteLook, type SplitPlace } from "../control/split-steps.ts";
import { REDRIVE_SPLIT } from "../dead-letter/redrive-letter.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import { BEGINNING } from "../source/position.ts";
import type { Source } from "../source/source.ts";

/**
 * @param onRefused the source cannot be read, and will not be until somebody has repaired something: a file was replaced, a
 *   permission taken away
 * @returns the split as noted, or as it was.
 */
export async function lookAtSplit(
  resources: AppResources,
  place: SplitPlace,
  read: Split,
  onRefused: () => void = () => {},
): Promise<Split> {
  const { clock, control, observe } = resources;
  if (read.ended === true) return read;
  // Nothing that arrives while the source answers counts as seen, and whatever has expired by then may have been missed.
  const askedAtMs = clock.now();
  const look = await asked(resources, place, ({ reader }) => reader.look(place.split, read.position), onRefused);
  if (look === undefined) return read;
  if (!look.holdsRecords || look.firstArrivalTimeMs !== undefined) {
    const milliseconds = look.holdsRecords ? Math.max(0, askedAtMs - (look.firstArrivalTimeMs ?? askedAtMs)) : 0;
    observe({ type: "lag", ...place, milliseconds });
  }
  if (look.holdsRecords || !isClean(read)) return read;
  if (!(await mayHaveMissed(resources, place, read, clock.now()))) {
    return (await noteLook(control, place, { read, nowMs: askedAtMs, ended: look.ended })) ?? read;
  }
  // The next batch notes it. After the end there is none.
  if (!look.ended) return read;
  const hole = expiredHole({ after: read.position });
  const holes = await spillHoles(control, place, read, [...read.holes, hole]);
  const noted = await noteLook(control, place, { read, nowMs: askedAtMs, ended: true, holes });
  if (noted !== undefined) observe({ type: "hole", ...place, epoch: noted.epoch, generation: noted.gen, hole });
  return noted ?? read;
}

/** ◆ Whether records may have come and expired since the split was last known to be fresh. */
async function mayHaveMissed(
  { sourceOf }: AppResources,
  place: SplitPlace,
  { freshAt }: Split,
  nowMs: number,
): Promise<boolean> {
  if (place.split === REDRIVE_SPLIT) return false;
  const retentionMs = await sourceOf(place.function).retentionMs();
  return retentionMs !== undefined && freshAt < nowMs - retentionMs + EXPIRY_MARGIN_MS;
}

/** Whether the source has dropped all of `(position, attemptedTo]`: no batch will ever make this split clean. */
export async function tailHasExpired(resources: AppResources, place: SplitPlace, read: Split): Promise<boolean> {
  const range = { after: read.position, to: read.attemptedTo };
  return (await asked(resources, place, ({ reader }) => reader.holdsAny(place.split, range))) === false;
}

/**
 * ◆ Since when a split that stands at its beginning may have missed something: what the source holds of it was not read,
 * however long ago it was born. Where the source is out of reach, nothing is known.
 */
export async function freshAtBeginning(resources: AppResources, place: SplitPlace): Promise<number> {
  const nowMs = resources.clock.now();
  if (place.split === REDRIVE_SPLIT) return nowMs;
  const freshAtMs = await asked(resources, place, async (source) => {
    if ((await source.retentionMs()) === undefined) return nowMs;
    const { holdsRecords, firstArrivalTimeMs = 0 } = await source.reader.look(place.split, BEGINNING);
    return holdsRecords ? firstArrivalTimeMs : nowMs;
  });
  return freshAtMs ?? 0;
}

async function asked<Answer>(
  { sourceOf, observe }: AppResources,
  place: SplitPlace,
  question: (source: Source) => Promise<Answer>,
  onRefused: () => void = () => {},
): Promise<Answer | undefined> {
  try {
    return await question(sourceOf(place.function));
  } catch (thrown) {
    if (thrown instanceof TidemarkError && thrown.kind === "fix-configuration") onRefused();
    observe({ type: "look-failed", ...place, error: describeThrown(thrown) });
    return undefined;
  }
}
