import type { Decoder } from "../source/decoding.ts";
import { textOf } from "../source/record-text.ts";

/** One JSON value, and one event: what a source reads that has no `decode`. The default of all decoders that take another. */
export const json: Decoder = (bytes, { parseJson }) => [parseJson(textOf(bytes))];
