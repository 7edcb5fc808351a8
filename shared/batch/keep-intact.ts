/** What a batch does about users' code that changes the language's own objects (`built-ins.ts`). */
import { ChangedBuiltInsError, findChange } from "../built-ins.ts";

/**
 * What users' code answers for so many records, unless it changed the language's own objects. Of one record by itself, and
 * where the change could be undone, that is a failure like any other.
 * @throws ChangedBuiltInsError otherwise: nothing that was made can be relied on, and nothing of it is written
 */
export async function keepIntact<Answer>(
  records: number,
  userCode: () => Promise<Answer>,
  failed: (thrown: ChangedBuiltInsError) => Answer,
): Promise<Answer> {
  let answer: Answer;
  try {
    answer = await userCode();
  } catch (fault) {
    throw findChange() ?? fault;
  }
  const change = findChange();
  if (change === undefined) return answer;
  if (records > 1 || !change.undone) throw change;
  return failed(change);
}

/**
 * Runs a batch, and again where a change could be undone: each Begin halves the batch, until the record that makes the change
 * is alone.
 */
export async function againWhereUndone<Answer>(isLate: () => boolean, run: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    // Changed since the batch before, by what goes on beside it.
    const change = findChange();
    if (change !== undefined) throw change;
    try {
      return await run();
    } catch (thrown) {
      if (!(thrown instanceof ChangedBuiltInsError && thrown.undone) || isLate()) throw thrown;
    }
  }
}
