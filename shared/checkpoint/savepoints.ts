/**
 * Savepoints are found by their names, and each name leads to one of them.
 *
 * Invariants:
 * - A savepoint begins only when storage holds no other of its name, or when it is said to replace that one. Storage is looked
 *   at after the checkpoint before it was settled, and it begins on condition that none has begun since: of two that are asked
 *   for at once, one gets the name.
 * - One that was replaced stays what it was, a checkpoint, and goes by retention from then on; if its successor comes to nothing,
 *   it keeps the name.
 */
import type { CheckpointRecord } from "../control/control.ts";
import { TidemarkError } from "../errors.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { listCheckpoints } from "./lineage.ts";
import { type Manifest, totalsOf } from "./manifest.ts";
import { readManifest } from "./parse-manifest.ts";

/** Asks for a checkpoint now, due or not. */
export interface CheckpointRequest {
  /** Its name: a savepoint, which is kept until somebody removes or replaces it. */
  readonly savepoint?: string;
  /** Another savepoint of that name gives it up, once this one has completed, and goes by retention like any checkpoint. @default false - it is refused */
  readonly replace?: boolean;
  /** Tells one request from another: asked again with the same, it is the same savepoint. Unique, as `Randomness.token` makes it. */
  readonly token?: string;
}

const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** @throws TidemarkError `fix-configuration` for a name that cannot be a savepoint's */
export function checkSavepointName(given: unknown): asserts given is string {
  if (typeof given === "string" && NAME_PATTERN.test(given)) return;
  const shown = typeof given === "string" ? JSON.stringify(given.slice(0, 100)) : String(given);
  throw new TidemarkError(
    "fix-configuration",
    `The savepoint's name is ${shown}; it must be 1 to 64 of the characters A-Z, a-z, 0-9, ".", "_" and "-", and begin with a letter or a digit. Give it such a name.`,
  );
}

/** Every completed savepoint of a name, the newest last. A LIST, and a GET for each checkpoint and each of these. */
async function namesakesOf(storage: CheckpointStorage, app: string, name: string): Promise<Manifest[]> {
  const found: Manifest[] = [];
  for await (const summary of listCheckpoints(storage, app)) {
    if (summary.status !== "completed" || summary.savepoint !== name) continue;
    found.push(await readManifest(storage, { app, n: summary.checkpoint }));
  }
  return found;
}

/**
 * The checkpoints that a savepoint takes its name from.
 * @returns "taken": it is there already, asked for by this very request
 * @throws TidemarkError `fix-configuration` when the name is another's and was not to be replaced
 */
export async function claimName(
  storage: CheckpointStorage,
  app: string,
  { savepoint, replace = false, token }: CheckpointRequest & { readonly savepoint: string },
): Promise<readonly number[] | "taken"> {
  const namesakes = await namesakesOf(storage, app, savepoint);
  if (token !== undefined && namesakes.some((one) => one.token === token)) return "taken";
  const newest = namesakes.at(-1);
  if (newest === undefined || replace) return namesakes.map(({ checkpoint }) => checkpoint);
  throw new TidemarkError(
    "fix-configuration",
    `There is a savepoint ${savepoint} already: checkpoint ${newest.checkpoint}, of ${newest.completedAt}. No checkpoint was taken. Give another name; or have the new one replace it (--replace, or "replace":true): checkpoint ${newest.checkpoint} then goes by retention, like any other.`,
  );
}

/** The savepoint that a request has led to, though others have begun since; undefined: there is none. */
export async function savepointOf(
  storage: CheckpointStorage,
  app: string,
  { savepoint, token }: CheckpointRequest,
): Promise<CheckpointRecord | undefined> {
  if (savepoint === undefined || token === undefined) return undefined;
  const mine = (await namesakesOf(storage, app, savepoint)).find((one) => one.token === token);
  if (mine === undefined) return undefined;
  return {
    ...{ n: mine.checkpoint, open: false, status: "COMPLETED", settled: true, token, savepoint },
    triggeredAtMs: Date.parse(mine.triggeredAt),
    finishedAtMs: Date.parse(mine.completedAt),
    keys: totalsOf(mine).keys,
  };
}
