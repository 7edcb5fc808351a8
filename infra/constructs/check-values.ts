/** Checks of single values of props. Each refusal names the prop, what was given, and what to set. */
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import { TidemarkError } from "../../shared/errors.ts";
import { show } from "../../shared/function/check-options.ts";

/** @param wayOut what it must be, and what to set: `it must be a path. Give "functions/app.ts"` */
export function refuse(what: string, given: string, wayOut: string): never {
  throw new TidemarkError("fix-configuration", `${what} is ${given}; ${wayOut}.`);
}

export function checkWhole(
  what: string,
  given: unknown,
  { unit, min, max }: { readonly unit: string; readonly min: number; readonly max: number },
): asserts given is number {
  if (typeof given === "number" && Number.isSafeInteger(given) && given >= min && given <= max) return;
  refuse(what, show(given), `it must be a whole number of ${unit}, ${min} to ${max}. Give one, or leave it out`);
}

export function checkBoolean(what: string, given: unknown): void {
  if (given === undefined || typeof given === "boolean") return;
  refuse(what, show(given), "it must be true or false. Give one of them, or leave it out");
}

export function checkRemovalPolicy(what: string, given: unknown): void {
  if (given === undefined || given === RemovalPolicy.RETAIN || given === RemovalPolicy.DESTROY) return;
  if (given === RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE) return;
  refuse(
    what,
    show(given),
    "it must be RemovalPolicy.RETAIN, RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE or RemovalPolicy.DESTROY. Give one of them, or leave it out for RETAIN",
  );
}

/** In ms, so that durations of any unit compare. */
export function checkDuration(
  what: string,
  given: unknown,
  bounds: { readonly min: Duration; readonly max?: Duration; readonly wholeSeconds?: boolean },
): asserts given is Duration {
  const range = `at least ${human(bounds.min)}${bounds.max === undefined ? "" : ` and at most ${human(bounds.max)}`}`;
  if (!(given instanceof Duration)) {
    refuse(what, show(given), `it must be a Duration of ${range}. Give Duration.minutes(…) or the like`);
  }
  const ms = given.toMilliseconds();
  const inRange = ms >= bounds.min.toMilliseconds() && ms <= (bounds.max?.toMilliseconds() ?? Number.POSITIVE_INFINITY);
  if (!inRange) refuse(what, human(given), `it must be ${range}. Give such a Duration`);
  if (bounds.wholeSeconds === true && ms % 1000 !== 0) {
    refuse(what, human(given), "it must be whole seconds. Give Duration.seconds(…)");
  }
}

function human(duration: Duration): string {
  return duration.toMilliseconds() === 0 ? "0 seconds" : duration.toHumanString();
}
