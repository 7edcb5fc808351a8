/**
 * The one place that touches the machine's clock, timers and randomness. Everything else in `shared/`
 * takes them as arguments, so that the simulator can run the production code. No clock is trusted for
 * safety: time only decides when to try, to wait and to give up waiting.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

declare global {
  /**
   * A bundler's constant (`bundleDefines` of `lambda/`), there in bundles that are made for a deployment: the definitions
   * were checked when the bundler loaded them, the protocol's steps by its tests, and the storage is Amazon's own. The code
   * that checks them again is left out of such a bundle; everywhere else it runs.
   */
  const TIDEMARK_CHECKED: true | undefined;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** @param signal ends it early, without an error; a clock of a test may leave that to its caller */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Randomness {
  /** Uniform in [0, 1): for jitter. */
  fraction(): number;
  /** A token that no other call, of any process, ever returns: 128 random bits as 22 URL-safe characters. */
  token(): string;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await sleep(ms, undefined, signal === undefined ? {} : { signal });
    } catch (thrown) {
      if (signal?.aborted !== true) throw thrown;
    }
  },
};

export const systemRandomness: Randomness = {
  fraction: () => Math.random(),
  token: () => randomBytes(16).toString("base64url"),
};
