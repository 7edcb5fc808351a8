/**
 * Records that the Kinesis Producer Library aggregates: four bytes of magic, a message of protocol buffers, and its MD5.
 *
 *     message AggregatedRecord {
 *       repeated string partition_key_table     = 1;
 *       repeated string explicit_hash_key_table = 2;
 *       repeated Record records                 = 3;
 *     }
 *     message Record {
 *       required uint64 partition_key_index     = 1;
 *       optional uint64 explicit_hash_key_index = 2;
 *       required bytes  data                    = 3;
 *       repeated Tag    tags                    = 4;
 *     }
 *
 * Invariant: nothing of a record is handed on unless its checksum holds and all of it was read.
 */
import { createHash } from "node:crypto";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { describeThrown, TidemarkError } from "../errors.ts";
import type { Decoder } from "../source/decoding.ts";
import { beginsWith, KPL_MAGIC } from "../source/name-encoding.ts";
import { json } from "./json.ts";

const CHECKSUM_BYTES = 16;

interface UserRecord {
  readonly partitionKey: string;
  readonly explicitHashKey?: string;
  readonly data: Uint8Array;
}

interface Indexed {
  readonly partitionKey: number;
  readonly explicitHashKey: number | undefined;
  readonly data: Uint8Array;
}

/**
 * The user records of a record that the Kinesis Producer Library (KPL), or any other writer of its format, aggregated. A
 * record that is not aggregated is read as it is. Its checksum is held: a record that was altered is a dead letter.
 *
 * All user records are folded, in order, also those whose hash lies outside the shard's range. Such there are for a moment
 * after a shard was split or merged, and the KPL may send them again: to a consumer they are a producer's retry, as any
 * other. An id in the event tells them, where it matters.
 *
 * @param inner - reads each user record; it is told its `partitionKey` and `explicitHashKey` @default one JSON value
 */
export function kpl(inner: Decoder = json): Decoder {
  return function* (bytes, record) {
    if (!beginsWith(bytes, KPL_MAGIC)) {
      yield* inner(bytes, record);
      return;
    }
    for (const { data, ...keys } of userRecords(bytes)) yield* inner(data, { ...record, ...keys });
  };
}

function userRecords(bytes: Uint8Array): readonly UserRecord[] {
  const body = bytes.subarray(KPL_MAGIC.length, Math.max(KPL_MAGIC.length, bytes.length - CHECKSUM_BYTES));
  const checksum = bytes.subarray(KPL_MAGIC.length + body.length);
  if (!createHash("md5").update(body).digest().equals(checksum)) {
    throw new TidemarkError(
      "fix-event",
      "It begins as an aggregated record of the Kinesis Producer Library, and its checksum does not hold: it was altered or cut short.",
    );
  }
  try {
    return readAggregated(body);
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    throw malformed(describeThrown(cause), cause);
  }
}

function readAggregated(body: Uint8Array): UserRecord[] {
  const partitionKeys: string[] = [];
  const explicitHashKeys: string[] = [];
  const indexed: Indexed[] = [];
  const reader = new BinaryReader(body);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type !== WireType.LengthDelimited) reader.skip(type, field);
    else if (field === 1) partitionKeys.push(reader.string(true));
    else if (field === 2) explicitHashKeys.push(reader.string(true));
    else if (field === 3) indexed.push(readRecord(reader.bytes()));
    else reader.skip(type, field);
  }
  // A table may come after what refers to it.
  return indexed.map(({ data, ...index }) => {
    const partitionKey = partitionKeys[index.partitionKey];
    if (partitionKey === undefined) throw malformed(`it has no partition key number ${index.partitionKey}`);
    if (index.explicitHashKey === undefined) return { partitionKey, data };
    const explicitHashKey = explicitHashKeys[index.explicitHashKey];
    if (explicitHashKey === undefined) throw malformed(`it has no explicit hash key number ${index.explicitHashKey}`);
    return { partitionKey, explicitHashKey, data };
  });
}

function readRecord(bytes: Uint8Array): Indexed {
  let partitionKey: number | undefined;
  let explicitHashKey: number | undefined;
  let data: Uint8Array | undefined;
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.Varint) partitionKey = reader.uint32();
    else if (field === 2 && type === WireType.Varint) explicitHashKey = reader.uint32();
    else if (field === 3 && type === WireType.LengthDelimited) data = reader.bytes();
    else reader.skip(type, field);
  }
  if (partitionKey === undefined || data === undefined) throw malformed("one of its records lacks a key or data");
  return { partitionKey, explicitHashKey, data };
}

function malformed(why: string, cause?: unknown): TidemarkError {
  return new TidemarkError(
    "fix-event",
    `It is no aggregated record of the Kinesis Producer Library, though its checksum holds: ${why}.`,
    { cause },
  );
}
