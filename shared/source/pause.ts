import type { Clock } from "../environment.ts";

/** Waits, but no longer than until `signal` aborts: a follow read must end promptly. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return clock.sleep(ms);
  if (signal.aborted) return;
  let wake = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    wake = resolve;
  });
  signal.addEventListener("abort", wake, { once: true });
  try {
    // A timer that nobody waits for any more would keep the process alive.
    await Promise.race([clock.sleep(ms, signal), aborted]);
  } finally {
    signal.removeEventListener("abort", wake);
  }
}
