/**
 * How every adapter on DynamoDB sends a command: throttling is waited out until a patience ends, and what is left
 * becomes an error that says what to do.
 *
 * Invariants:
 * - Only an answer that says "throttled" is sent again here: it was not carried out. A time-out or a dropped
 *   connection is ambiguous and goes to the caller, who reads and sees (the SDK's own attempts come before that).
 * - A failed condition is no error of this kind: it passes through as `ConditionalCheckFailedException`.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { Clock, Randomness } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import { backoffMs } from "./backoff.ts";
import { asTidemarkError, isThrottling } from "./dynamodb-errors.ts";

export interface DynamoDBAccess {
  /** Its `maxAttempts`, `retryMode` and time-outs come first; Tidemark's patience begins where they end. */
  readonly client: Pick<DynamoDBClient, "send">;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /**
   * How long throttled requests and unprocessed items are tried again, in ms; then `retry` is thrown.
   * More outlasts longer bursts, and is paid for as Lambda time; keep it below the function's time-out.
   * @default 15_000
   */
  readonly patienceMs?: number;
}

export const PATIENCE_MS_DEFAULT = 15_000;

/** Waits between tries of one operation, until the patience ends. */
export interface Patience {
  /** @throws TidemarkError `retry` when the patience has ended. */
  pause(cause?: unknown): Promise<void>;
  /** Something went through: the next pause is short again, and the patience begins anew. */
  reset(): void;
}

/** @param action - what is being done to which table, to go on after "DynamoDB": `"loading 5 keys from table x"`. */
export function patience(access: DynamoDBAccess, action: string): Patience {
  const patienceMs = access.patienceMs ?? PATIENCE_MS_DEFAULT;
  let deadlineMs = access.clock.now() + patienceMs;
  let tries = 0;
  return {
    async pause(cause) {
      const delayMs = backoffMs(tries, access.randomness);
      if (access.clock.now() + delayMs > deadlineMs) {
        throw new TidemarkError(
          "retry",
          `DynamoDB kept throttling for ${patienceMs} ms while ${action}. Nothing is lost; try again later. If it goes on, raise the table's throughput or spread the keys.`,
          { cause },
        );
      }
      tries++;
      await access.clock.sleep(delayMs);
    },
    reset() {
      tries = 0;
      deadlineMs = access.clock.now() + patienceMs;
    },
  };
}

/**
 * Carries out one request, waiting out throttling.
 * @throws TidemarkError (see {@link asTidemarkError}), or ConditionalCheckFailedException as it is.
 */
export async function untilNotThrottled<Answer>(
  access: DynamoDBAccess,
  action: string,
  request: () => Promise<Answer>,
): Promise<Answer> {
  let waiting: Patience | undefined;
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (!isThrottling(error)) throw asTidemarkError(error, action);
      waiting ??= patience(access, action);
      await waiting.pause(error);
    }
  }
}
