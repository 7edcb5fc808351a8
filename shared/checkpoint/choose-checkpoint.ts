/** Finds the checkpoint that a restore asks for, or says why there is none and which one would do. */
import { TidemarkError } from "../errors.ts";
import { type CheckpointStorage, readWhole } from "../storage/checkpoint-storage.ts";
import { manifestPath } from "../storage/object-paths.ts";
import { type LiveLineage, latestCheckpoint, listCheckpoints } from "./lineage.ts";
import type { Manifest } from "./manifest.ts";
import { parseCheckpointObject, readManifest } from "./parse-manifest.ts";

/** At most one of these; none: the latest of the live lineage. */
export interface CheckpointWish {
  /** By number, whichever lineage it is of. */
  readonly checkpoint?: number;
  /** The latest of the live lineage that was complete by then: its state holds nothing that arrived later. */
  readonly before?: Date;
  /** The newest savepoint of that name, whichever lineage it is of. */
  readonly savepoint?: string;
}

/**
 * The manifest that is asked for. `live` as control has it; undefined: storage alone decides (an empty account).
 * @throws TidemarkError `choose-another-checkpoint` when there is none: aborted, deleted, unreadable, or never there.
 */
export async function chooseCheckpoint(
  storage: CheckpointStorage,
  app: string,
  live: LiveLineage | undefined,
  wish: CheckpointWish,
): Promise<Manifest> {
  if (wish.checkpoint !== undefined) return byNumber(storage, app, live, wish.checkpoint);
  if (wish.savepoint !== undefined) return bySavepoint(storage, app, wish.savepoint);
  const before = wish.before?.getTime();
  const found = await latestCheckpoint(
    storage,
    app,
    live,
    (summary) => before === undefined || Date.parse(summary.completedAt) <= before,
  );
  if (found !== undefined) {
    await refusePassingOver(storage, app, found);
    return readManifest(storage, { app, n: found.checkpoint });
  }
  const earlier = wish.before === undefined ? "" : ` that was complete by ${wish.before.toISOString()}`;
  const instead = await wouldDo(storage, app, live, Number.POSITIVE_INFINITY);
  throw refusal(`${storage.url} holds no checkpoint of ${app}${earlier}`, instead);
}

/** A later checkpoint that cannot be read may be the one that is meant: nobody goes back further without being told. */
async function refusePassingOver(
  storage: CheckpointStorage,
  app: string,
  found: { readonly checkpoint: number; readonly completedAt: string },
): Promise<void> {
  for await (const later of listCheckpoints(storage, app)) {
    if (later.status !== "unreadable" || later.checkpoint < found.checkpoint) continue;
    throw refusal(
      `Checkpoint ${later.checkpoint}, later than the latest that can be read, cannot be read: ${later.reason}`,
      `Put its manifest back as it was, or ask for checkpoint ${found.checkpoint} of ${found.completedAt} by its number.`,
    );
  }
}

async function byNumber(
  storage: CheckpointStorage,
  app: string,
  live: LiveLineage | undefined,
  n: number,
): Promise<Manifest> {
  const found = Number.isSafeInteger(n) && n >= 1 ? await readWhole(storage, manifestPath(n)) : undefined;
  const instead = (): Promise<string> => wouldDo(storage, app, live, n);
  if (found === undefined) {
    throw refusal(
      `${storage.url} holds no checkpoint ${n} of ${app}: it never completed, or never was`,
      await instead(),
    );
  }
  const object = parseCheckpointObject(found.text, { app, n });
  if (object.kind === "manifest") return object;
  const why =
    object.kind === "aborted"
      ? `Checkpoint ${n} was aborted at ${object.at} (${object.reason}) and holds nothing`
      : `Checkpoint ${n} was deleted at ${object.at}: it was past what \`checkpointing.retained\` keeps`;
  throw refusal(why, await instead());
}

async function bySavepoint(storage: CheckpointStorage, app: string, name: string): Promise<Manifest> {
  let newest: number | undefined;
  const names = new Set<string>();
  for await (const summary of listCheckpoints(storage, app)) {
    if (summary.status !== "completed" || summary.savepoint === undefined) continue;
    names.add(summary.savepoint);
    if (summary.savepoint === name) newest = summary.checkpoint;
  }
  if (newest !== undefined) return readManifest(storage, { app, n: newest });
  const known = names.size === 0 ? "there is no savepoint" : `there are ${[...names].join(", ")}`;
  throw refusal(`${storage.url} holds no savepoint ${JSON.stringify(name)} of ${app}`, `Choose another: ${known}.`);
}

/** The newest checkpoint of the lineage before `n`, or any that there is, as a clause. */
async function wouldDo(
  storage: CheckpointStorage,
  app: string,
  live: LiveLineage | undefined,
  n: number,
): Promise<string> {
  const found =
    (await latestCheckpoint(storage, app, live, ({ checkpoint }) => checkpoint < n)) ??
    (await latestCheckpoint(storage, app, live));
  if (found === undefined) return "There is no completed checkpoint to restore; take one first.";
  return `Checkpoint ${found.checkpoint} of ${found.completedAt} would do; \`tidemark checkpoints\` lists all.`;
}

function refusal(why: string, wayOut: string): TidemarkError {
  return new TidemarkError("choose-another-checkpoint", `${why}. ${wayOut}`);
}
