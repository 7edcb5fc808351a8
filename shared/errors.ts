/**
 * What the caller should do about an error. Closed: every error Tidemark raises has one of these.
 *
 * - `retry`: nothing is wrong with what was asked; ask again later (throttling, a store out of reach).
 * - `fix-configuration`: a setting, a permission, a table, a bucket or a command line is wrong.
 * - `fix-function`: the user's code threw, returned what is not state, or is older than the state it met.
 * - `fix-event`: a record is not what its function's schema takes.
 * - `choose-another-checkpoint`: this checkpoint cannot be restored; the message names one that can.
 * - `report-bug`: an invariant of the protocol does not hold.
 */
export type ErrorKind =
  | "retry"
  | "fix-configuration"
  | "fix-function"
  | "fix-event"
  | "choose-another-checkpoint"
  | "report-bug";

/** Every error that Tidemark raises on purpose. The message says what was given, what is allowed, and the way out. */
export class TidemarkError extends Error {
  override readonly name = "TidemarkError";
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

/** Throws at once when an invariant of the protocol is broken: going on could only do harm. */
export function invariant(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new TidemarkError("report-bug", `Broken invariant: ${promise}. Please report this as a bug.`);
}

/** The text of anything thrown, for messages and dead letters. */
export function describeThrown(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}
