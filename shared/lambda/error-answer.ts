/**
 * An error as the answer of a function that people and other functions invoke: Lambda's own form of a thrown error has
 * room for a name and a message, and none for what to do about it.
 */
import { type ErrorKind, TidemarkError } from "../errors.ts";

export interface ErrorAnswer {
  readonly error: { readonly kind: ErrorKind; readonly message: string };
}

/** Answers Tidemark's own errors; any other is thrown on, and makes the invocation one that failed. */
export async function answering<Answer>(work: () => Promise<Answer>): Promise<Answer | ErrorAnswer> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof TidemarkError)) throw thrown;
    return { error: { kind: thrown.kind, message: thrown.message } };
  }
}

/** The answer, unless it is an error, which is thrown. */
export function unlessError(answer: unknown): unknown {
  const { error } = (answer ?? {}) as Partial<ErrorAnswer>;
  if (error !== undefined) throw new TidemarkError(error.kind, error.message);
  return answer;
}
