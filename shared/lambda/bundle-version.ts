/** Names the version of a deployed function's code: by the bundle that it runs from, which holds the user's code too. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** Read once, when it is asked for first; a bundle of 2 MB takes some milliseconds. */
export function bundleVersion(): () => string {
  let version: string | undefined;
  return () => {
    version ??= createHash("sha256")
      .update(readFileSync(import.meta.filename))
      .digest("hex")
      .slice(0, 16);
    return version;
  };
}
