/**
 * Every write of the control item, each one conditional update (protocol §5, §6, §7).
 *
 * Invariants:
 * - Each step may be repeated: a repeat after a lost answer changes nothing or is told apart by its condition.
 * - A step that was not applied changed nothing; the caller reads control and follows what it finds.
 */

import { invariant, TidemarkError } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import {
  anyOf,
  attribute,
  type Condition,
  type ConditionalWrite,
  compare,
  missing,
  path,
  value,
} from "./conditional-write.ts";
import type { CheckpointingMode } from "./control.ts";
import {
  asControl,
  type CheckpointRecord,
  type Control,
  type Coverage,
  type Lineage,
  type RestorePlan,
  type SnapshotPlan,
} from "./control.ts";
import type { ControlStore } from "./control-store.ts";
import { CONTROL_KEY } from "./item-keys.ts";

const noCheckpointOpen: Condition = anyOf(missing("checkpoint"), {
  attribute: path("checkpoint", "open"),
  is: "=",
  to: value(false),
});

const json = (data: object): JsonValue => data as JsonValue;

/** Control, strongly consistent; undefined before the app's first step. */
export async function readControl(store: ControlStore): Promise<Control | undefined> {
  const attributes = await store.get(CONTROL_KEY);
  return attributes === undefined ? undefined : asControl(attributes);
}

/** Control, made if it is missing: generation 1, epoch 0, RUNNING. */
export async function ensureControl(store: ControlStore, mode: CheckpointingMode): Promise<Control> {
  const found = await readControl(store);
  if (found !== undefined) return found;
  const first: Control = { gen: 1, maxGen: 1, phase: "RUNNING", epoch: 0, mode, pins: {} };
  await store.update(CONTROL_KEY, {
    conditions: [missing("gen")],
    set: Object.entries(first).map(([name, initial]) => [path(name), value(initial as JsonValue)] as const),
  });
  const made = await readControl(store);
  invariant(made !== undefined, "control exists once it was made");
  return made;
}

/** Control as written, or undefined when the condition did not hold. */
async function write(store: ControlStore, step: ConditionalWrite): Promise<Control | undefined> {
  const answer = await store.update(CONTROL_KEY, step);
  return answer.applied ? asControl(answer.after) : undefined;
}

/**
 * Opens checkpoint `checkpoint.n`: refused unless `epoch` is what was read, control is RUNNING and none is open.
 * The generation of the checkpoint is the answer's, never an earlier read's.
 */
export function triggerCheckpoint(
  store: ControlStore,
  step: { readonly epochRead: number; readonly checkpoint: CheckpointRecord },
): Promise<Control | undefined> {
  invariant(step.checkpoint.n > step.epochRead, "checkpoint numbers only grow");
  return write(store, {
    conditions: [compare("epoch", "=", step.epochRead), compare("phase", "=", "RUNNING"), noCheckpointOpen],
    set: [
      [path("epoch"), value(step.checkpoint.n)],
      [path("checkpoint"), value(json(step.checkpoint))],
    ],
  });
}

const stillOpen = (checkpoint: Pick<CheckpointRecord, "n" | "token">): Condition[] => [
  { attribute: path("checkpoint", "n"), is: "=", to: value(checkpoint.n) },
  { attribute: path("checkpoint", "token"), is: "=", to: value(checkpoint.token) },
  { attribute: path("checkpoint", "open"), is: "=", to: value(true) },
];

/** Writes a checkpoint's new status while it is still open; a later number or a finished one refuses. */
export function recordCheckpoint(store: ControlStore, checkpoint: CheckpointRecord): Promise<Control | undefined> {
  return write(store, {
    conditions: stillOpen(checkpoint),
    // Member by member: what others wrote since the caller read the record (the snapshot's plan) stays.
    set: Object.entries(checkpoint).map(([name, member]) => [path("checkpoint", name), value(member as JsonValue)]),
  });
}

/** Notes that the splits are being aligned; refused once that is noted, or later than that. */
export function startAligning(
  store: ControlStore,
  checkpoint: Pick<CheckpointRecord, "n" | "token">,
): Promise<Control | undefined> {
  return write(store, {
    conditions: [
      ...stillOpen(checkpoint),
      { attribute: path("checkpoint", "status"), is: "=", to: value("TRIGGERED") },
    ],
    set: [[path("checkpoint", "status"), value("ALIGNING")]],
  });
}

/**
 * Decides what the snapshot goes by. Refused once it is decided: of two coordinators the later one follows the plan of
 * the first, or its positions would be younger than what the first has scanned already.
 */
export function startSnapshot(
  store: ControlStore,
  checkpoint: Pick<CheckpointRecord, "n" | "token">,
  plan: SnapshotPlan,
): Promise<Control | undefined> {
  return write(store, {
    conditions: [...stillOpen(checkpoint), { missing: path("checkpoint", "snapshot") }],
    set: [
      [path("checkpoint", "status"), value("SNAPSHOTTING")],
      [path("checkpoint", "snapshot"), value(json(plan))],
    ],
  });
}

/**
 * Decides for good that checkpoints are deleted. Refused when a pin was set or a restore recorded since control was
 * read: of a pin and a deletion of one checkpoint, the first one written on this item wins.
 */
export function announceDeletions(
  store: ControlStore,
  step: { readonly read: Control; readonly checkpoints: readonly number[] },
): Promise<Control | undefined> {
  const { read, checkpoints } = step;
  const deleting = { ...read.deleting, ...Object.fromEntries(checkpoints.map((n) => [n, true])) };
  return write(store, {
    conditions: [
      read.pinned === undefined ? missing("pinned") : compare("pinned", "=", read.pinned),
      compare("maxGen", "=", read.maxGen),
      compare("gen", "=", read.gen),
      compare("epoch", "=", read.epoch),
    ],
    set: [[path("deleting"), value(deleting)]],
  });
}

/** What a settled checkpoint leaves on control for the next one. */
export interface SettleStep {
  readonly n: number;
  /** Absent: stays as it is. */
  readonly kept?: readonly number[];
  readonly coverage?: Coverage;
}

/** Notes that the outcome of checkpoint `n` was told to every split and that retention ran. */
export function settleCheckpoint(store: ControlStore, step: SettleStep): Promise<Control | undefined> {
  return write(store, {
    conditions: [
      { attribute: path("checkpoint", "n"), is: "=", to: value(step.n) },
      { attribute: path("checkpoint", "settled"), is: "=", to: value(false) },
    ],
    set: [
      [path("checkpoint", "settled"), value(true)],
      ...(step.kept === undefined ? [] : ([[path("kept"), value([...step.kept])]] as const)),
      ...(step.coverage === undefined ? [] : ([[path("coverage"), value(json(step.coverage))]] as const)),
    ],
    ...(step.kept === undefined ? {} : { remove: [path("deleting")] }),
  });
}

/**
 * Keeps a checkpoint from retention while a restore looks at it.
 * @throws TidemarkError `choose-another-checkpoint` when retention has decided to delete it.
 */
export async function pinCheckpoint(store: ControlStore, token: string, n: number): Promise<void> {
  const pinned = await write(store, {
    conditions: [{ missing: path("deleting", n) }],
    set: [[path("pins", token), value(n)]],
    add: [[path("pinned"), 1]],
  });
  if (pinned !== undefined) return;
  throw new TidemarkError(
    "choose-another-checkpoint",
    `Checkpoint ${n} is being deleted: it is past what \`checkpointing.retained\` keeps. Choose a later checkpoint or a savepoint.`,
  );
}

/** It stands, and no check has refused it: of two coordinators that check it one may find what the other has not. */
const isRequested = (token: string): Condition[] => [
  { attribute: path("requested", "token"), is: "=", to: value(token) },
  { missing: path("requested", "refused") },
];

export async function unpinCheckpoint(store: ControlStore, token: string): Promise<void> {
  await write(store, { conditions: [], remove: [path("pins", token)] });
}

/**
 * Begins a restore: control is REPLAYING from here on. Refused when a checkpoint is open, or when another restore
 * was recorded since `maxGenRead` was read (◆ a delayed record must not overwrite a later one), or when its pin is gone, without
 * which retention may have deleted the checkpoint ◆. A restore that was `requested` is refused too once another has taken its place, or a
 * check has refused it.
 */
export function recordRestore(
  store: ControlStore,
  step: { readonly maxGenRead: number; readonly plan: RestorePlan; readonly requested?: boolean },
): Promise<Control | undefined> {
  invariant(step.plan.target > step.maxGenRead, "a restore's generation is new");
  return write(store, {
    conditions: [
      compare("maxGen", "=", step.maxGenRead),
      noCheckpointOpen,
      // A restore that finished meanwhile took every pin with it.
      { exists: path("pins", step.plan.token) },
      ...(step.requested === true ? isRequested(step.plan.token) : []),
    ],
    set: [
      [path("phase"), value("REPLAYING")],
      [path("maxGen"), value(step.plan.target)],
      [path("restore"), value(json(step.plan))],
    ],
    remove: [path("requested")],
  });
}

/** Notes that every part of a restore's checkpoint is in its generation. */
export function recordLoaded(store: ControlStore, token: string, atMs: number): Promise<Control | undefined> {
  return write(store, {
    conditions: [{ attribute: path("restore", "token"), is: "=", to: value(token) }],
    set: [[path("restore", "loadedAtMs"), value(atMs)]],
  });
}

/**
 * Makes the restored generation the live one. A stale restorer's flip is refused.
 * `epochAtLeast`: the highest checkpoint number that storage knows, so that numbers are never reused after control was lost.
 */
export function flipControl(
  store: ControlStore,
  step: {
    readonly target: number;
    readonly from: Lineage;
    readonly mode: CheckpointingMode;
    readonly epochAtLeast: number;
    readonly epochRead: number;
  },
): Promise<Control | undefined> {
  return write(store, {
    conditions: [compare("gen", "<", step.target), compare("epoch", "=", step.epochRead)],
    set: [
      [path("gen"), value(step.target)],
      [path("restoredFrom"), value(json(step.from))],
      [path("mode"), value(step.mode)],
      [path("sweep"), value(true)],
      [path("epoch"), step.epochAtLeast > step.epochRead ? value(step.epochAtLeast) : attribute("epoch")],
    ],
  });
}

/**
 * Ends a restore: control is RUNNING again, unless a later restore has begun (◆ a superseded restorer stops). Once only:
 * a repeat that arrives late would take away the pins of the next restore, which is being prepared.
 */
export function finishRestore(
  store: ControlStore,
  step: { readonly target: number; readonly atMs: number },
): Promise<Control | undefined> {
  return write(store, {
    conditions: [
      compare("phase", "=", "REPLAYING"),
      compare("gen", "=", step.target),
      compare("maxGen", "=", step.target),
    ],
    set: [
      [path("phase"), value("RUNNING")],
      [path("restore", "finishedAtMs"), value(step.atMs)],
      [path("pins"), value({})],
    ],
  });
}

/** Notes that no item of an older generation is left. */
export async function recordSwept(store: ControlStore, generation: number): Promise<void> {
  await write(store, { conditions: [compare("gen", "=", generation)], remove: [path("sweep")] });
}
