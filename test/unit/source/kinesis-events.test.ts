import { describe, expect, test } from "vitest";
import { DEFAULT_DECODING } from "../../../shared/source/decoding.ts";
import { kinesisEvents } from "../../../shared/source/kinesis/kinesis-events.ts";
import { positionOf, sequenceNumberOf } from "../../../shared/source/kinesis/kinesis-position.ts";

const SEQUENCE_NUMBER = "49590338271490256608559692538361571095921575989136588898";

/** The example event of the Lambda developer guide. */
const event = (changes: object = {}, kinesis: object = {}) => ({
  Records: [
    {
      kinesis: {
        kinesisSchemaVersion: "1.0",
        partitionKey: "1",
        sequenceNumber: SEQUENCE_NUMBER,
        data: Buffer.from('{"origin":"LAS"}').toString("base64"),
        approximateArrivalTimestamp: 1545084650.987,
        ...kinesis,
      },
      eventSource: "aws:kinesis",
      eventVersion: "1.0",
      eventID: `shardId-000000000006:${SEQUENCE_NUMBER}`,
      eventName: "aws:kinesis:record",
      invokeIdentityArn: "arn:aws:iam::123456789012:role/lambda-role",
      awsRegion: "us-east-2",
      eventSourceARN: "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
      ...changes,
    },
  ],
});

describe("an event of Kinesis", () => {
  test("is parsed into its shard, and its record's position, identifier, arrival and bytes", () => {
    const batch = kinesisEvents.parse(event());
    expect(batch).toEqual({
      split: "shardId-000000000006",
      records: [
        {
          position: SEQUENCE_NUMBER,
          itemIdentifier: SEQUENCE_NUMBER,
          arrivalTimeMs: 1545084650987,
          payload: Buffer.from('{"origin":"LAS"}'),
        },
      ],
    });
    expect(batch.records.map((record) => kinesisEvents.decode(record, DEFAULT_DECODING))).toEqual([{ origin: "LAS" }]);
  });

  test("reports a short sequence number as it was delivered, not as it was padded", () => {
    const { records } = kinesisEvents.parse(event({}, { sequenceNumber: "42" }));
    expect(records[0]).toMatchObject({ itemIdentifier: "42", position: "42".padStart(56, "0") });
  });

  test.each([
    ["of another source", event({ eventSource: "aws:sqs" })],
    ["without an eventID", event({ eventID: undefined })],
    ["whose eventID names no shard", event({ eventID: `:${SEQUENCE_NUMBER}` })],
    ["without data", event({}, { data: undefined })],
    ["without the kinesis part", event({ kinesis: undefined })],
  ])("is refused when it is one %s", (_case, delivered) => {
    expect(() => kinesisEvents.parse(delivered)).toThrow(/none of a Kinesis stream/);
  });

  test("is refused when its sequence number is none", () => {
    expect(() => kinesisEvents.parse(event({}, { sequenceNumber: "-1" }))).toThrow('"-1" is no sequence number');
  });

  test("bytes that are no UTF-8 do not decode, and survive a dead letter", () => {
    const payload = Buffer.from([0x22, 0xff, 0x22]);
    const record = { position: "", itemIdentifier: "", payload };
    expect(() => kinesisEvents.decode(record, DEFAULT_DECODING)).toThrow();
    expect(kinesisEvents.undump(JSON.parse(JSON.stringify(kinesisEvents.dump(record))))).toEqual(payload);
  });

  test("a dead letter shows text as text", () => {
    expect(kinesisEvents.dump({ position: "", itemIdentifier: "", payload: Buffer.from("{") })).toEqual({ utf8: "{" });
  });
});

describe("a position in a shard", () => {
  test("orders as text what is ordered as numbers, up to the largest number of 186 bits", () => {
    const numbers = ["0", "9", "10", "4".repeat(55), SEQUENCE_NUMBER, String(2n ** 186n - 1n)];
    const positions = numbers.map(positionOf);
    expect(positions).toEqual([...positions].sort());
    expect(positions.map(sequenceNumberOf)).toEqual(numbers);
  });

  test("refuses a sequence number that is too long for it, by name", () => {
    const long = "1".padEnd(57, "0");
    expect(() => positionOf(long)).toThrow(`The sequence number ${long} has 57 digits`);
  });

  test.each(["", "01", "abc", "1.5", "1 "])("refuses %j: it is no sequence number", (text) => {
    expect(() => positionOf(text)).toThrow(/is no sequence number/);
  });
});
