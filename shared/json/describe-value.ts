/** Any value in words. Values of users' code may be anything: a proxy, a getter that throws, something endless. */
import { inspect, types } from "node:util";
import { cutText } from "./cut-text.ts";

/** What a message says of a value is for people to recognise it by. */
const DESCRIPTION_BYTES_MAX = 1_000;

/** Neither getters nor methods nor traps are run, but for what `inspect` asks of prototypes. */
const SHOWN = {
  depth: 1,
  maxArrayLength: 10,
  breakLength: Number.POSITIVE_INFINITY,
  compact: true,
  customInspect: false,
  showProxy: true,
  getters: false,
} as const;

/**
 * What a value is, in at most `bytesMax` bytes. Never throws.
 * @param bytesMax - @default 1_000
 */
export function describeValue(value: unknown, bytesMax: number = DESCRIPTION_BYTES_MAX): string {
  return cutText(describeWhole(value, bytesMax), bytesMax);
}

function describeWhole(value: unknown, maxStringLength: number): string {
  try {
    if (types.isProxy(value)) return "a Proxy";
    // An error within brings its stack, whose lines would look like entries of a log.
    return inspect(value, { ...SHOWN, maxStringLength }).replaceAll(/\s*\n\s*/g, " ");
  } catch {
    return `${typeof value === "function" ? "a function" : "an object"} that cannot be described`;
  }
}
