import { describe, expect, test } from "vitest";
import { dumpBytes, textOf, undumpBytes } from "../../../shared/source/record-text.ts";
import fc from "../../support/properties.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");

describe("a record's bytes", () => {
  test.each([
    [latin1('{"user":"K\xf6ln"}'), /Byte 10 of the record \(0xF6;/],
    [Buffer.concat([Buffer.from("日本\uFFFD"), latin1("\xe4")]), /Byte 9 of the record \(0xE4;/],
    [Buffer.from("é").subarray(0, 1), /Byte 0 of the record \(0xC3;/],
    [Buffer.concat([Buffer.from("\uFFFD\uFFFD"), Buffer.from([0xff])]), /Byte 6 of the record \(0xFF;/],
    [Buffer.from([0x61, 0xed, 0xa0, 0x80]), /Byte 1 of the record \(0xED;/],
    [Buffer.from([0xc0, 0xaf]), /Byte 0 of the record \(0xC0;/],
  ])("that are no UTF-8 (%j) are refused, and the byte is named", (bytes, message) => {
    expect(() => textOf(bytes)).toThrow(message);
    expect(() => textOf(bytes)).toThrow(expect.objectContaining({ kind: "fix-event" }));
  });

  test("that are UTF-8 are their text, without a byte order mark before it", () => {
    expect(textOf(Buffer.from("\uFEFF日本\uFFFD"))).toBe("日本\uFFFD");
  });

  test("come back from a dead letter as they were, whatever they are", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          const dumped = JSON.parse(JSON.stringify(dumpBytes(bytes)));
          expect(Buffer.compare(undumpBytes(dumped), bytes)).toBe(0);
        },
      ),
    );
    expect(dumpBytes(Buffer.from("é"))).toEqual({ utf8: "é" });
    expect(dumpBytes(latin1("\xe9"))).toEqual({ base64: "6Q==" });
  });
});
