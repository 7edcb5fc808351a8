/**
 * Further tries of a record that the user's code fails at, within the invocation that met it (protocol §4, errors).
 *
 * A record fails because of itself, or because nothing can be done just now: a service that `handle` asks is down, a
 * deploy is broken. Only in the second case does a pause help. So all tries are made at once if, after the failure, the
 * same code takes another record of the batch, and what that makes is thrown away; else the next try is the next
 * delivery's.
 */
import type { Split } from "../control/split.ts";
import type { Clock } from "../environment.ts";
import type { Position } from "../source/position.ts";

/** What the user's code is asked to do with a record; a throw is a failure. */
export type Try = () => unknown;

export interface TriesAtOnce {
  /** Tries that are left to the record. */
  readonly left: number;
  readonly again: Try;
  /** Other records of the batch, those first that are likeliest to be taken. A try that answers false tells nothing. */
  readonly others: Iterable<Try>;
  readonly clock: Clock;
  readonly deadlineMs: number;
}

export type TriedAtOnce =
  | { readonly outcome: "taken"; readonly tries: number }
  /** `tries` more, the last of which threw `thrown`. */
  | { readonly outcome: "failed"; readonly tries: number; readonly thrown: unknown };

/** How many tries a record has, before this invocation makes one. */
export function triesLeft({ failing }: Pick<Split, "failing">, triesMax: number, position: Position): number {
  return triesMax - (failing?.position === position ? failing.tries : 0);
}

/** How many other records are asked for: spread over what follows, so that a run of bad ones is looked past. */
const OTHERS_MAX = 8;

export async function tryAtOnce(options: TriesAtOnce, firstThrown: unknown): Promise<TriedAtOnce> {
  const { left, again, others, clock, deadlineMs } = options;
  let thrown = firstThrown;
  if (left < 1 || !(await takesAnother(others))) return { outcome: "failed", tries: 0, thrown };
  for (let tries = 1; ; tries += 1) {
    try {
      await again();
      return { outcome: "taken", tries };
    } catch (next) {
      thrown = next;
    }
    if (tries >= left || clock.now() >= deadlineMs) return { outcome: "failed", tries, thrown };
  }
}

async function takesAnother(others: Iterable<Try>): Promise<boolean> {
  for (const other of others) {
    try {
      if ((await other()) !== false) return true;
    } catch {
      // It says as little as the record that failed: perhaps it is as bad.
    }
  }
  return false;
}

/** Some of the indexes between `after` and `end`, evenly spread and the last one among them. */
export function* spread(after: number, end: number): Generator<number> {
  const between = end - 1 - after;
  const count = Math.min(OTHERS_MAX, between);
  for (let n = 1; n <= count; n += 1) yield after + Math.ceil((n * between) / count);
}
