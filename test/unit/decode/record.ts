import { parseJson } from "../../../shared/json/parse-json.ts";
import type { RecordToDecode } from "../../../shared/source/decoding.ts";

/** What a decoder is told of any record. */
export const record = (more: Partial<RecordToDecode> = {}): RecordToDecode => ({
  position: "000001",
  parseJson: (text) => parseJson(text, "exact"),
  ...more,
});
