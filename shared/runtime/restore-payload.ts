/** What the restore function is invoked with, read strictly: a misspelt field must never restore something else. */
import type { RestoreHold } from "../control/control.ts";
import { TidemarkError } from "../errors.ts";
import { nearestName } from "../function/nearest-name.ts";
import type { RestoreChoice } from "../restore/restore.ts";

export type RestoreCommand =
  | { readonly do: "restore"; readonly choice: RestoreChoice }
  | { readonly do: "status" }
  | { readonly do: "go-on" };

const FIELDS = [
  "checkpoint",
  "before",
  "savepoint",
  "until",
  "dryRun",
  "allowNonRestoredState",
  "status",
  "goOn",
] as const;
type Payload = { readonly [Field in (typeof FIELDS)[number]]?: unknown };

const EXAMPLES =
  'Examples: {} (the latest checkpoint), {"checkpoint":42}, {"before":"2026-01-31T12:00:00Z"}, {"savepoint":"NAME"}, {"dryRun":true}, {"until":"2026-01-31T12:00:00Z"}, {"goOn":true}, {"status":true}.';

/** @throws TidemarkError `fix-configuration` naming the field, what it is, and what it must be */
export function parseRestorePayload(event: unknown, nowMs: number): RestoreCommand {
  const payload = fieldsOf(event);
  const status = wish(payload, "status");
  const goOn = wish(payload, "goOn");
  if (status || goOn) {
    const alone = status ? "status" : "goOn";
    const other = FIELDS.find((field) => field !== alone && payload[field] !== undefined && payload[field] !== false);
    if (other !== undefined) throw refused(`${alone} is given with ${other}; ${alone} goes alone`);
    return { do: status ? "status" : "go-on" };
  }
  const { checkpoint, savepoint, until } = payload;
  const named = (["checkpoint", "before", "savepoint"] as const).filter((field) => payload[field] !== undefined);
  if (named.length > 1) throw refused(`${named.join(" and ")} each name a checkpoint; give one of them`);
  if (checkpoint !== undefined && !(Number.isSafeInteger(checkpoint) && (checkpoint as number) >= 1)) {
    throw refused(`checkpoint is ${show(checkpoint)}; it must be a checkpoint's number, like 42`);
  }
  if (savepoint !== undefined && (typeof savepoint !== "string" || savepoint === "")) {
    throw refused(`savepoint is ${show(savepoint)}; it must be a savepoint's name`);
  }
  const choice: RestoreChoice = {
    ...(checkpoint === undefined ? {} : { checkpoint: checkpoint as number }),
    ...(payload.before === undefined ? {} : { before: new Date(timeOf("before", payload.before)) }),
    ...(savepoint === undefined ? {} : { savepoint: savepoint as string }),
    ...(until === undefined ? {} : { until: holdOf(until, nowMs) }),
    ...(flag(payload, "dryRun") ? { dryRun: true } : {}),
    ...(flag(payload, "allowNonRestoredState") ? { allowNonRestoredState: true } : {}),
  };
  return { do: "restore", choice };
}

function fieldsOf(event: unknown): Payload {
  if (event === undefined || event === null) return {};
  if (typeof event !== "object" || Array.isArray(event))
    throw refused(`the payload is ${show(event)}; it must be an object`);
  for (const field of Object.keys(event)) {
    if ((FIELDS as readonly string[]).includes(field)) continue;
    const near = nearestName(field, FIELDS);
    throw refused(
      `there is no field ${JSON.stringify(field)}; ${near === undefined ? `there are ${FIELDS.join(", ")}` : `did you mean ${near}?`}`,
    );
  }
  return event;
}

/** What asks for something else than a restore: one that is false would ask for a restore after all. */
function wish(payload: Payload, field: "status" | "goOn"): boolean {
  if (payload[field] === undefined || payload[field] === true) return payload[field] === true;
  throw refused(`${field} is ${show(payload[field])}; it must be true, or be left out to restore`);
}

function flag(payload: Payload, field: "dryRun" | "allowNonRestoredState"): boolean {
  const given = payload[field];
  if (given === undefined || typeof given === "boolean") return given === true;
  throw refused(`${field} is ${show(given)}; it must be true or false`);
}

/** With a zone: a time without one would be taken for whatever zone this function runs in. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/;

function timeOf(field: string, given: unknown): number {
  const ms = typeof given === "string" && ISO_TIME.test(given) ? Date.parse(given) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw refused(`${field} is ${show(given)}; it must be a time with its zone, like "2026-01-31T12:00:00Z"`);
  }
  return ms;
}

function holdOf(until: unknown, nowMs: number): RestoreHold {
  if (typeof until === "object" && until !== null && !Array.isArray(until)) return { positions: positionsOf(until) };
  const arrivedByMs = timeOf("until", until);
  if (arrivedByMs > nowMs) {
    throw refused(`until is ${show(until)}, which is still to come; records are replayed up to a time that is past`);
  }
  return { arrivedByMs };
}

function positionsOf(given: object): NonNullable<RestoreHold["positions"]> {
  for (const [name, splits] of Object.entries(given)) {
    const fits =
      typeof splits === "object" &&
      splits !== null &&
      Object.keys(splits).length > 0 &&
      Object.values(splits).every((position) => typeof position === "string");
    if (!fits) {
      throw refused(
        `until[${JSON.stringify(name)}] is ${show(splits)}; it must be positions by split, as a status shows them: {"on-time":{"shardId-000000000000":"00…17"}}`,
      );
    }
  }
  if (Object.keys(given).length === 0)
    throw refused("until is {}; it must be a time, or positions by function and split");
  return given as NonNullable<RestoreHold["positions"]>;
}

function show(given: unknown): string {
  return JSON.stringify(given)?.slice(0, 100) ?? String(given);
}

function refused(why: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The restore was not asked for, and nothing was changed: ${why}${why.endsWith("?") ? "" : "."} ${EXAMPLES}`,
  );
}
