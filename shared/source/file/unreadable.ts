import { TidemarkError } from "../../errors.ts";

/** @param reason a clause: what became of a file that was read before */
export function unreadable(file: string, reason: string): TidemarkError {
  return notReadable(
    file,
    `${reason}. Put back the file that was read before, or bind the function to a file that is right`,
  );
}

/** @param reason a clause with the way out: what is wrong with the file itself */
export function notReadable(file: string, reason: string): TidemarkError {
  return new TidemarkError("fix-configuration", `${file} cannot be read on: ${reason}.`);
}
