/** The checks of `defineApp`. Each refusal says what was given, what is allowed, and the way out. */
import { TidemarkError } from "../errors.ts";
import { checkFunction } from "../function/check-function.ts";
import { checkName, checkOptions, checkPositiveInteger, show } from "../function/check-options.ts";
import { nearestName } from "../function/nearest-name.ts";
import {
  CHECKPOINT_INTERVAL_MS_MAX,
  CHECKPOINT_TIMEOUT_MS_MAX,
  CONSECUTIVE_DEAD_LETTERS_MAX,
  RETAINED_MAX,
  TRIES_MAX,
} from "./limits.ts";

interface CheckedBinding {
  readonly name: string;
  readonly previousName: string | undefined;
  readonly source: string;
}

export function checkApp(given: unknown): void {
  checkOptions("The app", given, ["name", "functions", "sources", "checkpointing", "deadLetters"]);
  checkName("The app's name", given.name);
  const bindings = checkFunctions(given.functions);
  checkNames(bindings);
  if (given.sources !== undefined) checkSources(given.sources, bindings);
  if (given.checkpointing !== undefined) checkCheckpointing(given.checkpointing);
  if (given.deadLetters !== undefined) checkDeadLetters(given.deadLetters);
}

function checkFunctions(given: unknown): readonly CheckedBinding[] {
  if (!Array.isArray(given) || given.length === 0) {
    throw new TidemarkError(
      "fix-configuration",
      `The app's functions are ${Array.isArray(given) ? "an empty list" : show(given)}; there must be a list of at least one. Give functions: [{ function: onTime, source: "flights" }].`,
    );
  }
  return given.map(checkBinding);
}

function checkBinding(given: unknown, index: number): CheckedBinding {
  checkOptions(`functions[${index}]`, given, ["function", "source", "startFrom"]);
  checkFunction(given.function);
  const { name, previousName } = given.function as { readonly name: string; readonly previousName?: string };
  checkName(`The source of function ${name}`, given.source);
  checkStart(name, given.startFrom);
  return { name, previousName, source: given.source };
}

function checkStart(functionName: string, given: unknown): void {
  if (given === undefined || given === "earliest") return;
  if (given instanceof Date && !Number.isNaN(given.getTime())) return;
  throw new TidemarkError(
    "fix-configuration",
    `startFrom of function ${functionName} is ${show(given)}; it must be "earliest" or a valid Date. Give new Date("2026-01-31T00:00:00Z"), or leave it out.`,
  );
}

/** State is found by its function's name, so that each name, old or new, must lead to one function. */
function checkNames(bindings: readonly CheckedBinding[]): void {
  const claims = new Map<string, string>();
  const lowerCase = new Map<string, string>();
  for (const { name } of bindings) {
    const other = lowerCase.get(name.toLowerCase());
    if (other !== undefined && other !== name) {
      throw new TidemarkError(
        "fix-configuration",
        `Functions are named ${show(other)} and ${show(name)}; names must differ in more than their case, since many file systems do not tell cases apart. Rename one.`,
      );
    }
    lowerCase.set(name.toLowerCase(), name);
    if (claims.has(name)) {
      throw new TidemarkError(
        "fix-configuration",
        `Two functions are named ${show(name)}; each function must have a name of its own, since its state is kept under it. Rename one.`,
      );
    }
    claims.set(name, `function ${name} has it for its name`);
  }
  for (const { name, previousName } of bindings) {
    if (previousName === undefined) continue;
    const claim = claims.get(previousName);
    if (claim !== undefined) {
      throw new TidemarkError(
        "fix-configuration",
        `previousName of function ${name} is ${show(previousName)}, but ${claim}; the state of an older checkpoint can go to one function only. Leave one of the two out.`,
      );
    }
    claims.set(previousName, `function ${name} has it for its previousName`);
  }
}

function checkSources(given: unknown, bindings: readonly CheckedBinding[]): void {
  const read = [...new Set(bindings.map((binding) => binding.source))];
  const wayOut = `The functions read ${read.join(", ")}.`;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new TidemarkError(
      "fix-configuration",
      `The app's sources are ${show(given)}; they must be an object of places, or of options, by the names of sources: { ${JSON.stringify(read[0])}: "data/*.jsonl" }. ${wayOut}`,
    );
  }
  for (const [name, place] of Object.entries(given)) {
    if (!read.includes(name)) {
      const nearest = nearestName(name, read);
      throw new TidemarkError(
        "fix-configuration",
        `sources names ${show(name)}, which no function reads. ${wayOut} ${nearest === undefined ? "Remove it." : `Did you mean ${nearest}?`}`,
      );
    }
    checkSource(`sources[${show(name)}]`, place);
  }
}

function checkSource(what: string, given: unknown): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    checkUrl(what, given);
    return;
  }
  checkOptions(what, given, ["url", "integers", "decode"]);
  const { url, integers, decode } = given;
  if (url !== undefined) checkUrl(`${what}.url`, url);
  if (decode !== undefined && typeof decode !== "function") {
    throw new TidemarkError(
      "fix-configuration",
      `${what}.decode is ${show(decode)}; it must be a function (bytes, record) => events. Give one of "tidemark/decode" (kpl(), gzip(), …), or your own.`,
    );
  }
  if (integers === undefined || integers === "exact" || integers === "text" || integers === "refuse") return;
  throw new TidemarkError(
    "fix-configuration",
    `${what}.integers is ${show(integers)}; it must be "exact" (integers beyond 2^53 are BigInts), "text" (they are text) or "refuse" (their records are dead letters). Give one of them, or leave it out for "exact".`,
  );
}

function checkUrl(what: string, given: unknown): void {
  if (typeof given === "string" && given !== "") return;
  throw new TidemarkError(
    "fix-configuration",
    `${what} is ${show(given)}; it must be a path or glob of files ("data/*.jsonl") or "kinesis:STREAM". Give one, or leave it out and pass --source.`,
  );
}

function checkCheckpointing(given: unknown): void {
  checkOptions("checkpointing", given, ["intervalMs", "mode", "timeoutMs", "retained"]);
  const { intervalMs, mode, timeoutMs, retained } = given;
  if (intervalMs !== undefined) {
    checkPositiveInteger("checkpointing.intervalMs", intervalMs, "milliseconds", CHECKPOINT_INTERVAL_MS_MAX);
  }
  if (timeoutMs !== undefined) {
    checkPositiveInteger("checkpointing.timeoutMs", timeoutMs, "milliseconds", CHECKPOINT_TIMEOUT_MS_MAX);
  }
  if (retained !== undefined) checkPositiveInteger("checkpointing.retained", retained, "checkpoints", RETAINED_MAX);
  if (mode === undefined || mode === "exactly-once" || mode === "at-least-once") return;
  throw new TidemarkError(
    "fix-configuration",
    `checkpointing.mode is ${show(mode)}; it must be "exactly-once" or "at-least-once". Give one of them, or leave it out for "exactly-once".`,
  );
}

function checkDeadLetters(given: unknown): void {
  checkOptions("deadLetters", given, ["triesMax", "maxConsecutiveDeadLetters"]);
  const { triesMax, maxConsecutiveDeadLetters } = given;
  if (triesMax !== undefined) checkPositiveInteger("deadLetters.triesMax", triesMax, "tries", TRIES_MAX);
  if (maxConsecutiveDeadLetters !== undefined) {
    checkPositiveInteger(
      "deadLetters.maxConsecutiveDeadLetters",
      maxConsecutiveDeadLetters,
      "records",
      CONSECUTIVE_DEAD_LETTERS_MAX,
    );
  }
}
