/** Checks of single values of props. Each refusal names the prop, what was given, and what to set. */
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import { asError, TidemarkError } from "../../shared/errors.ts";
import { show } from "../../shared/function/check-options.ts";
import { nearestName } from "../../shared/function/nearest-name.ts";

/** @param wayOut what it must be, and what to set: `it must be a path. Give "my-app.ts"` */
export function refuse(what: string, given: string, wayOut: string): never {
  throw new TidemarkError("fix-configuration", `${what} is ${given}; ${wayOut}.`);
}

/** Of a name that is none of the app's. */
export function refuseName(prop: string, name: string, noun: string, allowed: readonly string[]): never {
  const nearest = nearestName(name, allowed);
  const wayOut = nearest === undefined ? "Remove it" : `Did you mean ${nearest}?`;
  refuse(`A ${noun} in ${prop}`, show(name), `the app's ${noun}s are ${allowed.join(", ")}. ${wayOut}`);
}

/** What CDK refused, said of the prop that it was given by. */
export function refusedByCdk(prop: string, thrown: unknown): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown;
  return new TidemarkError("fix-configuration", `${prop}: ${asError(thrown).message}`, { cause: thrown });
}

export function checkWhole(
  what: string,
  given: unknown,
  { unit, min, max = Number.POSITIVE_INFINITY }: { readonly unit: string; readonly min: number; readonly max?: number },
): asserts given is number {
  if (typeof given === "number" && Number.isSafeInteger(given) && given >= min && given <= max) return;
  const range = max === Number.POSITIVE_INFINITY ? `at least ${min}` : `${min} to ${max}`;
  refuse(what, show(given), `it must be a whole number of ${unit}, ${range}. Give one, or leave it out`);
}

/** @param example a member of the enum, as it is written: `Tracing.ACTIVE` */
export function checkMember(what: string, given: unknown, members: object, example: string): void {
  if (given === undefined) return;
  // An enum of numbers has its numbers as names besides.
  if (Object.entries(members).some(([name, value]) => value === given && !/^\d+$/.test(name))) return;
  refuse(what, show(given), `it must be one of ${example.split(".")[0]}. Give ${example} or the like`);
}

/** Whether it is a construct, or the like, with such a member. A project may hold two copies of the CDK: classes say nothing. */
export function isMade(given: unknown, member: string): boolean {
  return typeof given === "object" && given !== null && member in given;
}

/** @param wayOut what it must be, and what to set: `a key. Give new Key(…)` */
export function checkMade(what: string, given: unknown, member: string, wayOut: string): void {
  if (given !== undefined && !isMade(given, member)) refuse(what, show(given), `it must be ${wayOut}`);
}

/** @param wayOut what they must be, and what to set: `alarm actions. Give [new SnsAction(topic)]` */
export function checkList(what: string, given: unknown, member: string, wayOut: string): void {
  if (given === undefined) return;
  if (!Array.isArray(given)) refuse(what, show(given), `it must be a list of ${wayOut}`);
  const wrong = given.findIndex((one) => !isMade(one, member));
  if (wrong >= 0) refuse(`${what}[${wrong}]`, show(given[wrong]), `it must be a list of ${wayOut}`);
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
