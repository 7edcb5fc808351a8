import type { Clock } from "../../shared/environment.ts";

/** A clock that moves only when slept on, and writes down for how long. */
export function recordingClock(): Clock & { readonly sleeps: readonly number[] } {
  let nowMs = 1_000_000;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => nowMs,
    async sleep(ms) {
      sleeps.push(ms);
      nowMs += ms;
    },
  };
}
