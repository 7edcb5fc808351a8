/**
 * Where every decision of a history comes from: the order of calls, faults, the workload, time.
 *
 * Invariants:
 * - A history asks nothing else, so that its choices, written down, are the history.
 * - 0 is always the plainest answer (no fault, go on with the same process), so that a history is simplified by making
 *   its numbers smaller and its list shorter.
 */
export interface Choices {
  /** One of 0 … `end - 1`; 0 where there is no choice. */
  below(end: number): number;
  /** Whether something of this probability happens. */
  chance(probability: number): boolean;
}

/** mulberry32: small, and the same everywhere. */
export class SeededChoices implements Choices {
  /** Everything that was answered, in order; recorded where asked for. */
  readonly taken: number[] = [];
  readonly #recorded: boolean;
  #state: number;

  constructor(seed: number, options: { readonly recorded: boolean }) {
    this.#recorded = options.recorded;
    // Neighbouring seeds would begin alike otherwise.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ (seed >>> 13);
    this.#fraction();
  }

  below(end: number): number {
    if (end <= 1) return 0;
    return this.#take(Math.floor(this.#fraction() * end));
  }

  chance(probability: number): boolean {
    if (probability <= 0) return false;
    return this.#take(this.#fraction() < probability ? 1 : 0) === 1;
  }

  #take(answer: number): number {
    if (this.#recorded) this.taken.push(answer);
    return answer;
  }

  #fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Answers from a list; past its end, 0. */
export class ListedChoices implements Choices {
  /** What was answered and of how many: the list of this history in its plainest form. */
  readonly taken: number[] = [];
  readonly ends: number[] = [];
  readonly #list: readonly number[];

  constructor(list: readonly number[]) {
    this.#list = list;
  }

  below(end: number): number {
    if (end <= 1) return 0;
    const answer = Math.min(this.#list[this.taken.length] ?? 0, end - 1);
    this.taken.push(answer);
    this.ends.push(end);
    return answer;
  }

  chance(probability: number): boolean {
    if (probability <= 0) return false;
    return this.below(2) === 1;
  }
}
