/**
 * What a history is put together from. A kind of thing that can happen is added in a file of its own, beside
 * `checkpoints.ts`, `restores.ts` and `letters.ts`, whose class has {@link Turns.turns} and {@link Turns.duties}:
 *
 * 1. `setup.ts`: how often a seed has it, as a member of `Setup` whose plainest value is "never", also in `explorations.ts`.
 * 2. A turn begins it while anything can go wrong; its budget is its own, so that `begin` may answer false.
 * 3. A duty does at the end what would otherwise be left over.
 * 4. `history.ts` lists the class; `coverage.ts` names what a long run must have come through; whoever judges
 *    (`judge.ts`, `monitor.ts`, or a file of its own) says what must hold.
 */

/** Something that may begin while anything can go wrong. */
export interface Turn {
  /** How often it is drawn, beside the weights of all others; 0: never in this history. */
  readonly weight: number;
  /** @returns false when there is nothing of it to begin just now: a batch is delivered instead */
  begin(): boolean;
  /** The probability by which it begins instead of what is drawn: for what little else leads to. @default 0 */
  urgency?(): number;
  /**
   * The probability by which it begins before any call, whatever was drawn before: for what only another thing that is
   * under way leads to, when all that a history has to begin may have begun. Costs a history time at each call. @default 0
   */
  reaction?(): number;
}

/**
 * Something that is still owed once the faults have stopped.
 *
 * @returns whether anything of it was begun, or is to be waited for: false everywhere is a history's end
 */
export type Duty = () => boolean;

/** A part of a history. */
export interface Part {
  readonly turns?: readonly Turn[];
  /** In the order in which they come: one that begins something does not keep the next from it. */
  readonly duties?: readonly Duty[];
}
