/** So many at a time: who finds no slot free waits for one, in order. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(slots: number) {
    this.#free = slots;
  }

  /** @returns what gives the slot back, once; where `signal` aborts before there is one, nothing has to be. */
  async take(signal: AbortSignal | undefined): Promise<() => void> {
    if (signal?.aborted === true) return () => {};
    if (this.#free === 0) {
      const got = await new Promise<boolean>((resolve) => {
        const turn = (): void => {
          signal?.removeEventListener("abort", leave);
          resolve(true);
        };
        const leave = (): void => {
          this.#waiting.splice(this.#waiting.indexOf(turn), 1);
          resolve(false);
        };
        this.#waiting.push(turn);
        signal?.addEventListener("abort", leave, { once: true });
      });
      if (!got) return () => {};
    } else {
      this.#free -= 1;
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      // Handed over: who waits does not have to compete for it.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
