import type { Integers } from "../json/parse-json.ts";

export type { Integers };

/** How the records of a source are decoded: what the app module says of it, with its defaults. */
export interface Decoding {
  readonly integers: Integers;
}

export const DEFAULT_DECODING: Decoding = { integers: "exact" };
