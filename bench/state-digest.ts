import { createHash } from "node:crypto";
import type { JsonValue } from "../shared/json/json-value.ts";

/** One digest for equal states, whatever order their keys and their properties came in. */
export function digestOf(states: ReadonlyMap<string, JsonValue>): string {
  const hash = createHash("sha256");
  for (const key of [...states.keys()].sort()) hash.update(JSON.stringify([key, sorted(states.get(key) ?? null)]));
  return hash.digest("hex");
}

function sorted(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}
