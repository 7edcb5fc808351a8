/**
 * Begin: a batch takes its split (protocol §4, step 1).
 *
 * Invariants:
 * - The phase is checked in the very write that raises `attempt` ◆; nothing is processed without that write's answer.
 * - The latest Begin owns the split: Begin never refuses because another batch runs.
 * - `attemptedTo` covers the batch before anything of it is folded.
 * - A Begin that was repeated because its answer was lost finds its own `attemptedTo` and counts as not clean.
 * - What the source dropped is a hole before anything after it is folded ◆.
 * - A split that a batch begins on has not ended, whatever was seen before: a file may be appended to.
 */
import { BEGINNING, laterOf, type Position } from "../source/position.ts";
import {
  anyOf,
  type Condition,
  type ConditionalWrite,
  compare,
  compareAttributes,
  exists,
  path,
  value,
} from "./conditional-write.ts";
import { readControl } from "./control-steps.ts";
import type { ControlStore } from "./control-store.ts";
import { droppedHole, expiredHole, type Hole } from "./hole.ts";
import { spillHoles } from "./hole-items.ts";
import { splitKey } from "./item-keys.ts";
import { asSplit, isClean, type Split } from "./split.ts";
import { type BirthSettings, birth, readSplit, runSplit, type SplitPlace } from "./split-steps.ts";

/** How long before its retention ends a record counts as perhaps expired: the source's clock is not ours. */
export const EXPIRY_MARGIN_MS = 5 * 60_000;

/** Who begins: the mapping's handler, or the replayer of a restore. */
export type BatchRole = { readonly phase: "RUNNING" } | { readonly phase: "REPLAYING"; readonly generation: number };

export interface BeginStep {
  readonly place: SplitPlace;
  readonly first: Position;
  readonly last: Position;
  readonly role: BatchRole;
  readonly birth: Omit<BirthSettings, "freshAtMs">;
  readonly nowMs: number;
  /** Of the first record; absent: the source does not say. */
  readonly firstArrivalTimeMs?: number | undefined;
  /** How long the source keeps a record, in ms; absent: for ever. */
  readonly retentionMs?: number | undefined;
}

export interface Begun {
  /** The split with any hole of this Begin in it, and otherwise as it was before. */
  readonly split: Split;
  readonly attempt: number;
  /** Everything tried before this batch is resolved: a barrier may be passed. */
  readonly clean: boolean;
  /** What this Begin found the source to have given up. */
  readonly hole?: Hole;
}

export type BeginAnswer =
  | ({ readonly outcome: "begun" } & Begun)
  /** The split is in another phase or generation; nothing was changed. */
  | { readonly outcome: "refused"; readonly split: Split };

export async function begin(store: ControlStore, step: BeginStep): Promise<BeginAnswer> {
  const { nowMs, retentionMs, firstArrivalTimeMs = nowMs } = step;
  const oldestSafe = retentionMs === undefined ? undefined : nowMs - retentionMs + EXPIRY_MARGIN_MS;
  // Nothing before the first record is to come any more. The rest of what is there arrived later, and was not read.
  const freshAtMs = oldestSafe === undefined ? nowMs : Math.max(oldestSafe, firstArrivalTimeMs);
  for (;;) {
    const begun = await beginWithoutHole(store, step, oldestSafe);
    if (begun !== undefined) return { outcome: "begun", ...begun };

    const split = await readSplit(store, step.place);
    if (split === undefined || split === "unborn") {
      await birth(store, step.place, { ...step.birth, freshAtMs });
      continue;
    }
    if (!mayBegin(split, step.role)) {
      if (await leftReplaying(store, step, split)) continue;
      return { outcome: "refused", split };
    }
    const withHole = await beginWithHole(store, step, split, { oldestSafe, freshAtMs });
    if (withHole !== undefined) return { outcome: "begun", ...withHole };
  }
}

const phaseConditions = (role: BatchRole): Condition[] => [
  exists("epoch"),
  compare("phase", "=", role.phase),
  ...(role.phase === "REPLAYING" ? [compare("gen", "=", role.generation)] : []),
];

function mayBegin(split: Split, role: BatchRole): boolean {
  return split.phase === role.phase && (role.phase === "RUNNING" || split.gen === role.generation);
}

const count: Pick<ConditionalWrite, "add" | "remove"> = {
  add: [
    [path("attempt"), 1],
    [path("begun"), 1],
  ],
  // A file that had ended may have been appended to.
  remove: [path("ended")],
};

/** The common case, in one write (two when the batch, or a part of it, was tried before: UpdateItem has no `max`). */
async function beginWithoutHole(
  store: ControlStore,
  step: BeginStep,
  oldestSafe: number | undefined,
): Promise<Begun | undefined> {
  const key = splitKey(step.place.function, step.place.split);
  const nothingMissed: Condition[] = [
    ...phaseConditions(step.role),
    anyOf(compareAttributes("position", ">=", "attemptedTo"), compare("attemptedTo", ">=", step.first)),
    ...(oldestSafe === undefined
      ? []
      : [anyOf(compare("freshAt", ">=", oldestSafe), compare("position", ">=", step.first))]),
  ];
  const variants: ConditionalWrite[] = [
    {
      conditions: [...nothingMissed, compare("attemptedTo", "<", step.last)],
      set: [[path("attemptedTo"), value(step.last)]],
      ...count,
    },
    { conditions: [...nothingMissed, compare("attemptedTo", ">=", step.last)], ...count },
  ];
  for (const variant of variants) {
    const answer = await store.update(key, variant);
    const split = answer.applied ? asSplit(answer.before) : undefined;
    if (split !== undefined) return { split, attempt: split.attempt + 1, clean: isClean(split) };
  }
  return undefined;
}

/** The source skipped something: the hole, in the same write as the Begin, under the values that were read. */
async function beginWithHole(
  store: ControlStore,
  step: BeginStep,
  read: Split,
  { oldestSafe, freshAtMs }: { readonly oldestSafe: number | undefined; readonly freshAtMs: number },
): Promise<Begun | undefined> {
  const gaveUpTried = !isClean(read) && step.first > read.attemptedTo;
  const mayHaveExpired = oldestSafe !== undefined && read.freshAt < oldestSafe && step.first > read.position;
  if (!gaveUpTried && !mayHaveExpired) return undefined;

  // A Begin that died may have noted a part of it.
  const earlier = read.holes.filter(({ before = "" }) => before <= read.position);
  const { after = read.position, before = "" }: Partial<Hole> = read.holes[earlier.length] ?? {};
  const hole = mayHaveExpired
    ? expiredHole({ after, before: laterOf(step.first, before) })
    : droppedHole({ after, to: read.attemptedTo });
  const position = gaveUpTried ? read.attemptedTo : read.position;
  const holes = await spillHoles(store, step.place, read, [...earlier, hole]);
  const attemptedTo = read.attemptedTo > step.last ? read.attemptedTo : step.last;
  const answer = await store.update(splitKey(step.place.function, step.place.split), {
    conditions: [
      ...phaseConditions(step.role),
      compare("gen", "=", read.gen),
      compare("position", "=", read.position),
      compare("attemptedTo", "=", read.attemptedTo),
      compare("freshAt", "=", read.freshAt),
    ],
    set: [
      [path("position"), value(position)],
      [path("attemptedTo"), value(attemptedTo)],
      [path("holes"), value(holes.inline as never)],
      [path("holeItems"), value(holes.items as never)],
      // The hole covers all that can have been missed before the batch; a repeat of this write fails at its conditions.
      [path("freshAt"), value(mayHaveExpired ? freshAtMs : read.freshAt)],
      ...(gaveUpTried ? ([[path("begun"), value(1)]] as const) : []),
    ],
    add: [[path("attempt"), 1], ...(gaveUpTried ? [] : ([[path("begun"), 1]] as const))],
    remove: [path("ended"), ...(gaveUpTried ? [path("failing")] : [])],
  });
  const begun = answer.applied ? asSplit(answer.after) : undefined;
  if (begun === undefined) return undefined;
  // What was tried before is what counts for the barrier and the End.
  const split: Split = { ...begun, attemptedTo: read.attemptedTo, begun: begun.begun - 1 };
  return { split, attempt: begun.attempt, clean: isClean(split), hole };
}

/**
 * ◆ A split born while a restore ended may be left REPLAYING with nobody to run it. The handler sets it RUNNING itself
 * when control, read now, is RUNNING in the split's generation and the split has nothing left to replay.
 */
async function leftReplaying(store: ControlStore, step: BeginStep, split: Split): Promise<boolean> {
  if (step.role.phase !== "RUNNING" || split.position < (split.until ?? BEGINNING)) return false;
  const control = await readControl(store);
  if (control?.phase !== "RUNNING" || control.gen !== split.gen) return false;
  return (await runSplit(store, step.place, split.gen)) !== undefined;
}
