import { gunzipSync } from "node:zlib";
import { describeThrown, TidemarkError } from "../errors.ts";
import { checkOptions, checkPositiveInteger } from "../function/check-options.ts";
import type { Decoder } from "../source/decoding.ts";
import { json } from "./json.ts";

export interface GzipOptions {
  /**
   * A record that unpacks to more is a dead letter: it is in memory as a whole, and a thousand times as much may be packed into it.
   * In bytes. @default 16_777_216 (16 MiB)
   */
  readonly bytesMax?: number;
}

export const UNPACKED_BYTES_MAX = 16 * 1024 * 1024;

/**
 * A record that is packed by gzip, of one member or several. Its checksum and its end are held: what was cut short or altered is a
 * dead letter.
 *
 * @param inner - reads what was packed @default one JSON value
 */
export function gzip(inner: Decoder = json, options: GzipOptions = {}): Decoder {
  const bytesMax = bytesMaxOf("gzip", options);
  return (bytes, record) => inner(gunzip(bytes, bytesMax), record);
}

export function bytesMaxOf(decoder: string, options: GzipOptions): number {
  checkOptions(`The options of ${decoder}`, options, ["bytesMax"]);
  const { bytesMax = UNPACKED_BYTES_MAX } = options;
  checkPositiveInteger(`bytesMax of ${decoder}`, bytesMax, "bytes");
  return bytesMax;
}

/** @throws TidemarkError `fix-event` when it is no gzip, or unpacks to more */
export function gunzip(bytes: Uint8Array, bytesMax: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: bytesMax });
  } catch (cause) {
    const tooLarge = (cause as { readonly code?: unknown }).code === "ERR_BUFFER_TOO_LARGE";
    throw new TidemarkError(
      "fix-event",
      tooLarge
        ? `It unpacks to more than ${bytesMax} bytes. Write smaller records, or raise bytesMax as far as the function's memory bears: each record of a batch is unpacked.`
        : `It is no whole gzip: ${describeThrown(cause)}.`,
      { cause },
    );
  }
}
