/**
 * Records are text in UTF-8. Bytes that are none never become U+FFFD, which would make one key of two: they stay bytes,
 * and the record becomes a dead letter that holds exactly these.
 */
import { isUtf8 } from "node:buffer";
import { TidemarkError } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";

/** A byte order mark before the text is no part of it. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true });
const REPLACEMENT = "\uFFFD";
const REPLACEMENT_BYTES = Buffer.from(REPLACEMENT);

/**
 * A record's bytes as text.
 * @throws TidemarkError `fix-event` when they are no UTF-8; it names the first byte that is none, and quotes no more.
 */
export function textOf(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    const at = firstForeignByte(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const byte = (bytes[at] ?? 0).toString(16).toUpperCase().padStart(2, "0");
    throw new TidemarkError(
      "fix-event",
      `Byte ${at} of the record (0x${byte}; the first is byte 0) is not UTF-8. Write records in UTF-8: text of another encoding would make one key of two.`,
      { cause },
    );
  }
}

/** Where lossy decoding puts the first U+FFFD that the bytes do not hold themselves. */
function firstForeignByte(bytes: Buffer): number {
  const lossy = bytes.toString("utf8");
  let at = 0;
  let from = 0;
  for (;;) {
    const next = lossy.indexOf(REPLACEMENT, from);
    if (next === -1) return at;
    at += Buffer.byteLength(lossy.slice(from, next));
    if (!bytes.subarray(at, at + REPLACEMENT_BYTES.length).equals(REPLACEMENT_BYTES)) return at;
    at += REPLACEMENT_BYTES.length;
    from = next + 1;
  }
}

/** Bytes as a dead letter holds them: text stays readable, what is no UTF-8 is kept as base64. */
export type DumpedBytes = { readonly utf8: string } | { readonly base64: string };

export function dumpBytes(bytes: Uint8Array): DumpedBytes & JsonValue {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? { utf8: buffer.toString("utf8") } : { base64: buffer.toString("base64") };
}

/** The same bytes again. */
export function undumpBytes(dumped: JsonValue): Buffer {
  const { utf8, base64 } = dumped as { readonly utf8?: string; readonly base64?: string };
  return utf8 === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(utf8, "utf8");
}
