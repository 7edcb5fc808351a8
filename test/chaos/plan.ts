/**
 * Which faults a run meets, and when: decided by its seed alone, before anything starts.
 *
 * Invariants:
 * - The same seed and length give the same plan, on every machine.
 * - Every kind is in it once before any kind is in it twice, in an order that the seed decides.
 * - "When" is a share of the flights that have arrived, not a time: a slow machine meets the same faults.
 */
import { SeededRandomness } from "../support/seeded-randomness.ts";

/** Faults on the wire: a stretch of requests, some of which they hit. */
export const WIRE_KINDS = [
  "lose-answer",
  "reset",
  "cut-answer",
  "delay",
  "duplicate",
  "late-duplicate",
  "throttle",
  "partial",
] as const;

/** Faults of processes and disks, each at one moment or from one moment on. */
export const STRIKE_KINDS = [
  "kill-worker",
  "kill-run",
  "freeze-run",
  "zombie-worker",
  "kill-dynamodb",
  "disk-full",
] as const;

/** What other processes do beside the run, one after the other: the shipped commands. */
export const COMMAND_KINDS = [
  "savepoint",
  "kill-checkpoint",
  "kill-restore",
  "restore-latest",
  "restore-older",
  "restore-savepoint",
  "flip-bit",
] as const;

export type WireKind = (typeof WIRE_KINDS)[number];
export type StrikeKind = (typeof STRIKE_KINDS)[number];
export type CommandKind = (typeof COMMAND_KINDS)[number];
export type FaultKind = WireKind | StrikeKind | CommandKind;
export const FAULT_KINDS: readonly FaultKind[] = [...WIRE_KINDS, ...STRIKE_KINDS, ...COMMAND_KINDS];

export type Step = {
  /** Due when this share of all flights has arrived, from 0 to 1. */
  readonly at: number;
} & (
  | {
      readonly kind: WireKind;
      /** How many requests the stretch is long. */
      readonly requests: number;
      /** The chance of each of them. */
      readonly share: number;
      /** The longest delay, in ms, of kinds that delay. */
      readonly delayMsMax: number;
      /** Decides which of the requests are hit. */
      readonly seed: number;
    }
  | {
      readonly kind: StrikeKind;
      /** Which worker: a share of the list of them. */
      readonly choice: number;
      /** How long a frozen process stays so, a killed run stays away, or a disk stays full, in ms. */
      readonly lastsMs: number;
      /** What a full disk has left. */
      readonly bytesFree: number;
    }
  | {
      readonly kind: CommandKind;
      /** Which checkpoint, part or byte: shares of the lists of them. */
      readonly choice: number;
      readonly place: number;
      /** When a command that is to be killed dies, in ms after its start. */
      readonly afterMs: number;
    }
);

export interface PlanOptions {
  readonly seed: number;
  readonly minutes: number;
}

const STRIKES_PER_MINUTE = 26;
const COMMANDS_PER_MINUTE = 8;
/** Nothing begins in the first part, so that there is something to break, nor in the last, so that it still breaks. */
const FROM = 0.03;
const TO = 0.97;

export function planFaults({ seed, minutes }: PlanOptions): Step[] {
  const random = new SeededRandomness(seed);
  // A short run has every kind all the same, as long as it has room for them.
  const strikes = Math.max(WIRE_KINDS.length + STRIKE_KINDS.length, Math.round(minutes * STRIKES_PER_MINUTE));
  const commands = Math.max(COMMAND_KINDS.length, Math.round(minutes * COMMANDS_PER_MINUTE));
  const steps = [
    ...spread(random, strikes, [...WIRE_KINDS, ...STRIKE_KINDS]),
    ...spread(random, commands, COMMAND_KINDS),
  ];
  return steps.sort((a, b) => a.at - b.at);
}

/** One step of each of these kinds, due at once: for those that the plan's own steps missed. */
export function stepsFor(kinds: readonly FaultKind[], seed: number): Step[] {
  const random = new SeededRandomness(seed);
  return kinds.map((kind) => stepOf(random, kind, 0));
}

/** One of each, in some order, then any; at even distances, each moved a little. */
function spread(random: SeededRandomness, count: number, kinds: readonly FaultKind[]): Step[] {
  const first = shuffled(random, kinds);
  return Array.from({ length: count }, (_, index) => {
    const kind = first[index] ?? (kinds[random.below(kinds.length)] as FaultKind);
    const at = FROM + ((TO - FROM) * (index + random.fraction())) / count;
    return stepOf(random, kind, Number(at.toFixed(4)));
  });
}

function stepOf(random: SeededRandomness, kind: FaultKind, at: number): Step {
  if (isOneOf(WIRE_KINDS, kind)) {
    return {
      ...{ at, kind },
      requests: 20 + random.below(280),
      share: Number((0.02 + 0.38 * random.fraction() ** 2).toFixed(3)),
      delayMsMax: 20 + random.below(3_000),
      seed: random.below(2 ** 31),
    };
  }
  if (isOneOf(STRIKE_KINDS, kind)) {
    return {
      ...{ at, kind },
      choice: Number(random.fraction().toFixed(4)),
      lastsMs: 100 + random.below(kind === "disk-full" ? 6_000 : 2_500),
      bytesFree: random.below(16) * 1_024,
    };
  }
  return {
    ...{ at, kind },
    choice: Number(random.fraction().toFixed(4)),
    place: Number(random.fraction().toFixed(4)),
    afterMs: 300 + random.below(2_700),
  };
}

function shuffled<One>(random: SeededRandomness, list: readonly One[]): One[] {
  const left = [...list];
  return list.map(() => left.splice(random.below(left.length), 1)[0] as One);
}

export function isOneOf<Kind extends FaultKind>(kinds: readonly Kind[], kind: FaultKind): kind is Kind {
  return (kinds as readonly FaultKind[]).includes(kind);
}
