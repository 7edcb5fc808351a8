/**
 * A checkpoint's outcome: the object at the manifest's address decides ◆ (protocol §5, step 4).
 *
 * Invariants:
 * - Commit and abort are one exclusive creation at one address: whose creation wins is the outcome, for ever.
 * - Control's status is written after it, and only says what stands there.
 * - An object with another token is of another life of the app: this checkpoint never existed there, and is recorded
 *   as aborted.
 */
import type { AppResources } from "../app/app-resources.ts";
import type { CheckpointRecord, Control } from "../control/control.ts";
import { recordCheckpoint } from "../control/control-steps.ts";
import { describeThrown, invariant, TidemarkError } from "../errors.ts";
import { manifestPath } from "../storage/object-paths.ts";
import {
  type AbortedMarker,
  encodeManifest,
  MANIFEST_FORMAT,
  MANIFEST_FORMAT_VERSION,
  type Manifest,
  totalsOf,
} from "./manifest.ts";
import { readCheckpointObject } from "./parse-manifest.ts";

export type Outcome =
  | { readonly status: "COMPLETED"; readonly manifest: Manifest }
  | { readonly status: "ABORTED"; readonly reason: string; readonly foreign?: true }
  /** It had its outcome long ago, and retention deleted it since. */
  | { readonly status: "DELETED" };

/** Commits or aborts checkpoint `checkpoint`: one PUT, and a GET when somebody else was first. Repeatable. */
export async function decideOutcome(
  { app, storage }: Pick<AppResources, "app" | "storage">,
  checkpoint: Pick<CheckpointRecord, "n" | "token">,
  proposed: Manifest | AbortedMarker,
): Promise<Outcome> {
  const created = await storage.createExclusively(manifestPath(checkpoint.n), encodeManifest(proposed));
  if (created === "created") {
    return proposed.kind === "manifest"
      ? { status: "COMPLETED", manifest: proposed }
      : { status: "ABORTED", reason: proposed.reason };
  }
  let found: Awaited<ReturnType<typeof readCheckpointObject>>;
  try {
    found = await readCheckpointObject(storage, { app: app.name, n: checkpoint.n });
  } catch (thrown) {
    // What stands there cannot be this checkpoint's: a write leaves an object whole, or none.
    if (!(thrown instanceof TidemarkError) || thrown.kind !== "choose-another-checkpoint") throw thrown;
    return { status: "ABORTED", reason: `its address is taken: ${describeThrown(thrown)}`, foreign: true };
  }
  invariant(found !== undefined, "an object at a checkpoint's address stays");
  const { object } = found;
  if (object.token !== checkpoint.token) {
    const reason = `${storage.url} already holds a checkpoint ${checkpoint.n} of an earlier life of this app; the next checkpoint takes a number past all of those`;
    return { status: "ABORTED", reason, foreign: true };
  }
  if (object.kind === "manifest") return { status: "COMPLETED", manifest: object };
  return object.kind === "aborted" ? { status: "ABORTED", reason: object.reason } : { status: "DELETED" };
}

/** The reason of a checkpoint that was aborted for no failure of its own. */
export const INTERRUPTED_BY_RESTORE = "a restore began";

/** Writes the outcome on control, and tells the observer when this call did. */
export async function recordOutcome(
  { clock, control, observe }: Pick<AppResources, "clock" | "control" | "observe">,
  checkpoint: CheckpointRecord,
  outcome: Outcome,
): Promise<void> {
  const { n } = checkpoint;
  if (outcome.status === "DELETED") return;
  const finishedAtMs = clock.now();
  const finished = { ...checkpoint, open: false, finishedAtMs };
  if (outcome.status === "COMPLETED") {
    const { keys, bytes } = totalsOf(outcome.manifest);
    if ((await recordCheckpoint(control, { ...finished, status: "COMPLETED", keys })) === undefined) return;
    const milliseconds = finishedAtMs - checkpoint.triggeredAtMs;
    observe({ type: "checkpoint-completed", checkpoint: n, keys, bytes, milliseconds });
    return;
  }
  const { reason, foreign } = outcome;
  const aborted = { ...finished, status: "ABORTED" as const, reason, ...(foreign === undefined ? {} : { foreign }) };
  if ((await recordCheckpoint(control, aborted)) === undefined) return;
  observe({ type: "checkpoint-aborted", checkpoint: n, reason });
}

/**
 * Gives up the checkpoint that `control` has open, unless it turns out to be committed: the marker first, then the
 * status that the marker, or whatever stood there, says. Nothing is open when it returns. Repeatable; a crash between
 * the two leaves the outcome decided, and the next coordinator or restore records it. Two requests.
 *
 * @returns the outcome; undefined when no checkpoint is open.
 */
export async function abortOpenCheckpoint(
  resources: Pick<AppResources, "app" | "storage" | "clock" | "control" | "observe">,
  control: Control,
  reason = INTERRUPTED_BY_RESTORE,
): Promise<Outcome | undefined> {
  const { checkpoint } = control;
  if (checkpoint?.open !== true) return undefined;
  const outcome = await decideOutcome(resources, checkpoint, {
    format: MANIFEST_FORMAT,
    formatVersion: MANIFEST_FORMAT_VERSION,
    kind: "aborted",
    app: resources.app.name,
    checkpoint: checkpoint.n,
    token: checkpoint.token,
    generation: control.gen,
    reason,
    at: new Date(resources.clock.now()).toISOString(),
  });
  await recordOutcome(resources, checkpoint, outcome);
  return outcome;
}
