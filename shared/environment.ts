/**
 * The one place that touches the machine's clock, timers and randomness. Everything else in `shared/`
 * takes them as arguments, so that the simulator can run the production code. No clock is trusted for
 * safety: time only decides when to try, to wait and to give up waiting.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface Randomness {
  /** Uniform in [0, 1): for jitter. */
  fraction(): number;
  /** A token that no other call, of any process, ever returns: 128 random bits as 22 URL-safe characters. */
  token(): string;
}

export const systemClock: Clock = { now: () => Date.now(), sleep: (ms) => sleep(ms) };

export const systemRandomness: Randomness = {
  fraction: () => Math.random(),
  token: () => randomBytes(16).toString("base64url"),
};
