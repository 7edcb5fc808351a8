import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import { jsonValues } from "../../../shared/decode/json-values.ts";
import { kpl } from "../../../shared/decode/kpl.ts";
import type { Decoder } from "../../../shared/source/decoding.ts";
import { record } from "./record.ts";

/** What three encoders made of the same four records. */
const encoded = JSON.parse(readFileSync(new URL("kpl-records.json", import.meta.url), "utf8")) as {
  readonly [encoder: string]: string;
};

const withKeys: Decoder = (bytes, { partitionKey, explicitHashKey }) => [
  [partitionKey, explicitHashKey, Buffer.from(bytes).toString()],
];

interface Made {
  readonly key?: number;
  readonly hash?: number;
  readonly data?: string;
}

function aggregated(keys: readonly string[], records: readonly Made[], hashes: readonly string[] = []): Buffer {
  const message = new BinaryWriter();
  for (const { key, hash, data } of records) {
    message.tag(3, WireType.LengthDelimited).fork();
    if (key !== undefined) message.tag(1, WireType.Varint).uint32(key);
    if (hash !== undefined) message.tag(2, WireType.Varint).uint32(hash);
    if (data !== undefined) message.tag(3, WireType.LengthDelimited).bytes(Buffer.from(data));
    message.join();
  }
  // What a later version may add, and tables behind what refers to them.
  message.tag(9, WireType.Varint).uint32(7);
  for (const key of keys) message.tag(1, WireType.LengthDelimited).string(key);
  for (const hash of hashes) message.tag(2, WireType.LengthDelimited).string(hash);
  return framed(message.finish());
}

function framed(body: Uint8Array): Buffer {
  const checksum = createHash("md5").update(body).digest();
  return Buffer.concat([Buffer.from("f3899ac2", "hex"), body, checksum]);
}

const decode = (bytes: Uint8Array, decoder = kpl()): unknown[] => [...decoder(bytes, record())];

describe("a record of the Kinesis Producer Library", () => {
  it.each(Object.keys(encoded))("is read as %s writes it", (encoder) => {
    const bytes = Buffer.from(encoded[encoder] as string, "base64");
    expect(decode(bytes)).toEqual([{ k: "a", n: 1 }, { k: "b", n: 9007199254740993n }, { k: "Köln" }, { k: "c" }]);
    const keys = decode(bytes, kpl(withKeys)) as [string, string | undefined, string][];
    expect(keys.map(([partitionKey]) => partitionKey)).toEqual(["a", "b", "a", "c"]);
    // The first encoder sorts its table of explicit hash keys, and refers to it as if it had not.
    if (encoder.includes("(npm)")) return;
    const last = "340282366920938463463374607431768211455";
    expect(keys.map(([, explicitHashKey]) => explicitHashKey)).toEqual([undefined, last, undefined, "0"]);
  });

  it("is read in any order of its fields, what is unknown passed over", () => {
    const bytes = aggregated(["x"], [{ key: 0, hash: 0, data: "1" }], ["5"]);
    expect(decode(bytes, kpl(withKeys))).toEqual([["x", "5", "1"]]);
  });

  it("may hold no record, or records that hold several values", () => {
    expect(decode(aggregated([], []))).toEqual([]);
    expect(
      decode(
        aggregated(
          ["x"],
          [
            { key: 0, data: "1 2" },
            { key: 0, data: "" },
          ],
        ),
        kpl(jsonValues()),
      ),
    ).toEqual([1, 2]);
  });

  it("that is not aggregated is read as it is", () => {
    expect(decode(Buffer.from('{"k":1}'))).toEqual([{ k: 1 }]);
  });

  it("is refused where any bit of it was flipped behind its magic, or its end is missing", () => {
    const whole = aggregated(["x"], [{ key: 0, data: '{"a":1}' }]);
    for (let bit = 32; bit < whole.length * 8; bit += 1) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => decode(flipped), `bit ${bit}`).toThrow("its checksum does not hold");
    }
    for (let length = 4; length < whole.length; length += 1) {
      expect(() => decode(whole.subarray(0, length)), `${length} bytes`).toThrow("its checksum does not hold");
    }
  });

  it.each([
    [
      "refers to a partition key that it has not",
      aggregated(["x"], [{ key: 1, data: "1" }]),
      "no partition key number 1",
    ],
    [
      "refers to an explicit hash key that it has not",
      aggregated(["x"], [{ key: 0, hash: 3, data: "1" }]),
      "no explicit hash key number 3",
    ],
    ["lacks data", aggregated(["x"], [{ key: 0 }]), "lacks a key or data"],
    ["lacks a key", aggregated(["x"], [{ data: "1" }]), "lacks a key or data"],
    ["ends within a field", framed(Uint8Array.of(0x1a, 0x7f, 0x08)), "its checksum holds"],
    ["is no protocol buffer", framed(Buffer.from("hello world")), "its checksum holds"],
  ])("is refused before any of it is handed on where it %s", (_what, bytes, why) => {
    const seen: unknown[] = [];
    expect(() => {
      for (const value of kpl()(bytes, record())) seen.push(value);
    }).toThrow(why);
    expect(seen).toEqual([]);
  });
});
