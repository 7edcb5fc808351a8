import { TidemarkError } from "../errors.ts";

const FORMS = "Use s3://bucket/prefix, file:///absolute/path, or memory: (gone when the process ends)";

/** Why a URL names no checkpoint storage, and what would. */
export function refuseUrl(url: string, why: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The checkpoint storage ${JSON.stringify(url)} cannot be opened: ${why}. ${FORMS}.`,
  );
}
