/** Checks of what a user wrote into `defineFunction` and `defineApp`: each refusal says what was given, what is allowed, and the way out. */
import { types } from "node:util";
import { TidemarkError } from "../errors.ts";
import { nearestName } from "./nearest-name.ts";

/** Names of apps, functions and sources: they become parts of table names, settings and paths. */
export const NAME_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

/** What was given, short enough for a message. */
export function show(given: unknown): string {
  if (typeof given === "function") {
    const name: unknown = types.isProxy(given) ? undefined : Object.getOwnPropertyDescriptor(given, "name")?.value;
    return `the function ${typeof name === "string" && name !== "" ? name : "(unnamed)"}`;
  }
  if (typeof given === "bigint") return `${given}n`;
  if (typeof given === "object" && given !== null) {
    if (types.isProxy(given)) return "a Proxy";
    if (types.isDate(given)) return Number.isNaN(given.getTime()) ? "an invalid Date" : given.toISOString();
    return Array.isArray(given) ? "an array" : "an object";
  }
  if (typeof given !== "string") return String(given);
  return JSON.stringify(given.length > 100 ? `${given.slice(0, 100)}…` : given);
}

/** `what` names the option in the user's words: `The name of a function`. */
export function checkName(what: string, given: unknown): asserts given is string {
  if (typeof given === "string" && NAME_PATTERN.test(given)) return;
  throw new TidemarkError(
    "fix-configuration",
    `${what} is ${show(given)}; it must be 1 to 64 of the characters A-Z, a-z, 0-9, "-" and "_". Give it such a name.`,
  );
}

export function checkPositiveInteger(what: string, given: unknown, unit: string, max = Number.MAX_SAFE_INTEGER): void {
  if (typeof given === "number" && Number.isSafeInteger(given) && given >= 1 && given <= max) return;
  const bound = max === Number.MAX_SAFE_INTEGER ? "" : ` and at most ${max.toLocaleString("en-US")}`;
  throw new TidemarkError(
    "fix-configuration",
    `${what} is ${show(given)}; it must be a whole number of ${unit}, at least 1${bound}. Give one, or leave the option out for its default.`,
  );
}

/** Refuses what is no object of options, and names that no option has: a misspelt option would silently be its default. */
export function checkOptions<Name extends string>(
  what: string,
  given: unknown,
  allowed: readonly Name[],
): asserts given is { readonly [name in Name]?: unknown } {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new TidemarkError(
      "fix-configuration",
      `${what} is ${show(given)}; it must be an object with the options ${allowed.join(", ")}. Give such an object.`,
    );
  }
  for (const name of Object.keys(given)) {
    if ((allowed as readonly string[]).includes(name)) continue;
    const nearest = nearestName(name, allowed);
    throw new TidemarkError(
      "fix-configuration",
      `${what} has no option ${show(name)}; its options are ${allowed.join(", ")}. ${nearest === undefined ? "Remove it." : `Did you mean ${nearest}?`}`,
    );
  }
}
