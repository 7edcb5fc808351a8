import { TidemarkError } from "../../shared/errors.ts";
import type { SentError } from "./worker-messages.ts";

/** An error that can cross a process boundary without losing what its catcher should do. */
export function sendError(thrown: unknown): SentError {
  if (!(thrown instanceof Error)) return { name: "Error", message: String(thrown) };
  const { name, message, stack } = thrown;
  const kind = name === "TidemarkError" ? (thrown as TidemarkError).kind : undefined;
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
