/** Recognises by their first bytes what are often in records and are no JSON. */

/** What every record of the Kinesis Producer Library begins with that holds several. No text does: it is no UTF-8. */
export const KPL_MAGIC: Uint8Array = Uint8Array.of(0xf3, 0x89, 0x9a, 0xc2);
const GZIP_MAGIC = Uint8Array.of(0x1f, 0x8b);
/** The same two bytes and the one method of compression that there is, as base64. */
const GZIP_IN_BASE64 = "H4sI";

export const beginsWith = (bytes: Uint8Array, magic: Uint8Array): boolean =>
  magic.every((byte, index) => bytes[index] === byte);

export const isGzip = (bytes: Uint8Array): boolean => beginsWith(bytes, GZIP_MAGIC);

/** What a record is that is no JSON, and how it is read, in a sentence or two; undefined: nobody can tell. */
export function nameEncoding(bytes: Uint8Array): string | undefined {
  const wayOut = (decode: string, name: string): string =>
    `Have it taken apart: sources: { NAME: { decode: ${decode} } }, with ${name} of "tidemark/decode".`;
  if (beginsWith(bytes, KPL_MAGIC)) {
    return `It begins as an aggregated record of the Kinesis Producer Library, which holds several. ${wayOut("kpl()", "kpl")}`;
  }
  if (isGzip(bytes)) {
    return `It begins as gzip does. ${wayOut("gzip()", "gzip")} A subscription of CloudWatch Logs sends such records: cloudWatchLogs().`;
  }
  if (Buffer.from(bytes.subarray(0, GZIP_IN_BASE64.length)).toString("latin1") === GZIP_IN_BASE64) {
    return `It begins as gzip in base64 does. ${wayOut("base64(gzip())", "base64 and gzip")}`;
  }
  return undefined;
}
