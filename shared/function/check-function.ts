import { TidemarkError } from "../errors.ts";
import { findJsonDefect } from "../json/check-json.ts";
import { checkName, checkOptions, checkPositiveInteger, show } from "./check-options.ts";
import type { StateDefinition } from "./function-definition.ts";
import { refusalBySchema } from "./state-schema.ts";

/** The checks of `defineFunction`; `defineApp` runs them again, for a definition that was put together by hand. */
export function checkFunction(given: unknown): void {
  checkOptions("A function", given, ["name", "previousName", "event", "key", "state", "handle"]);
  checkName("The name of a function", given.name);
  const owner = `of function ${given.name}`;
  if (given.previousName !== undefined) {
    checkName(`previousName ${owner}`, given.previousName);
    if (given.previousName === given.name) {
      throw new TidemarkError(
        "fix-configuration",
        `previousName ${owner} is its own name; it must be another: the one that older checkpoints have. Leave it out.`,
      );
    }
  }
  checkSchema(`event ${owner}`, given.event);
  checkCallable(`key ${owner}`, given.key, "(event) => string");
  checkStateDefinition(owner, given.state);
  checkCallable(`handle ${owner}`, given.handle, "(state, event, context) => state");
}

function checkSchema(what: string, schema: unknown): void {
  // Some libraries' schemas are functions.
  const standard: unknown =
    (typeof schema === "object" && schema !== null) || typeof schema === "function"
      ? (schema as { "~standard"?: unknown })["~standard"]
      : undefined;
  const { version, validate } = (standard ?? {}) as { version?: unknown; validate?: unknown };
  if (version === 1 && typeof validate === "function") return;
  throw new TidemarkError(
    "fix-configuration",
    `${what} is ${show(schema)} without a "~standard" of version 1; it must be a Standard Schema (https://standardschema.dev). ` +
      "Give a schema of zod 3.24 or later, valibot 1, arktype 2, or an object with a ~standard.validate of your own.",
  );
}

function checkCallable(what: string, given: unknown, shape: string): void {
  if (typeof given === "function") return;
  throw new TidemarkError(
    "fix-configuration",
    `${what} is ${show(given)}; it must be a function ${shape}. Give such a function.`,
  );
}

function checkStateDefinition(owner: string, given: unknown): void {
  checkOptions(`state ${owner}`, given, ["version", "schema", "initial", "upgrade"]);
  const { version = 1, schema, initial, upgrade } = given;
  checkPositiveInteger(`state.version ${owner}`, version, "versions");
  checkCallable(`state.initial ${owner}`, initial, "() => state");
  if (upgrade !== undefined) checkUpgrade(owner, upgrade, version as number);
  if (schema !== undefined) checkSchema(`state.schema ${owner}`, schema);
  const first = (initial as () => unknown)();
  const defect = findJsonDefect(first, "state");
  if (defect !== undefined) {
    throw new TidemarkError(
      "fix-function",
      `state.initial ${owner} returned what is not JSON: ${defect.path} ${defect.what}. ${defect.wayOut}`,
    );
  }
  const refusal = refusalBySchema({ state: given as unknown as StateDefinition<unknown> }, first);
  if (refusal === undefined) return;
  throw new TidemarkError(
    "fix-configuration",
    `state.initial ${owner} returned a state that state.schema refuses: ${refusal}. Correct the one or the other.`,
  );
}

function checkUpgrade(owner: string, upgrade: unknown, version: number): void {
  if (typeof upgrade !== "object" || upgrade === null || Array.isArray(upgrade)) {
    throw new TidemarkError(
      "fix-configuration",
      `state.upgrade ${owner} is ${show(upgrade)}; it must be an object of functions by the version they start from: { 1: (old) => … }. Give such an object.`,
    );
  }
  const steps = Object.entries(upgrade).map(([name, step]) => {
    const from = Number(name);
    if (String(from) !== name || !Number.isSafeInteger(from) || from < 1 || from >= version) {
      throw new TidemarkError(
        "fix-configuration",
        `state.upgrade ${owner} has a step ${show(name)}; with state.version ${version} the steps are ${version === 1 ? "none" : `1 to ${version - 1}`}. ` +
          `Remove it, or raise state.version to the version that the last step makes.`,
      );
    }
    checkCallable(`state.upgrade[${name}] ${owner}`, step, "(old) => new");
    return from;
  });
  // Steps below the lowest may be gone, once nothing stored is as old; a gap is always a mistake.
  for (let from = Math.min(...steps); from < version; from++) {
    if (steps.includes(from)) continue;
    throw new TidemarkError(
      "fix-configuration",
      `state.upgrade[${from}] ${owner} is missing: state.version is ${version} and the steps given start from ${steps.join(", ")}. ` +
        `Add state.upgrade[${from}], which makes state of version ${from + 1} from state of version ${from}.`,
    );
  }
}
