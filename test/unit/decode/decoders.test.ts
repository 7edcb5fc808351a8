import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { base64, cloudWatchLogs, type Decoder, gzip, json, jsonValues, kpl } from "../../../shared/decode/index.ts";
import { parseJson } from "../../../shared/json/parse-json.ts";
import { record } from "./record.ts";

const decode = (decoder: Decoder, bytes: Uint8Array | string): unknown[] => [
  ...decoder(typeof bytes === "string" ? Buffer.from(bytes) : bytes, record()),
];

describe("jsonValues", () => {
  it.each([
    ["one after the other", '{"a":1}{"a":2}[3]"4"', [{ a: 1 }, { a: 2 }, [3], "4"]],
    ["a line each", '{"a":1}\n{"a":2}\r\n\n{"a":3}\n', [{ a: 1 }, { a: 2 }, { a: 3 }]],
    ["of all kinds", '1 -2.5e3\ttrue false null "" {} []', [1, -2500, true, false, null, "", {}, []]],
    [
      "with brackets, quotes and backslashes in text",
      '{"a":"}]{[\\"\\\\"}"\\\\""\\"{"',
      [{ a: '}]{["\\' }, "\\", '"{'],
    ],
    ["as a text sequence", '\u001E{"a":1}\n\u001E{"a":2}\n', [{ a: 1 }, { a: 2 }]],
    ["behind byte order marks", '\uFEFF{"a":1}\n\uFEFF{"a":2}', [{ a: 1 }, { a: 2 }]],
    ["that no double holds", "9007199254740993 9007199254740992", [9007199254740993n, 9007199254740992]],
    ["none", " \n", []],
    ["none at all", "", []],
  ])("reads values %s", (_how, text, values) => {
    expect(decode(jsonValues(), text)).toEqual(values);
  });

  it.each([
    ['{"a":1}{"a":', "JSON"],
    ['{"a":1} }', "JSON"],
    ['"abc', "JSON"],
    ['{"a":1},{"a":2}', "JSON"],
    ["truefalse", "JSON"],
    ['{"a":1]{"a":2}', "JSON"],
    ["1 2 nul", "JSON"],
  ])("refuses %s", (text, why) => {
    expect(() => decode(jsonValues(), text)).toThrow(why);
  });

  it("reads whatever JSON.stringify wrote, with any white space between", () => {
    const value = fc
      .jsonValue()
      .filter((given) => (typeof given === "object" && given !== null) || typeof given === "string");
    const space = fc.stringMatching(/^[ \t\r\n]*$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(value, space)), (given) => {
        const text = given.map(([one, between]) => JSON.stringify(one) + between).join("");
        expect(decode(jsonValues(), text)).toEqual(given.map(([one]) => parseJson(JSON.stringify(one))));
      }),
      { numRuns: 300 },
    );
  });

  it("takes time by length, whatever a text is made of", () => {
    const started = performance.now();
    const many = 200_000;
    expect(() => decode(jsonValues(), `"${"\\".repeat(many)}`)).toThrow();
    expect(() => decode(jsonValues(), `{"${'\\"'.repeat(many)}`)).toThrow();
    expect(() => decode(jsonValues(), "[".repeat(many))).toThrow();
    expect(decode(jsonValues(), "1 ".repeat(many))).toHaveLength(many);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it("refuses what is no UTF-8", () => {
    expect(() => decode(jsonValues(), Buffer.from('{"k":"K\u00f6ln"}', "latin1"))).toThrow("is not UTF-8");
  });
});

describe("gzip", () => {
  const packed = gzipSync('{"a":1}');

  it("reads one member or several", () => {
    expect(decode(gzip(), packed)).toEqual([{ a: 1 }]);
    expect(decode(gzip(jsonValues()), Buffer.concat([packed, packed]))).toEqual([{ a: 1 }, { a: 1 }]);
  });

  it("refuses what was cut short, altered, or is none", () => {
    for (let length = 0; length < packed.length; length += 1) {
      expect(() => decode(gzip(), packed.subarray(0, length)), `${length} bytes`).toThrow("no whole gzip");
    }
    const altered = Buffer.from(packed);
    altered[packed.length - 8] = (altered[packed.length - 8] as number) ^ 1;
    expect(() => decode(gzip(), altered)).toThrow("no whole gzip");
    expect(() => decode(gzip(), '{"a":1}')).toThrow("no whole gzip");
    expect(() => decode(gzip(), deflateSync("1"))).toThrow("no whole gzip");
    expect(() => decode(gzip(), Buffer.concat([packed, Buffer.from("more")]))).toThrow("no whole gzip");
  });

  it("refuses a record that unpacks to more than its bound, without unpacking it", () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, " "));
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decode(gzip(), bomb)).toThrow("more than 16777216 bytes");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * 1024 * 1024);
    expect(() => decode(gzip(json, { bytesMax: 6 }), packed)).toThrow("more than 6 bytes");
    expect(decode(gzip(json, { bytesMax: 7 }), packed)).toEqual([{ a: 1 }]);
  });

  it("refuses a bound that is none", () => {
    expect(() => gzip(json, { bytesMax: 0 })).toThrow("bytesMax of gzip");
    expect(() => gzip(json, { bytesMx: 1 } as never)).toThrow("bytesMx");
  });
});

describe("base64", () => {
  it.each([
    ["with padding", "eyJhIjoxfQ=="],
    ["without padding", "eyJhIjoxfQ"],
    ["in lines", "eyJh\r\nIjox\nfQ==\n"],
  ])("reads text %s", (_how, text) => {
    expect(decode(base64(), text)).toEqual([{ a: 1 }]);
  });

  it("reads both alphabets", () => {
    expect(decode(base64(), Buffer.from('"ÿþ~?ÿ"').toString("base64url"))).toEqual(["ÿþ~?ÿ"]);
    expect(decode(base64(), Buffer.from('"ÿþ~?ÿ"').toString("base64"))).toEqual(["ÿþ~?ÿ"]);
  });

  it.each(["eyJhIjoxfQ=", "eyJh IjoxfQ==", "eyJhIjox=fQ=", '{"a":1}', "eyJhI", "+_+_", "eyJhIjoxfQ==eyJhIjoxfQ=="])(
    "refuses %s",
    (text) => {
      expect(() => decode(base64(), text)).toThrow("no base64");
    },
  );
});

describe("cloudWatchLogs", () => {
  // As the documentation of CloudWatch Logs shows it ("Using CloudWatch Logs subscription filters").
  const payload = (more: object = {}) => ({
    owner: "111111111111",
    logGroup: "CloudTrail/logs",
    logStream: "111111111111_CloudTrail/logs_us-east-1",
    subscriptionFilters: ["Destination"],
    messageType: "DATA_MESSAGE",
    logEvents: [
      {
        id: "31953106606966983378809025079804211143289615424298221568",
        timestamp: 1432826855000,
        message: '{"k":"a"}',
      },
      {
        id: "31953106606966983378809025079804211143289615424298221569",
        timestamp: 1432826855001,
        message: '{"k":"b"}',
      },
    ],
    ...more,
  });
  const packed = (value: unknown): Buffer => gzipSync(JSON.stringify(value));

  it("has an event for each log event, with where it comes from", () => {
    const { owner, logGroup, logStream, logEvents } = payload();
    expect(decode(cloudWatchLogs(), packed(payload()))).toEqual(
      logEvents.map((event) => ({ ...event, owner, logGroup, logStream })),
    );
  });

  it("reads the messages where it is told how", () => {
    expect(decode(cloudWatchLogs({ message: json }), packed(payload()))).toEqual([{ k: "a" }, { k: "b" }]);
  });

  it("has no event for a control message", () => {
    const control = payload({
      messageType: "CONTROL_MESSAGE",
      logEvents: [
        { id: "", timestamp: 1, message: "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream" },
      ],
    });
    expect(decode(cloudWatchLogs(), packed(control))).toEqual([]);
  });

  it("reads what Firehose put together or has unpacked", () => {
    const both = Buffer.concat([packed(payload()), packed(payload())]);
    expect(decode(cloudWatchLogs({ message: json }), both)).toHaveLength(4);
    expect(decode(cloudWatchLogs({ message: json }), JSON.stringify(payload()))).toHaveLength(2);
  });

  it.each([[null], [{}], [payload({ messageType: "OTHER" })], [payload({ logEvents: {} })], [[1]]])(
    "refuses %j, which is none of its payloads",
    (value) => {
      expect(() => decode(cloudWatchLogs(), packed(value))).toThrow("none of a subscription of CloudWatch Logs");
    },
  );

  it("refuses a log event without a message where messages are read, and what unpacks to too much", () => {
    const bare = payload({ logEvents: [null] });
    expect(() => decode(cloudWatchLogs({ message: json }), packed(bare))).toThrow("no message");
    expect(() => decode(cloudWatchLogs({ bytesMax: 100 }), packed(payload()))).toThrow("more than 100 bytes");
  });
});

describe("decoders", () => {
  it("compose", () => {
    const packed = gzipSync('{"a":1}\n{"a":2}').toString("base64");
    expect(decode(kpl(base64(gzip(jsonValues()))), packed)).toEqual([{ a: 1 }, { a: 2 }]);
  });

  it("hold each value by the source's rule for integers", () => {
    const { position } = record();
    const texts = jsonValues()(Buffer.from("9007199254740993"), { position, parseJson: (text) => text });
    expect([...texts]).toEqual(["9007199254740993"]);
  });
});
