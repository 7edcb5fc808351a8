/** Events of a Kinesis stream, as Lambda gets them, whose records are no JSON or several: with and without a `decode`. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { describeApp } from "../../../shared/app/app-description.ts";
import { defineApp, type SourceOptions } from "../../../shared/app/define-app.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { type DeadLetter, listDeadLetters } from "../../../shared/dead-letter/dead-letter.ts";
import { base64, cloudWatchLogs, gzip, json, jsonValues, kpl } from "../../../shared/decode/index.ts";
import { systemRandomness } from "../../../shared/environment.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";
import type { JsonValue } from "../../../shared/json/json-value.ts";
import { createEventHandler } from "../../../shared/runtime/event-handler.ts";
import { kinesisEvents } from "../../../shared/source/kinesis/kinesis-events.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { ABSENT } from "../../../shared/state/state-item.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { ListSource } from "../../support/list-source.ts";
import { ManualClock } from "../../support/test-world.ts";

const kplRecord = Buffer.from(
  Object.values(
    JSON.parse(readFileSync(new URL("../decode/kpl-records.json", import.meta.url), "utf8")) as Record<string, string>,
  )[1] as string,
  "base64",
);
const logs = gzipSync(
  JSON.stringify({
    ...{ messageType: "DATA_MESSAGE", owner: "1", logGroup: "g", logStream: "s", subscriptionFilters: ["f"] },
    logEvents: [1, 2].map((n) => ({ id: String(n), timestamp: n, message: `{"k":"cw","n":${n}}` })),
  }),
);

interface Outcome {
  readonly states: Readonly<Record<string, JsonValue>>;
  readonly letters: readonly DeadLetter[];
  readonly answer: unknown;
}

/** What becomes of records, each as bytes, that are delivered in one event. */
async function deliver(options: SourceOptions, ...records: readonly (Buffer | string)[]): Promise<Outcome> {
  const counting = defineFunction({
    name: "counting",
    event: z.object({ k: z.string() }),
    key: ({ k }) => k,
    state: { initial: (): readonly string[] => [] },
    handle: (seen, _event, { position, index }) => [
      ...seen,
      `${Number(position)}${index === undefined ? "" : `.${index}`}`,
    ],
  });
  const app = defineApp({
    name: "decoding",
    functions: [{ function: counting, source: "clicks" }],
    sources: { clicks: options },
  });
  const storage = new MemoryCheckpointStorage();
  const state = new HeapStateBackend();
  const handle = createEventHandler(app, "counting", {
    ...{ app: describeApp(app), clock: new ManualClock(), randomness: systemRandomness, observe: () => {} },
    ...{ control: new HeapControlStore(), state, storage },
    sourceOf: () => ({ events: kinesisEvents, reader: new ListSource().reader, retentionMs: async () => undefined }),
  });
  const event = kinesisEvents.toEvent({
    split: "shardId-000000000000",
    records: records.map((data, index) => ({
      ...{ position: "", itemIdentifier: String(index + 1), payload: Buffer.from(data) },
    })),
  });
  const answer = await handle(event, { deadlineMs: Number.POSITIVE_INFINITY });
  const states: Record<string, JsonValue> = {};
  for await (const { items } of state.scan({ function: "counting", generation: 1 }, { index: 0, count: 1 })) {
    for (const item of items) if (item.state !== ABSENT) states[item.key] = item.state.value;
  }
  const letters: DeadLetter[] = [];
  for await (const letter of listDeadLetters(storage)) letters.push(letter);
  return { states, letters, answer };
}

describe("without a decode, a record that is no JSON is a dead letter that names the way out", () => {
  test.each([
    ["of the Kinesis Producer Library", kplRecord, "decode: kpl()"],
    ["that is gzip", gzipSync('{"k":"a"}'), "decode: gzip()"],
    ["of a subscription of CloudWatch Logs", logs, "cloudWatchLogs()"],
    ["that is gzip in base64", logs.toString("base64"), "decode: base64(gzip())"],
    ["of several values", '{"k":"a"}{"k":"b"}', "decode"],
    ["that is empty", "", "each is one JSON value"],
  ])("%s", async (_what, record, wayOut) => {
    const { letters, states } = await deliver({}, record, '{"k":"next"}');
    expect(letters).toMatchObject([{ cause: "refused", tries: 1 }]);
    expect(letters[0]?.error).toContain(wayOut);
    expect(kinesisEvents.undump(letters[0]?.record as JsonValue)).toEqual(Buffer.from(record));
    expect(states).toEqual({ next: ["2"] });
  });
});

describe("with a decode, each of a record's events is folded", () => {
  test.each([
    ["kpl", kpl(), kplRecord, { a: ["1.0"], b: ["1.1"], Köln: ["1.2"], c: ["1.3"] }],
    ["gzip", gzip(), gzipSync('{"k":"a"}'), { a: ["1.0"] }],
    ["cloudWatchLogs", cloudWatchLogs({ message: json }), logs, { cw: ["1.0", "1.1"] }],
    [
      "base64 of cloudWatchLogs",
      base64(cloudWatchLogs({ message: json })),
      logs.toString("base64"),
      { cw: ["1.0", "1.1"] },
    ],
    ["jsonValues", jsonValues(), '{"k":"a"}{"k":"b"}\n{"k":"a"}\n', { a: ["1.0", "1.2"], b: ["1.1"] }],
    ["kpl, of what is not aggregated", kpl(), '{"k":"a"}', { a: ["1.0"] }],
    ["an app's own", (bytes: Uint8Array) => [{ k: String(bytes.length) }], "abc", { 3: ["1.0"] }],
  ])("%s", async (_what, decode, record, states) => {
    expect(await deliver({ decode }, record)).toEqual({ states, letters: [], answer: { batchItemFailures: [] } });
  });
});

describe("with a decode, a record is a dead letter as a whole", () => {
  test.each([
    ["that is a bomb", gzip(), gzipSync(Buffer.alloc(17 * 1024 * 1024, " ")), "more than 16777216 bytes"],
    ["whose checksum does not hold", kpl(), Buffer.concat([kplRecord, Buffer.from("x")]), "checksum"],
    ["of which one value is no JSON", jsonValues(), '{"k":"a"}{"k":', "decode of the source"],
    ["of which the schema refuses one event", jsonValues(), '{"k":"a"}{"k":1}', "Event 2 of 2 of the record: "],
    [
      "at which decode throws nothing",
      () => {
        throw null;
      },
      "x",
      "null",
    ],
    ["of which decode makes a promise", (async () => []) as never, "x", "a promise"],
    ["of which decode makes text", (() => "abc") as never, "x", "must return the record's events"],
    ["of which decode makes nothing", (() => undefined) as never, "x", "must return the record's events"],
  ])("%s", async (_what, decode, record, why) => {
    const { letters, states } = await deliver({ decode }, record, '{"k":"next"}');
    expect(states).toEqual(Object.hasOwn(states, "next") ? { next: ["2.0"] } : {});
    expect(letters[0]).toMatchObject({ cause: "refused", tries: 1 });
    expect(letters[0]?.error).toContain(why);
  });
});
