/**
 * Every write of a split item but Begin (see `begin.ts`), each one conditional update (protocol §4 to §7).
 *
 * Invariants:
 * - Right-hand sides are old values of the item, or literals under a condition that they are still true.
 * - Barrier and End carry their attempt: a later Begin fences them.
 * - Coordinator and restorer steps carry the generation they act for, and the epoch or target must grow.
 * - A repeat after a lost answer changes nothing.
 */

import { invariant } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import { BEGINNING, type Position } from "../source/position.ts";
import {
  anyOf,
  attribute,
  type Condition,
  type ConditionalWrite,
  compare,
  compareAttributes,
  exists,
  missing,
  type Operand,
  path,
  value,
} from "./conditional-write.ts";
import type { CheckpointingMode, Control, Phase } from "./control.ts";
import { ensureControl } from "./control-steps.ts";
import type { ControlAttributes, ControlStore } from "./control-store.ts";
import type { Hole } from "./hole.ts";
import { splitKey, splitsPartition } from "./item-keys.ts";
import { asSplit, type Failing, type InsideMark, type Refusals, type Skip, type Split } from "./split.ts";

/** Which split item. */
export interface SplitPlace {
  readonly function: string;
  readonly split: string;
}

/** What a split is born with besides what control says. */
export interface BirthSettings {
  readonly mode: CheckpointingMode;
  readonly startTimeMs?: number | undefined;
  /**
   * ◆ Not after the arrival of the first record that the source holds, for none of them was read; where it holds none, when
   * that was seen. Ms since 1970.
   */
  readonly freshAtMs: number;
}

type Assignment = NonNullable<ConditionalWrite["set"]>[number];
const assign = (name: string, literal: JsonValue): Assignment => [path(name), value(literal)];
const json = (data: unknown): JsonValue => data as JsonValue;

export type FoundSplit = { readonly split: string; readonly item: Split | "unborn" };

function found(attributes: ControlAttributes): Split | "unborn" {
  return asSplit(attributes) ?? "unborn";
}

/** The split's item, strongly consistent; undefined: there is none. */
export async function readSplit(store: ControlStore, place: SplitPlace): Promise<Split | "unborn" | undefined> {
  const attributes = await store.get(splitKey(place.function, place.split));
  return attributes === undefined ? undefined : found(attributes);
}

/** Every split of a function, strongly consistent. */
export async function* listSplits(store: ControlStore, functionName: string): AsyncGenerator<FoundSplit> {
  for await (const { sort, attributes } of store.list(splitsPartition(functionName))) {
    yield { split: typeof attributes.split === "string" ? attributes.split : sort, item: found(attributes) };
  }
}

async function write(store: ControlStore, place: SplitPlace, step: ConditionalWrite): Promise<Split | undefined> {
  const answer = await store.update(splitKey(place.function, place.split), step);
  if (!answer.applied) return undefined;
  const split = asSplit(answer.after);
  invariant(split !== undefined, "only births write unborn splits");
  return split;
}

/**
 * Births a split into exactly the epoch, generation and phase that control has after the unborn item was seen.
 * ◆ Control is read only after the unborn item's put was answered: a checkpoint triggered later then finds the item
 * in its list, one triggered earlier is in the epoch that is read here. ◆ The barrier of that epoch is the beginning.
 */
export async function birth(store: ControlStore, place: SplitPlace, settings: BirthSettings): Promise<void> {
  const key = splitKey(place.function, place.split);
  // What is listed later must be told the split's whole name.
  const name = key.sort === place.split ? [] : [assign("split", place.split)];
  await store.update(key, { conditions: [missing("attempt")], set: [assign("attempt", 0), ...name] });
  const control = await ensureControl(store, settings.mode);
  await store.update(key, {
    conditions: [exists("attempt"), missing("epoch")],
    set: [
      ...bornInto(control, settings),
      ...(settings.startTimeMs === undefined ? [] : [assign("startTimeMs", settings.startTimeMs)]),
    ],
  });
}

function bornInto(control: Control, settings: BirthSettings): Assignment[] {
  return [
    assign("gen", control.gen),
    assign("phase", control.phase),
    assign("mode", control.mode),
    assign("begun", 0),
    assign("epoch", control.epoch),
    assign("pendingEpoch", control.epoch),
    assign("resolved", 0),
    assign("position", BEGINNING),
    assign("attemptedTo", BEGINNING),
    assign("freshAt", settings.freshAtMs),
    assign("beginningFreshAt", settings.freshAtMs),
    assign("barriers", { [control.epoch]: BEGINNING }),
    assign("barrierFreshAt", { [control.epoch]: settings.freshAtMs }),
    assign("holes", []),
    assign("holeItems", []),
    assign("consecutiveDeadLetters", 0),
  ];
}

const intoEpoch = (n: number): Assignment[] => [
  assign("epoch", n),
  [path("barriers", n), attribute("position")],
  [path("barrierFreshAt", n), attribute("freshAt")],
];

/** A batch passes barrier `n` before it folds anything: its epoch is `n`, the cut is at its position. */
export function passBarrier(
  store: ControlStore,
  place: SplitPlace,
  step: { readonly attempt: number; readonly generation: number; readonly n: number },
): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [
      compare("attempt", "=", step.attempt),
      compare("gen", "=", step.generation),
      compare("epoch", "<", step.n),
    ],
    set: intoEpoch(step.n),
  });
}

/** Coordinator: a barrier is asked for; the split's next clean Begin passes it. */
export function askForBarrier(
  store: ControlStore,
  place: SplitPlace,
  step: { readonly generation: number; readonly n: number },
): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [exists("epoch"), compare("pendingEpoch", "<", step.n), compare("gen", "=", step.generation)],
    set: [assign("pendingEpoch", step.n)],
  });
}

/** Coordinator: a clean split passes the barrier without a batch. */
export function moveIdle(
  store: ControlStore,
  place: SplitPlace,
  step: { readonly generation: number; readonly n: number },
): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [
      compare("gen", "=", step.generation),
      compare("epoch", "<", step.n),
      compareAttributes("position", ">=", "attemptedTo"),
    ],
    set: intoEpoch(step.n),
  });
}

/**
 * Coordinator: the source holds nothing of `(position, attemptedTo]` any more, so no batch will ever make the split
 * clean. The range becomes a hole, under the condition that both ends are still those that were looked at.
 */
export function giveUpTail(
  store: ControlStore,
  place: SplitPlace,
  read: Split,
  holes: { readonly inline: readonly Hole[]; readonly items: readonly string[] },
): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [
      compare("position", "=", read.position),
      compare("attemptedTo", "=", read.attemptedTo),
      compare("gen", "=", read.gen),
      compareAttributes("position", "<", "attemptedTo"),
    ],
    set: [
      assign("position", read.attemptedTo),
      assign("holes", json(holes.inline)),
      assign("holeItems", json(holes.items)),
      assign("begun", 0),
    ],
    add: [[path("attempt"), 1]],
    remove: [path("failing")],
  });
}

/**
 * Coordinator: the source was seen to hold nothing after `position`, and perhaps to have ended. `holes`: with one for
 * what may have expired before this look.
 */
export function noteLook(
  store: ControlStore,
  place: SplitPlace,
  step: {
    readonly read: Split;
    readonly nowMs: number;
    readonly ended: boolean;
    readonly holes?: { readonly inline: readonly Hole[]; readonly items: readonly string[] };
  },
): Promise<Split | undefined> {
  const { read, nowMs, ended, holes } = step;
  return write(store, place, {
    conditions: [
      compare("position", "=", read.position),
      compare("gen", "=", read.gen),
      holes === undefined ? compare("freshAt", "<=", nowMs) : compare("freshAt", "=", read.freshAt),
      compareAttributes("position", ">=", "attemptedTo"),
    ],
    set: [
      assign("freshAt", nowMs),
      ...(read.position === BEGINNING && holes === undefined ? [assign("beginningFreshAt", nowMs)] : []),
      ...(ended ? [assign("ended", true)] : []),
      ...(holes === undefined ? [] : [assign("holes", json(holes.inline)), assign("holeItems", json(holes.items))]),
    ],
  });
}

/** Coordinator: checkpoint `n` has its outcome; writers may drop before-images of epochs up to `n`. */
export function resolveEpoch(
  store: ControlStore,
  place: SplitPlace,
  step: { readonly n: number; readonly read: Split },
): Promise<Split | undefined> {
  const passed = Object.keys(step.read.barriers).filter((epoch) => Number(epoch) <= step.n);
  return write(store, place, {
    conditions: [compare("resolved", "<", step.n), compare("gen", "=", step.read.gen)],
    set: [assign("resolved", step.n)],
    remove: passed.flatMap((epoch) => [path("barriers", epoch), path("barrierFreshAt", epoch)]),
  });
}

/** What an End writes: absolute values, safe because only writes that raise `attempt` change them. */
export interface EndStep {
  readonly attempt: number;
  readonly generation: number;
  readonly phase: Phase;
  readonly position: Position;
  readonly attemptedTo: Position;
  readonly freshAt: number;
  readonly consecutiveDeadLetters: number;
  /** Absent: none is added. */
  readonly holes?: { readonly inline: readonly Hole[]; readonly items: readonly string[] };
  /** Absent: the record that failed, if any, was passed. `stays`: it was not come to. */
  readonly failing?: Failing | "stays" | undefined;
  /** Absent: they stay as they are. */
  readonly takenBy?: readonly string[] | undefined;
  /** Absent: they stay as they are. */
  readonly refusals?: Refusals | "none" | undefined;
  /** Absent: it stays, having come after the Begin. */
  readonly skip?: Skip | "none" | undefined;
  /** ◆ Marks of deaths for which a record is given up: whoever has taken one back since lives, and may write the record. */
  readonly deaths?: readonly InsideMark[];
}

export function endBatch(store: ControlStore, place: SplitPlace, step: EndStep): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [...ownedBy(step), ...(step.deaths ?? []).map((mark) => ({ exists: path("failing", mark) }))],
    set: [
      assign("position", step.position),
      assign("attemptedTo", step.attemptedTo),
      assign("freshAt", step.freshAt),
      assign("consecutiveDeadLetters", step.consecutiveDeadLetters),
      assign("begun", 0),
      ...(step.holes === undefined
        ? []
        : [assign("holes", json(step.holes.inline)), assign("holeItems", json(step.holes.items))]),
      ...(typeof step.failing === "object" ? [assign("failing", json(step.failing))] : []),
      ...(step.takenBy === undefined ? [] : [assign("takenBy", json(step.takenBy))]),
      ...(typeof step.refusals === "object" ? [assign("refusals", json(step.refusals))] : []),
      ...(typeof step.skip === "object" ? [assign("skip", json(step.skip))] : []),
    ],
    remove: [
      ...(step.failing === undefined ? [path("failing")] : []),
      ...(step.refusals === "none" ? [path("refusals")] : []),
      ...(step.skip === "none" ? [path("skip")] : []),
    ],
  });
}

/** A record by itself, in the hands of the user's code. */
export interface InsideStep {
  readonly attempt: number;
  readonly generation: number;
  readonly phase: Phase;
  readonly position: Position;
  /** The split's `failing` was of this record already when the attempt began: other attempts may have their marks there. */
  readonly known: boolean;
  readonly nowMs: number;
  /** `prepare`: `decode`, the schema or the key selector has it, of a record of several events; `true`: any of the user's code. */
  readonly in: Failing[InsideMark];
}

/** Written just before the user's code sees a record that may kill the process. */
export function enterRecord(store: ControlStore, place: SplitPlace, step: InsideStep): Promise<Split | undefined> {
  const { attempt, position, known, nowMs } = step;
  const mark: InsideMark = `in${attempt}`;
  return write(store, place, {
    conditions: ownedBy(step),
    set: [
      known
        ? [path("failing", mark), value(step.in)]
        : assign("failing", { position, tries: 0, error: "", sinceMs: nowMs, [mark]: step.in }),
    ],
  });
}

/**
 * The attempt lives: its mark goes, and with it all tries where `handle` took the record. ◆ Conditional on the mark alone, not
 * on the split being the attempt's still: one that was overtaken did not die.
 */
export function leaveRecord(
  store: ControlStore,
  place: SplitPlace,
  { attempt, position }: InsideStep,
  handled: boolean,
): Promise<Split | undefined> {
  const mark = path("failing", `in${attempt}`);
  return write(store, place, {
    conditions: [{ exists: mark }],
    ...(handled ? { set: [assign("failing", { position, tries: 0, error: "" })] } : { remove: [mark] }),
  });
}

/**
 * Somebody wishes the next batch to pass over records. ◆ A wish that waits is never replaced: a batch that began to carry it
 * out may have died after a write of what follows it. One that the split has moved on from is.
 */
export function askToSkip(
  store: ControlStore,
  place: SplitPlace,
  step: { readonly read: Split; readonly at: Position; readonly records: number },
): Promise<Split | undefined> {
  const { read, at, records } = step;
  return write(store, place, {
    conditions: [
      compare("gen", "=", read.gen),
      compare("position", "=", read.position),
      { attribute: path("failing", "position"), is: "=", to: value(at) },
      anyOf(missing("skip"), { attribute: path("skip", "after"), is: "<>", to: value(read.position) }),
    ],
    set: [assign("skip", { after: read.position, at, records })],
  });
}

function ownedBy(owner: { readonly attempt: number; readonly generation: number; readonly phase: Phase }): Condition[] {
  return [
    compare("attempt", "=", owner.attempt),
    compare("gen", "=", owner.generation),
    compare("phase", "=", owner.phase),
  ];
}

/** Restorer: no batch of the mapping may begin on the split from here on. */
export function setReplaying(store: ControlStore, place: SplitPlace, target: number): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [exists("epoch"), compare("gen", "<", target)],
    set: [assign("phase", "REPLAYING")],
  });
}

/** What a restored split starts with. */
export interface FlipStep {
  readonly target: number;
  readonly position: Position;
  readonly freshAt: number;
  readonly holes: { readonly inline: readonly Hole[]; readonly items: readonly string[] };
  readonly ended: boolean;
  /** What arrived before `timeMs` is dropped; without one, nothing is. Absent: it stays as the split was born. */
  readonly start?: { readonly timeMs?: number } | undefined;
  readonly mode: CheckpointingMode;
  /** Absent: no version of the code is known to have taken a record of it. */
  readonly takenBy?: readonly string[] | undefined;
  /** `control.epoch`: older before-images mean nothing in the new generation. */
  readonly epoch: number;
}

/**
 * Restorer: the split belongs to the restored generation and stands at the cut. `until` becomes the later of what it
 * was and `attemptedTo`, whose two cases are two variants: UpdateItem has no `max`.
 */
export async function flipSplit(store: ControlStore, place: SplitPlace, step: FlipStep): Promise<Split | undefined> {
  const flip = (until: Condition, right: Operand): Promise<Split | undefined> =>
    write(store, place, {
      conditions: [exists("epoch"), compare("gen", "<", step.target), until],
      set: [
        [path("until"), right],
        assign("gen", step.target),
        assign("phase", "REPLAYING"),
        assign("mode", step.mode),
        assign("position", step.position),
        assign("attemptedTo", step.position),
        assign("freshAt", step.freshAt),
        assign("holes", json(step.holes.inline)),
        assign("holeItems", json(step.holes.items)),
        assign("consecutiveDeadLetters", 0),
        assign("begun", 0),
        assign("epoch", step.epoch),
        assign("pendingEpoch", step.epoch),
        assign("resolved", step.epoch),
        assign("barriers", {}),
        assign("barrierFreshAt", {}),
        ...(step.ended ? [assign("ended", true)] : []),
        ...(step.takenBy === undefined ? [] : [assign("takenBy", json(step.takenBy))]),
        ...(step.start?.timeMs === undefined ? [] : [assign("startTimeMs", step.start.timeMs)]),
      ],
      add: [[path("attempt"), 1]],
      remove: [
        path("failing"),
        path("skip"),
        path("refusals"),
        ...(step.ended ? [] : [path("ended")]),
        ...(step.start === undefined || step.start.timeMs !== undefined ? [] : [path("startTimeMs")]),
      ],
    });
  const later = anyOf(missing("until"), compareAttributes("until", "<=", "attemptedTo"));
  return (
    (await flip(later, attribute("attemptedTo"))) ??
    (await flip(compareAttributes("until", ">", "attemptedTo"), attribute("until")))
  );
}

/**
 * Replayer: the source holds nothing of `(position, until]` any more, so the replay can never reach its end. The range
 * becomes a hole, under the condition that the split is still as it was looked at.
 */
export function giveUpReplay(
  store: ControlStore,
  place: SplitPlace,
  read: Split & { readonly until: Position },
  holes: { readonly inline: readonly Hole[]; readonly items: readonly string[] },
): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [
      compare("gen", "=", read.gen),
      compare("phase", "=", "REPLAYING"),
      compare("position", "=", read.position),
      compare("attemptedTo", "=", read.attemptedTo),
      compare("until", "=", read.until),
    ],
    set: [
      assign("position", read.until),
      assign("attemptedTo", read.until),
      assign("holes", json(holes.inline)),
      assign("holeItems", json(holes.items)),
      assign("begun", 0),
    ],
    add: [[path("attempt"), 1]],
    remove: [path("failing")],
  });
}

/** The split has replayed all that the generation before had tried: the mapping may go on. */
export function runSplit(store: ControlStore, place: SplitPlace, generation: number): Promise<Split | undefined> {
  return write(store, place, {
    conditions: [
      exists("epoch"),
      compare("gen", "=", generation),
      anyOf(missing("until"), compareAttributes("position", ">=", "until")),
    ],
    set: [assign("phase", "RUNNING")],
  });
}
