import type { Randomness } from "../../shared/environment.ts";

/** mulberry32: small, and the same everywhere. */
export class SeededRandomness implements Randomness {
  #state: number;
  #tokens = 0;
  readonly #seed: number;
  constructor(seed: number) {
    this.#seed = seed;
    this.#state = seed;
  }
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  token(): string {
    this.#tokens += 1;
    return `t${this.#seed}x${this.#tokens}`;
  }
  below(end: number): number {
    return Math.floor(this.fraction() * end);
  }
}
