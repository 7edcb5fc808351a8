/**
 * Retention: which completed checkpoints go, and how (protocol §5, step 5).
 *
 * Invariants:
 * - The address is never freed ◆: a manifest is replaced by a marker, under the version that was read (`If-Match`), and
 *   only then its parts go. A crash in between leaves a marker and parts; the next run, which still has the number on
 *   its list, removes them.
 * - The order: manifests are read first, then control with its pins, then the deletion is announced on control under
 *   exactly those pins, and only then storage is touched. A pin that comes before the announcement makes it fail, and
 *   retention decides again; a pin that comes after it is refused. So no restore ever reads a checkpoint that is going.
 * - The newest checkpoint in which no split was stuck stays ◆: those that come after it go on holding the state at which
 *   something stands, and would push out the last one from which it can be undone.
 * - Only checkpoints that this life of the app has taken are deleted: storage that an earlier life left behind may be
 *   all that is left of it.
 */
import pMap from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { Control } from "../control/control.ts";
import { announceDeletions, readControl } from "../control/control-steps.ts";
import { TidemarkError } from "../errors.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { checkpointFolder, manifestPath } from "../storage/object-paths.ts";
import { stretchesOf } from "./lineage.ts";
import { deletedMarkerOf, encodeManifest, type Manifest } from "./manifest.ts";
import { readUsableObject } from "./parse-manifest.ts";

/** Two coordinators and a restore at once make the second try the rule and the third the exception. */
const DECISIONS_MAX = 10;

/** What retention decides by. */
export interface RetentionView {
  readonly kept: readonly { readonly checkpoint: number; readonly generation: number; readonly stuck?: boolean }[];
  readonly isLive: (checkpoint: { readonly checkpoint: number; readonly generation: number }) => boolean;
  readonly retained: number;
  /** Pinned by a restore, or the ground that the live generation stands on. */
  readonly needed: ReadonlySet<number>;
}

/**
 * The checkpoints to delete: all of the live lineage but the last `retained` and the newest one in which no split was stuck,
 * and abandoned ones older than the last `retained`; never one that is needed.
 */
export function checkpointsToDelete({ kept, isLive, retained, needed }: RetentionView): number[] {
  const newestFirst = kept.toSorted((a, b) => b.checkpoint - a.checkpoint);
  const live = newestFirst.filter(isLive);
  const oldestKept = live.slice(0, retained).at(-1)?.checkpoint ?? 0;
  const healthy = live.find(({ stuck }) => stuck !== true)?.checkpoint;
  return newestFirst
    .map(({ checkpoint }) => checkpoint)
    .filter((n) => n < oldestKept && n !== healthy && !needed.has(n));
}

/**
 * Whether a split of the checkpoint had stopped, or had tried one record for longer than the interval. Without an interval,
 * since before the checkpoint was triggered.
 */
export function isStuck({ functions, triggeredAt }: Manifest, intervalMs = 0): boolean {
  const longAgoMs = Date.parse(triggeredAt) - intervalMs;
  return functions.some(({ splits }) =>
    splits.some(({ failing }) => failing?.stopped === true || (failing && Date.parse(failing.since) < longAgoMs)),
  );
}

/** Checkpoints that no retention may touch, whatever their age. */
export function neededCheckpoints(control: Control, kept: RetentionView["kept"]): Set<number> {
  const needed = new Set(Object.values(control.pins));
  const { restore, restoredFrom, requested } = control;
  // A restore that finishes takes every pin with it, also that of one that is asked for and not begun.
  if (requested !== undefined && requested.refused === undefined) needed.add(requested.checkpoint);
  if (restore !== undefined && restore.finishedAtMs === undefined) needed.add(restore.checkpoint);
  const hasOwn = kept.some(({ generation }) => generation === control.gen);
  if (restoredFrom !== undefined && !hasOwn) needed.add(restoredFrom.checkpoint);
  return needed;
}

/**
 * The newest checkpoint of the live lineage for each former name of a function. Those taken since the function was renamed
 * hold nothing of it until a restore has taken its state over, and would push out all that a restore could take over.
 */
export function formerlyNamed(
  { functions }: Pick<AppResources["app"], "functions">,
  kept: readonly Manifest[],
  isLive: RetentionView["isLive"],
): number[] {
  const newestFirst = kept.filter(isLive).toSorted((a, b) => b.checkpoint - a.checkpoint);
  return functions.flatMap(({ previousName }) => {
    if (previousName === undefined) return [];
    const found = newestFirst.find((manifest) => manifest.functions.some(({ name }) => name === previousName));
    return found === undefined ? [] : [found.checkpoint];
  });
}

/**
 * Deletes what is past retention, given that `completed` (a checkpoint that may be deleted one day) is new.
 * @param retired savepoints that lost their name to a newer one, and may be deleted one day as well
 * Costs a GET for each kept checkpoint, and for each deleted one a PUT, a LIST and a DELETE a part.
 * @returns the numbers that are still kept.
 */
export async function applyRetention(
  resources: AppResources,
  completed: number | undefined,
  retired: readonly number[] = [],
): Promise<number[]> {
  for (let decision = 1; decision <= DECISIONS_MAX; decision += 1) {
    const known = await readControl(resources.control);
    if (known === undefined) return [];
    const numbers = [...new Set([...(known.kept ?? []), ...retired, ...(completed === undefined ? [] : [completed])])];
    const kept = await readKept(resources, numbers);
    const control = await readControl(resources.control);
    if (control === undefined) return [];
    const isLive = await livenessIn(resources.storage, control, kept);
    const needed = neededCheckpoints(control, kept);
    for (const n of formerlyNamed(resources.app, kept, isLive)) needed.add(n);
    const { retained, intervalMs } = resources.app.checkpointing;
    const judged = kept.map((manifest) => ({ ...manifest, stuck: isStuck(manifest, intervalMs) }));
    const chosen = checkpointsToDelete({ kept: judged, isLive, retained, needed });
    const goingAlready = Object.keys(control.deleting ?? {}).map(Number);
    if (
      chosen.length > 0 &&
      (await announceDeletions(resources.control, { read: control, checkpoints: chosen })) === undefined
    ) {
      continue;
    }
    const going = new Set([...goingAlready, ...chosen]);
    for (const n of going) await deleteCheckpoint(resources, control, n);
    return numbers.filter((n) => !going.has(n)).sort((a, b) => a - b);
  }
  throw new TidemarkError(
    "retry",
    `Restores changed what retention may delete ${DECISIONS_MAX} times in a row. Nothing was lost: the next run of the coordinator decides again.`,
  );
}

/** The kept checkpoints whose manifest stands; one that cannot be read is left alone. */
async function readKept({ app, storage }: AppResources, numbers: readonly number[]): Promise<Manifest[]> {
  const kept = await pMap(numbers, async (n) => (await readUsableObject(storage, { app: app.name, n }))?.object, {
    concurrency: 4,
  });
  return kept.filter((object) => object?.kind === "manifest");
}

async function livenessIn(
  storage: CheckpointStorage,
  control: Control,
  kept: RetentionView["kept"],
): Promise<RetentionView["isLive"]> {
  const oldest = Math.min(...kept.map(({ generation }) => generation));
  const upTo = new Map<number, number>();
  const live = { generation: control.gen, ...(control.restoredFrom && { restoredFrom: control.restoredFrom }) };
  for await (const stretch of stretchesOf(storage, live)) {
    upTo.set(stretch.generation, stretch.upTo);
    if (stretch.generation <= oldest) break;
  }
  return ({ checkpoint, generation }) => checkpoint <= (upTo.get(generation) ?? 0);
}

/** Replaces the manifest by a marker, then removes the parts. Repeatable. What cannot be read is left alone. */
async function deleteCheckpoint(resources: AppResources, control: Control, n: number): Promise<void> {
  const { app, clock, observe, storage } = resources;
  for (;;) {
    const found = await readUsableObject(storage, { app: app.name, n });
    if (found?.object.kind !== "manifest") break;
    const { coverage } = control;
    const keepPositions = coverage?.maturing.n === n || coverage?.ready?.n === n;
    const marker = deletedMarkerOf(found.object, { at: new Date(clock.now()).toISOString(), keepPositions });
    if ((await storage.replace(manifestPath(n), encodeManifest(marker), found.version)) === "replaced") {
      observe({ type: "checkpoint-deleted", checkpoint: n });
      break;
    }
  }
  await removeOrphans(resources, n);
}

/**
 * Removes the files of a checkpoint with an outcome that its manifest does not name: those of coordinators that lost a
 * slice, and all files of one that was aborted or deleted. Where no outcome can be read nothing is touched.
 * One GET, a LIST, and a DELETE a file.
 */
export async function removeOrphans({ app, storage }: AppResources, n: number): Promise<void> {
  const found = await readUsableObject(storage, { app: app.name, n });
  if (found === undefined) return;
  const { object } = found;
  const named = new Set(object.kind === "manifest" ? object.files.map(({ name }) => name) : []);
  const folder = checkpointFolder(n);
  for await (const { path } of storage.list(folder)) {
    if (path !== manifestPath(n) && !named.has(path.slice(folder.length))) await storage.remove(path);
  }
}
