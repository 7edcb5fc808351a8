/**
 * So many at a time: who finds no slot free waits for one, in order. A hundred thousand may wait, all for one signal: it is
 * listened to once, since an event target looks through its listeners for each that is added.
 */
export class Slots {
  #free: number;
  #waiting: { readonly signal: AbortSignal | undefined; readonly resolve: (got: boolean) => void }[] = [];
  readonly #heard = new WeakSet<AbortSignal>();

  constructor(slots: number) {
    this.#free = slots;
  }

  /** @returns what gives the slot back, once; where `signal` aborts before there is one, nothing has to be. */
  async take(signal: AbortSignal | undefined): Promise<() => void> {
    if (signal?.aborted === true) return () => {};
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      if (signal !== undefined) this.#hear(signal);
      const got = await new Promise<boolean>((resolve) => this.#waiting.push({ signal, resolve }));
      if (!got) return () => {};
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      // Handed over: who waits does not have to compete for it.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next.resolve(true);
    };
  }

  #hear(signal: AbortSignal): void {
    if (this.#heard.has(signal)) return;
    this.#heard.add(signal);
    signal.addEventListener(
      "abort",
      () => {
        const leaving = this.#waiting.filter((waiting) => waiting.signal === signal);
        this.#waiting = this.#waiting.filter((waiting) => waiting.signal !== signal);
        for (const { resolve } of leaving) resolve(false);
      },
      { once: true },
    );
  }
}
