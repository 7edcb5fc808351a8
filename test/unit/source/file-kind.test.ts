import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { formatOfName, kindByContent, kindOf } from "../../../shared/source/file/file-kind.ts";

const LINES = { format: "json-lines", gzip: false };
const GZIPPED_LINES = { format: "json-lines", gzip: true };
const bytes = (...octets: number[]) => Buffer.from(octets);
/** Node has no encoder for these. */
const encoded = (text: string, unit: 2 | 4, order: "LE" | "BE", mark: boolean): Buffer => {
  const codes = [...(mark ? "\uFEFF" : ""), ...text].map((character) => character.codePointAt(0) ?? 0);
  const buffer = Buffer.alloc(codes.length * unit);
  for (const [index, code] of codes.entries()) {
    if (order === "LE") buffer.writeUIntLE(code, index * unit, unit);
    else buffer.writeUIntBE(code, index * unit, unit);
  }
  return buffer;
};

describe("a file's kind", () => {
  test.each([
    ["a.jsonl", Buffer.from('{"n":1}\n'), LINES],
    ["a.jsonl", Buffer.alloc(0), LINES],
    ["a.jsonl", Buffer.from("\uFEFF"), LINES],
    ["a.jsonl", Buffer.from("1\n2\n"), LINES],
    ["a.jsonl", Buffer.from("[1,2]\n[3]\n"), LINES],
    ["a.jsonl", Buffer.from('[{"a":1}]\n[{"a":2}]\n'), LINES],
    ["a.json", Buffer.from("[1,2]\n[3,4]\n"), LINES],
    ["a.jsonl", Buffer.from('{"n":\n{"n":2}\n'), LINES],
    ["a.jsonl", gzipSync('{"n":1}\n'), GZIPPED_LINES],
    ["a.jsonl.gz", Buffer.from('{"n":1}\n'), LINES],
    ["a.jsonl", Buffer.from("PAR1..."), { format: "parquet", gzip: false }],
    ["a.parquet", Buffer.from("none"), { format: "parquet", gzip: false }],
  ])("is told by the bytes of %s (%j)", (name, head, kind) => {
    expect(kindOf(name, head)).toEqual(kind);
  });

  test.each([
    [2, "LE", "UTF-16LE"],
    [2, "BE", "UTF-16BE"],
    [4, "LE", "UTF-32LE"],
    [4, "BE", "UTF-32BE"],
  ] as const)("of %i bytes a character, %s, is %s, with a mark and without, packed or not", (unit, order, name) => {
    for (const mark of [true, false]) {
      const content = encoded('{"user":"é"}\r\n', unit, order, mark);
      const reason = expect.stringMatching(new RegExp(`^it is ${name}, .*iconv -f ${name} -t UTF-8`));
      expect(kindOf("a.jsonl", content)).toEqual({ reason });
      expect(kindOf("a.jsonl", gzipSync(content))).toEqual({ reason });
      expect(kindByContent("a", content)).toEqual({ reason });
    }
  });

  test.each([
    ["q.json", Buffer.from('[\n{"n":1}\n]\n'), /one JSON array/],
    ["q.json", Buffer.from('[{"n":1},{"n":2}]'), /one JSON array/],
    ["q.jsonl", Buffer.from('[\r\n{"n":1},\r\n{"n":2}\r\n]'), /one JSON array/],
    ["q.jsonl", Buffer.from('[{"n":1},\n{"n":2}]'), /one JSON array/],
    ["q.jsonl.gz", gzipSync('[\n{"n":1}\n]\n'), /one JSON array/],
    ["q.jsonl", Buffer.from('{\n  "n": 1\n}\n'), /document over several lines/],
    ["a.jsonl", bytes(0x28, 0xb5, 0x2f, 0xfd, 0), /compressed with zstd/],
    ["a.jsonl", Buffer.from("BZh91AY&SY"), /compressed with bzip2/],
    ["a.jsonl", Buffer.from("PK\u0003\u0004"), /compressed with zip/],
    ["a.jsonl.gz", gzipSync(gzipSync('{"n":1}\n')), /gzipped twice/],
    ["a.parquet.gz", gzipSync("PAR1..."), /gzipped Parquet/],
  ])("of %s is refused with a reason and a way out", (name, head, reason) => {
    expect(kindOf(name, head)).toEqual({ reason: expect.stringMatching(reason) });
  });

  test.each([
    ["app-1-2024-01-01-00-05-00", Buffer.from('{"n":1}{"n":2}'), LINES],
    ["app-1-2024-01-01-00-05-00.gz", gzipSync('{"n":1}\n'), GZIPPED_LINES],
    ["part-0", Buffer.from('\uFEFF\n {"n":1}\n'), LINES],
    ["part-0.gz", bytes(0x1f, 0x8b, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8), GZIPPED_LINES],
    ["part-0", Buffer.from("PAR1..."), { format: "parquet", gzip: false }],
  ])("of %s, whose name says nothing, is told by its content", (name, head, kind) => {
    expect(kindByContent(name, head)).toEqual(kind);
  });

  test.each([
    ["notes.txt", Buffer.from("Dear diary"), /neither as JSON lines nor as Parquet/],
    ["a.csv.gz", gzipSync("a,b\n"), /neither as JSON lines nor as Parquet, unpacked/],
    ["numbers", Buffer.from("1\n2\n"), /neither/],
    ["_SUCCESS", Buffer.alloc(0), /it is empty/],
  ])("of %s, whose name says nothing and whose content is foreign, is not taken", (name, head, reason) => {
    expect(kindByContent(name, head)).toEqual({ reason: expect.stringMatching(reason) });
  });

  test.each([
    ["a.jsonl", "json-lines"],
    ["A.JSONL.GZ", "json-lines"],
    ["a.ndjson.gz", "json-lines"],
    ["a.json", "json-lines"],
    ["a.parquet", "parquet"],
    ["a.parquet.gz", undefined],
    ["a.gz", undefined],
    ["a.txt", undefined],
    ["jsonl", undefined],
  ])("by the name %s is %s", (name, format) => {
    expect(formatOfName(name)).toBe(format);
  });
});
