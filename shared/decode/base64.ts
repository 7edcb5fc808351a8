import { TidemarkError } from "../errors.ts";
import type { Decoder } from "../source/decoding.ts";
import { json } from "./json.ts";

/** Of either alphabet, with or without padding. Node itself passes over what is no base64. */
const BASE64 = /^(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}$/;

/**
 * A record that is base64 in its turn, as some producers encode what the SDK encodes once more. Either alphabet, with or
 * without padding; line breaks are passed over.
 *
 * @param inner - reads what was encoded @default one JSON value
 */
export function base64(inner: Decoder = json): Decoder {
  return (bytes, record) => {
    const text = Buffer.from(bytes)
      .toString("latin1")
      .replace(/[\r\n]+/g, "");
    const digits = text.replace(/=+$/, "");
    // One digit holds six bits of a byte; padding fills up to four, or is left out.
    const padding = text.length - digits.length;
    if (!BASE64.test(text) || digits.length % 4 === 1 || (padding > 0 && text.length % 4 !== 0)) {
      throw new TidemarkError("fix-event", "It is no base64.");
    }
    return inner(Buffer.from(digits, "base64"), record);
  };
}
