/**
 * What the parts that run no user code (coordinator, snapshot, restore, CLI) know of an app: data alone, every
 * default filled in. Made from the app module by `describeApp`; carried in settings.
 */
import type { CheckpointingMode } from "./define-app.ts";

export interface FunctionDescription {
  readonly name: string;
  readonly previousName?: string;
  readonly source: string;
  readonly stateVersion: number;
  /** Earlier records are dropped; absent: none is. Ms since 1970. */
  readonly startTimeMs?: number;
}

export interface AppDescription {
  readonly name: string;
  readonly functions: readonly FunctionDescription[];
  readonly checkpointing: {
    /** Absent: checkpoints are taken only when asked for. */
    readonly intervalMs?: number;
    readonly mode: CheckpointingMode;
    readonly timeoutMs: number;
    readonly retained: number;
  };
  readonly deadLetters: { readonly triesMax: number; readonly maxConsecutiveDeadLetters: number };
}
