/** Decoders for `sources: { NAME: { decode } }`. They compose: `kpl(gzip(jsonValues()))`. */
export type { Decoder, RecordToDecode } from "../source/decoding.ts";
export { base64 } from "./base64.ts";
export { type CloudWatchLogsOptions, cloudWatchLogs } from "./cloudwatch-logs.ts";
export { type GzipOptions, gzip } from "./gzip.ts";
export { json } from "./json.ts";
export { jsonValues } from "./json-values.ts";
export { kpl } from "./kpl.ts";
