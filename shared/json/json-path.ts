import { describeValue } from "./describe-value.ts";

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

const SEGMENT_UNITS_MAX = 100;

/**
 * Names a place within a value as JavaScript would: `state.visits[3].at`, `state["first name"]`. Names are cut after 100
 * characters; segments that are no names, as a schema of one's own may give them, are described.
 */
export function jsonPath(root: string, segments: readonly PropertyKey[]): string {
  return segments.reduce<string>((path, segment) => path + step(segment), root);
}

function step(segment: PropertyKey): string {
  if (typeof segment !== "string") return `[${describeValue(segment, 2 * SEGMENT_UNITS_MAX)}]`;
  const name = segment.length > SEGMENT_UNITS_MAX ? `${segment.slice(0, SEGMENT_UNITS_MAX)}…` : segment;
  return IDENTIFIER.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}
