/** Waiting with a deadline: the one way in which tests of a deployment wait for anything. */
import { setTimeout as sleep } from "node:timers/promises";

/** Time enough for anything here on a machine with much else to do: most of it takes seconds. */
export const WAIT_MS = 600_000;

export interface WaitOptions {
  readonly timeoutMs: number;
  /** @default 250 */
  readonly pollMs?: number;
}

/**
 * Asks until there is an answer, and gives it.
 * @param what for the message when time is up: "a checkpoint that completed"
 * @param ask answers undefined or false for "not yet"; a throw counts as that too, and is told when time is up
 */
export async function waitUntil<Answer>(
  what: string,
  { timeoutMs, pollMs = 250 }: WaitOptions,
  ask: () => Promise<Answer | undefined | false>,
): Promise<Answer> {
  const deadlineMs = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      cause = undefined;
    } catch (thrown) {
      cause = thrown;
    }
    if (performance.now() > deadlineMs) throw new Error(`Not within ${timeoutMs / 1000} s: ${what}.`, { cause });
    await sleep(pollMs);
  }
}
