import { types } from "node:util";
import { cutText } from "./json/cut-text.ts";
import { describeValue } from "./json/describe-value.ts";

/**
 * What the caller should do about an error. Closed: every error Tidemark raises has one of these.
 *
 * - `retry`: nothing is wrong with what was asked; ask again later (throttling, a store out of reach).
 * - `fix-configuration`: a setting, a permission, a table, a bucket or a command line is wrong.
 * - `fix-function`: the user's code threw, returned what is not state, or is older than the state it met.
 * - `fix-event`: a record is not what its function's schema takes.
 * - `choose-another-checkpoint`: this checkpoint cannot be restored; the message names one that can.
 * - `report-bug`: an invariant of the protocol does not hold.
 */
export type ErrorKind =
  | "retry"
  | "fix-configuration"
  | "fix-function"
  | "fix-event"
  | "choose-another-checkpoint"
  | "report-bug";

/** A message names what a producer or a user's code gave, however long that was, and may be stored and sent. In bytes of UTF-8. */
const MESSAGE_BYTES_MAX = 16_384;

/**
 * Every error that Tidemark raises on purpose. The message says what was given, what is allowed, and the way out; it is
 * cut after 16 KB.
 */
export class TidemarkError extends Error {
  override readonly name = "TidemarkError";
  readonly kind: ErrorKind;
  readonly #made = true;

  constructor(kind: ErrorKind, message: string, options?: { readonly cause?: unknown }) {
    super(cutText(message, MESSAGE_BYTES_MAX), options);
    this.kind = kind;
  }

  /** As ever, but that asking it of what users' code threw cannot throw in its turn: a proxy's traps are not run. */
  static override [Symbol.hasInstance](thrown: unknown): boolean {
    if (typeof thrown !== "object" || thrown === null || !(#made in thrown)) return false;
    // biome-ignore lint/complexity/noThisInStatic: of a subclass, whatever is none of its own is no instance either
    return Function.prototype[Symbol.hasInstance].call(this, thrown);
  }
}

/** Throws at once when an invariant of the protocol is broken: going on could only do harm. */
export function invariant(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new TidemarkError("report-bug", `Broken invariant: ${promise}. Please report this as a bug.`);
}

/** What a dead letter keeps of an error, and a split's item until then: the letter is made from it. In bytes of UTF-8. */
export const ERROR_BYTES_MAX = 8_192;

/** How many errors of an AggregateError are named. */
const ERRORS_SHOWN_MAX = 3;

const NAME_BYTES_MAX = 200;

/**
 * The text of anything thrown, for messages, items and dead letters, in at most `bytesMax` bytes. Users' code may throw
 * whatever it likes (no error at all, one whose message is a getter that throws, a revoked proxy): this never throws.
 * @param bytesMax - @default 8_192
 */
export function describeThrown(thrown: unknown, bytesMax: number = ERROR_BYTES_MAX): string {
  if (typeof thrown === "string") return thrown === "" ? "an empty text" : cutText(thrown, bytesMax);
  return isError(thrown) ? cutText(describeError(thrown), bytesMax) : describeValue(thrown, bytesMax);
}

/**
 * What was thrown as an error that may be thrown on to whoever reads its name, message and stack: itself where these are
 * text, and not long; else another that says the same.
 */
export function asError(thrown: unknown): Error {
  if (thrown instanceof TidemarkError) return thrown;
  if (types.isNativeError(thrown)) {
    const texts = [read(thrown, "name"), read(thrown, "message"), read(thrown, "stack")];
    if (texts.every((text) => typeof text === "string" && text !== UNREADABLE && text.length <= 2 * ERROR_BYTES_MAX)) {
      return thrown;
    }
  }
  return new Error(describeThrown(thrown));
}

/** Errors of other realms too, and what only inherits from one. */
function isError(thrown: unknown, kind: new (...given: never[]) => Error = Error): thrown is object {
  try {
    return (kind === Error && types.isNativeError(thrown)) || thrown instanceof kind;
  } catch {
    return false;
  }
}

function describeError(error: object): string {
  const said = [describeMessage(error), isError(error, AggregateError) ? describeErrors(read(error, "errors")) : ""];
  const message = said.filter((text) => text !== "").join(" ");
  const name = read(error, "name");
  const called = typeof name === "string" && name !== "" ? cutText(name, NAME_BYTES_MAX) : "Error";
  return message === "" ? called : `${called}: ${message}`;
}

function describeMessage(error: object): string {
  const message = read(error, "message");
  if (message === undefined) return "";
  return typeof message === "string" ? message : describeValue(message);
}

/** What an AggregateError holds, which often has no message of its own. */
function describeErrors(errors: unknown): string {
  if (types.isProxy(errors) || !Array.isArray(errors) || errors.length === 0) return "";
  const shown: string[] = [];
  for (let index = 0; index < Math.min(errors.length, ERRORS_SHOWN_MAX); index++) {
    const error = read(errors, index);
    // Of an error its message alone: what it holds may lead back to where this began.
    shown.push(cutText(isError(error) ? describeMessage(error) : describeValue(error), 1_000));
  }
  const more = errors.length - shown.length;
  return `(${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""})`;
}

const UNREADABLE = "(it cannot be read)";

function read(object: object, member: PropertyKey): unknown {
  try {
    return (object as { readonly [name: PropertyKey]: unknown })[member];
  } catch {
    return UNREADABLE;
  }
}
