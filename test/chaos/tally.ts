/** Which faults happened, how often, and amid what. */
import { FAULT_KINDS, type FaultKind } from "./plan.ts";

/** What the app was doing when a process was struck. */
export type Amid = "checkpoint" | "restore" | undefined;

export interface FaultCount {
  readonly kind: FaultKind;
  readonly times: number;
  /** Of these, in the middle of a checkpoint or of a restore. */
  readonly amidCheckpoint: number;
  readonly amidRestore: number;
}

export class Tally {
  /** Kinds that cannot happen on this machine, and why. */
  readonly impossible = new Map<FaultKind, string>();
  private readonly counts = new Map<FaultKind, { times: number; amidCheckpoint: number; amidRestore: number }>();

  happened(kind: FaultKind, amid?: Amid): void {
    const count = this.counts.get(kind) ?? { times: 0, amidCheckpoint: 0, amidRestore: 0 };
    count.times += 1;
    if (amid === "checkpoint") count.amidCheckpoint += 1;
    if (amid === "restore") count.amidRestore += 1;
    this.counts.set(kind, count);
  }

  /** All kinds, those that never happened included. */
  get faults(): readonly FaultCount[] {
    return FAULT_KINDS.map((kind) => ({
      kind,
      ...(this.counts.get(kind) ?? { times: 0, amidCheckpoint: 0, amidRestore: 0 }),
    }));
  }
}
