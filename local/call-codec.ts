/**
 * How calls cross from one process of an engine to another: over the channel between a supervisor and its workers, and over
 * the control of a live run.
 *
 * Invariants:
 * - A value comes out as it went in: `undefined` (as an argument, a member, an element), BigInt, NaN, -0, dates, bytes, maps and sets
 *   among them. Both ways are V8's structured clone; the channel between processes does it by itself (`forkModule`).
 * - What was thrown comes out with its kind, name, message, stack, plain fields and causes: structured clone alone would make a
 *   plain `Error` of a `TidemarkError`. It crosses as a {@link SentError}.
 */
import { deserialize, serialize } from "node:v8";
import { asError, describeThrown, type ErrorKind, TidemarkError } from "../shared/errors.ts";

/** A thrown error as data: what it says, and what its catcher should do. */
export interface SentError {
  readonly kind?: ErrorKind;
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  /** Further fields that are text, numbers, true or false: a system's `code`. */
  readonly fields?: { readonly [name: string]: string | number | boolean | bigint };
  readonly cause?: SentError;
}

/** What the content of {@link encodeCall} is called where a protocol asks. The number changes when the form does. */
export const CALL_CONTENT_TYPE = "application/vnd.tidemark.call.1";

/** @throws DOMException when the value holds what cannot be cloned: a function, a promise */
export function encodeCall(value: unknown): Buffer {
  return serialize(value);
}

/** @throws Error when the bytes are not what this version of Node reads */
export function decodeCall(bytes: Buffer): unknown {
  return deserialize(bytes);
}

/** A row of causes is followed so far: it may be a ring. */
const CAUSES_MAX = 8;
const OWN = new Set(["name", "message", "stack", "cause", "kind"]);

/** Never throws, whatever was thrown. */
export function sendError(thrown: unknown): SentError {
  try {
    return sent(thrown, 0);
  } catch {
    // A member of it throws when it is looked at.
    return { name: "Error", message: describeThrown(thrown) };
  }
}

function sent(thrown: unknown, depth: number): SentError {
  const error = asError(thrown);
  const { name, message, stack, cause } = error;
  // The app may have brought a copy of this package of its own, whose errors are no instances of this one's.
  const kind = name === "TidemarkError" ? (error as TidemarkError).kind : undefined;
  const fields = Object.entries(error).filter(([field, value]) => !OWN.has(field) && isPlain(value));
  return {
    name: String(name),
    message: String(message),
    ...(typeof stack === "string" ? { stack } : {}),
    ...(kind === undefined ? {} : { kind }),
    ...(fields.length === 0 ? {} : { fields: Object.fromEntries(fields) as NonNullable<SentError["fields"]> }),
    ...(cause === undefined || depth >= CAUSES_MAX ? {} : { cause: sent(cause, depth + 1) }),
  };
}

const isPlain = (value: unknown): boolean => ["string", "number", "boolean", "bigint"].includes(typeof value);

/** The error on the other side, with the stack of where it was thrown. */
export function receiveError({ kind, name, message, stack, fields = {}, cause }: SentError): Error {
  const options = cause === undefined ? {} : { cause: receiveError(cause) };
  const error = kind === undefined ? new Error(message, options) : new TidemarkError(kind, message, options);
  if (kind === undefined) Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  if (stack !== undefined) error.stack = stack;
  return Object.assign(error, fields);
}
