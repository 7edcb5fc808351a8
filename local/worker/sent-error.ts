import { asError, TidemarkError } from "../../shared/errors.ts";
import type { SentError } from "./worker-messages.ts";

/** What was thrown, whatever it is, as data that can cross a process boundary without losing what its catcher should do. */
export function sendError(thrown: unknown): SentError {
  const error = asError(thrown);
  const { name, message, stack } = error;
  // The app may have brought a copy of this package of its own, whose errors are no instances of this one's.
  const kind = name === "TidemarkError" ? (error as TidemarkError).kind : undefined;
  return { name, message, ...(stack === undefined ? {} : { stack }), ...(kind === undefined ? {} : { kind }) };
}

/** The error on the other side, with the stack of where it was thrown. */
export function receiveError(sent: SentError): Error {
  const error =
    sent.kind === undefined
      ? Object.assign(new Error(sent.message), { name: sent.name })
      : new TidemarkError(sent.kind, sent.message);
  if (sent.stack !== undefined) error.stack = sent.stack;
  return error;
}
