/** What a run has come through: every step of the protocol, applied and refused, every fault, every turn of events. */
import type { TidemarkEvent } from "../../shared/observer.ts";
import { CONTROL_STEPS, type ControlStep } from "./control-step.ts";
import { FAULTS, type Fault } from "./scheduler.ts";

/** Steps that are never refused: they have no condition, or one that nothing can break. */
const NEVER_REFUSED: ReadonlySet<ControlStep> = new Set([
  "unpin",
  "save fuzzy position",
  "note part altered",
  "note part checked",
]);

/** Steps that no history comes to. */
const ELSEWHERE: ReadonlySet<ControlStep> = new Set(["other"]);

/** Refusals that take three processes at one moment: counted, not asked for. The tests of test/protocol hold them. */
const RARE: ReadonlySet<ControlStep> = new Set([
  "announce deletions",
  "pin",
  "record loaded",
  "record swept",
  "save sweep",
  "flip control",
  "note part loaded",
  "give up replay",
  "give up tail",
  "run split",
  "refuse restore",
  "hold restore",
  "go on",
  "owe first mapping",
  "owe mapping",
  "forget mappings",
]);

export class Coverage {
  readonly counts = new Map<string, number>();

  hit(branch: string): void {
    this.counts.set(branch, (this.counts.get(branch) ?? 0) + 1);
  }

  step(step: ControlStep, applied: boolean): void {
    this.hit(applied ? step : REFUSED[step]);
  }

  fault(fault: Fault, writes: boolean): void {
    this.hit((writes ? WRITE_FAULTS : READ_FAULTS)[fault]);
  }

  event(event: TidemarkEvent): void {
    const branch = EVENT_BRANCHES[event.type];
    if (branch !== undefined) this.hit(typeof branch === "string" ? branch : branch(event as never));
  }

  add(counts: Iterable<readonly [string, number]>): void {
    for (const [branch, count] of counts) this.counts.set(branch, (this.counts.get(branch) ?? 0) + count);
  }

  /** Branches that a long run must have come through, and did not. */
  missing(branches: Iterable<string> = BRANCHES): string[] {
    return [...branches].filter((branch) => !this.counts.has(branch));
  }
}

const record = <Key extends string>(keys: readonly Key[], of: (key: Key) => string): Record<Key, string> =>
  Object.fromEntries(keys.map((key) => [key, of(key)])) as Record<Key, string>;

const REFUSED = record(CONTROL_STEPS, (step) => `${step} (refused)`);
const WRITE_FAULTS = record(FAULTS, (fault) => `a write: ${fault}`);
const READ_FAULTS = record(FAULTS, (fault) => `a read: ${fault}`);

type Branch = string | ((event: never) => string);

const EVENT_BRANCHES: { readonly [type in TidemarkEvent["type"]]?: Branch } = {
  born: "a coordinator births a split",
  batch: (event: Extract<TidemarkEvent, { type: "batch" }>) => {
    if (event.conflicts > 0) return "a batch whose writes were contested";
    if (event.cacheHits > 0) return "a batch from the worker's cache";
    return event.replay ? "a replayed batch" : "a batch";
  },
  hole: (event: Extract<TidemarkEvent, { type: "hole" }>) => `a hole: ${event.hole.cause}`,
  "dead-letter": "a dead letter",
  "record-failed": "a record fails",
  "split-stopped": "a split stops",
  "checkpoint-carried-on": "a checkpoint is carried on by another coordinator",
  "checkpoint-completed": "a checkpoint completes",
  "checkpoint-aborted": "a checkpoint is aborted",
  "checkpoint-deleted": "a checkpoint is deleted",
  "look-failed": "a look at the source fails",
  "restore-finished": "a restore finishes",
  "restore-requested": "a restore is asked for, and left to whoever coordinates",
  "restore-refused": "a restore that is asked for is refused after its check",
  "restore-held": "a restore is held",
  "tombstones-removed": "tombstones are removed",
};

/** Turns of events that the simulation itself tells. */
export const TURNS = [
  "a record fails over what another split has written",
  "a record is given up that is folded in part",
  "a process stalls",
  "a stalled process wakes",
  "a stalled process wakes after a restore",
  "a late call arrives",
  "a process is killed",
  "a batch is delivered again",
  "a duplicate of resolved records",
  "a batch by a second mapping",
  "time passes",
  "records expire",
  "a split closes and its children begin",
  "a restore is asked for",
  "a restore is refused",
  "a restore by another carrier",
  "a restore is asked for in the place of another",
  "a hold at a time",
  "a hold at positions",
  "a split that nobody has read has records from before a hold",
  "a held restore goes on",
  "a part is altered",
  "a restore begins afresh after its load met an altered part",
  "a slice of several parts",
  "a worker takes a slice",
  "a worker checks a part",
  "a worker loads a part",
  "two workers with one piece",
  "a mapping is turned off",
  "a mapping is turned on",
  "a mapping is disabled late",
  "a mapping starts over",
  "a mapping that is off delivers all the same",
  "a mapping that was off by hand",
  "what a mapping was owed is forgotten",
  "a function is renamed",
  "a restore takes over what a function had under its old name",
  "two coordinators at once",
  "a savepoint",
  "handle kills its process",
  "older code beside newer",
  "older code meets newer state",
  "a letter is put back",
  "a redriven record is delivered",
  "a redriven record is delivered by a coordinator",
  "a split is asked to skip",
  "a schema that refuses everything",
  "a tombstone is written",
  "both images are folded",
  "a before-image is written",
  "a before-image is dropped",
  "the function is repaired",
  "a checkpoint in at-least-once mode",
] as const;

const SOMETIMES_BRANCHES = [
  "a batch",
  "a batch whose writes were contested",
  "a batch from the worker's cache",
  "a replayed batch",
  "a hole: dropped",
  "a hole: expired",
];

export const BRANCHES: ReadonlySet<string> = new Set([
  ...CONTROL_STEPS.filter((step) => !ELSEWHERE.has(step)),
  ...CONTROL_STEPS.filter((step) => !ELSEWHERE.has(step) && !NEVER_REFUSED.has(step) && !RARE.has(step)).map(
    (step) => REFUSED[step],
  ),
  ...Object.values(WRITE_FAULTS),
  ...Object.values(READ_FAULTS),
  ...Object.values(EVENT_BRANCHES).filter((branch) => typeof branch === "string"),
  ...SOMETIMES_BRANCHES,
  ...TURNS,
]);
