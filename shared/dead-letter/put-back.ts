/** Puts dead letters of a function back, as people choose them: on the command line, or at a deployment's coordinator. */
import type { Clock } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import type { Position } from "../source/position.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { deadLettersPrefix } from "../storage/object-paths.ts";
import { listDeadLetters, readDeadLetter } from "./dead-letter.ts";
import { redrive } from "./redrive.ts";

/** All of a function, unless it says less. */
export interface LetterChoice {
  readonly split?: string;
  /** With `split`. */
  readonly position?: Position;
  /** Those as well that were put back and delivered before. @default false */
  readonly all?: boolean;
}

export interface PutBack {
  readonly function: string;
  readonly redriven: number;
  /** Absent: all that were chosen. Else the deadline came first; those that are folded are left alone by a next call. */
  readonly unfinished?: true;
}

/**
 * Cost: one GET a letter of the function, and one PUT for each that is put back.
 * @throws TidemarkError `fix-configuration` when the choice names a position without a split, or a letter that there is not
 */
export async function putBackLetters(
  storage: CheckpointStorage,
  { name, source }: { readonly name: string; readonly source: string },
  { split, position, all = false }: LetterChoice,
  { clock, deadlineMs = Number.POSITIVE_INFINITY }: { readonly clock: Clock; readonly deadlineMs?: number },
): Promise<PutBack> {
  if (position !== undefined && split === undefined) {
    throw new TidemarkError("fix-configuration", "A position is one of a split's: name the split as well.");
  }
  if (
    position !== undefined &&
    split !== undefined &&
    (await readDeadLetter(storage, { function: name, split, position })) === undefined
  ) {
    throw new TidemarkError(
      "fix-configuration",
      `There is no dead letter of ${name} in split ${split} at position ${position}; those that there are stand in ${storage.url} under ${deadLettersPrefix(name)}.`,
    );
  }
  let redriven = 0;
  let after: Position | undefined;
  for await (const letter of listDeadLetters(storage, name)) {
    if (split !== undefined && letter.split !== split) continue;
    if (position !== undefined && letter.position !== position) continue;
    if (letter.redrivenAs !== undefined && !all) continue;
    if (clock.now() >= deadlineMs) return { function: name, redriven, unfinished: true };
    after = await redrive(storage, letter, { clock, source, ...(after === undefined ? {} : { after }) });
    redriven += 1;
  }
  return { function: name, redriven };
}
