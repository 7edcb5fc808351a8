import { InvalidArgumentError } from "commander";
import { workersMax } from "../local/workers-max.ts";
import { BATCH_WINDOW_MS_MAX, CHECKPOINT_INTERVAL_MS_MAX } from "../shared/app/limits.ts";

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `500ms`, `5s`, `1.5m` or `1h`. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text.trim());
  const ms = match === null ? Number.NaN : Number(match[1]) * (UNITS_MS[match[2] as string] as number);
  if (Number.isFinite(ms) && Number.isSafeInteger(Math.round(ms))) return Math.round(ms);
  throw new InvalidArgumentError("Give a number with its unit: 500ms, 5s, 1m, 1h.");
}

/** Parses a duration of so much at the most; `most` is it in words. */
export function durationUpTo(maxMs: number, most: string): (text: string) => number {
  return (text) => {
    const ms = parseDuration(text);
    if (ms <= maxMs) return ms;
    throw new InvalidArgumentError(`Give at most ${most}.`);
  };
}

/** Parses a whole number from 1 to so much. */
export function countUpTo(max: number, why = ""): (text: string) => number {
  return (text) => {
    // More digits than a number holds are too many whatever they are.
    const count = /^\d{16,}$/.test(text) ? Number.POSITIVE_INFINITY : parseCount(text);
    if (count <= max) return count;
    throw new InvalidArgumentError(
      `Give a whole number of at least 1 and at most ${max.toLocaleString("en-US")}${why}.`,
    );
  };
}

/** A whole number of at least 1. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count >= 1) return count;
  throw new InvalidArgumentError("Give a whole number of at least 1.");
}

/** Time between checkpoints. */
export const INTERVAL = durationUpTo(CHECKPOINT_INTERVAL_MS_MAX, "168h (7 days)");
export const BATCH_WINDOW = durationUpTo(BATCH_WINDOW_MS_MAX, "5m, as on Lambda");
export const WORKERS = countUpTo(workersMax(), ", which is what this machine can bear");

/** A moment, as ISO 8601. */
export function parseTime(text: string): Date {
  const time = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError('Give a time as ISO 8601: "2026-01-31T12:00:00Z".');
}

/** For people: `850 ms`, `12.3 s`, `4 min 5 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}
