import { MergeShardsCommand, SplitShardCommand } from "@aws-sdk/client-kinesis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { DEFAULT_DECODING } from "../../shared/source/decoding.ts";
import { openKinesisSource } from "../../shared/source/kinesis/kinesis-source.ts";
import { BEGINNING } from "../../shared/source/position.ts";
import type { ReadPage, Source, SourceRecord, SplitDescription } from "../../shared/source/source.ts";
import { putInOrder, startKinesis, type TestKinesis, untilActive } from "../support/kinesis-local.ts";
import { type KinesisProxy, startKinesisProxy } from "../support/kinesis-proxy.ts";
import { sourceContract } from "./source-contract.ts";

const FIRST_SHARD = "shardId-000000000000";
const HOUR_MS = 3_600_000;
const environment = { clock: systemClock, randomness: systemRandomness };

let kinesis: TestKinesis;
beforeAll(async () => {
  kinesis = await startKinesis();
});
afterAll(() => kinesis?.close());

sourceContract(
  "kinesis",
  async (texts) => {
    const stream = await kinesis.createStream(1);
    await putInOrder(kinesis.client, stream, texts);
    return {
      source: openKinesisSource({ client: kinesis.client, stream, ...environment }),
      split: FIRST_SHARD,
      append: (more) => putInOrder(kinesis.client, stream, more),
      dispose: async () => {},
    };
  },
  { ends: false, holdsMalformed: true, saysArrival: true },
);

async function pagesOf(source: Source, split: string, after = BEGINNING, pageRecords = 100): Promise<ReadPage[]> {
  const pages: ReadPage[] = [];
  for await (const page of source.reader.read({ split, after, pageRecords, follow: false })) pages.push(page);
  return pages;
}

async function recordsOf(source: Source, split: string, after = BEGINNING): Promise<SourceRecord[]> {
  return (await pagesOf(source, split, after)).flatMap((page) => page.records);
}

async function splitsOf(source: Source): Promise<SplitDescription[]> {
  const splits: SplitDescription[] = [];
  for await (const split of source.reader.splits()) splits.push(split);
  return splits.sort((a, b) => (a.split < b.split ? -1 : 1));
}

describe("kinesis resharding", () => {
  test("a shard that was split, then merged, ends after its last record, and its children name their parents", async () => {
    const StreamName = await kinesis.createStream(1);
    const source = openKinesisSource({ client: kinesis.client, stream: StreamName, ...environment, shardsPerPage: 1 });
    await putInOrder(kinesis.client, StreamName, ['{"before":1}', '{"before":2}']);
    const [{ position: lastBefore } = { position: "" }] = (await recordsOf(source, FIRST_SHARD)).slice(-1);
    expect(await source.reader.look(FIRST_SHARD, lastBefore)).toEqual({ holdsRecords: false, ended: false });

    await kinesis.client.send(
      new SplitShardCommand({ StreamName, ShardToSplit: FIRST_SHARD, NewStartingHashKey: String(2n ** 127n) }),
    );
    await untilActive(kinesis.client, StreamName);
    const [lower, upper] = ["shardId-000000000001", "shardId-000000000002"] as const;
    await putInOrder(kinesis.client, StreamName, ['{"after":1}']);
    expect(await splitsOf(source)).toEqual([
      { split: FIRST_SHARD, parents: [] },
      { split: lower, parents: [FIRST_SHARD] },
      { split: upper, parents: [FIRST_SHARD] },
    ]);
    const pages = await pagesOf(source, FIRST_SHARD, BEGINNING, 1);
    expect(pages.flatMap((page) => page.records)).toHaveLength(2);
    expect(pages.map((page) => page.ended)).toEqual([...pages.slice(1).map(() => false), true]);
    expect(await source.reader.look(FIRST_SHARD, lastBefore)).toEqual({ holdsRecords: false, ended: true });
    expect(await source.reader.look(FIRST_SHARD, BEGINNING)).toMatchObject({ holdsRecords: true, ended: false });
    expect((await recordsOf(source, lower)).map((record) => source.events.decode(record, DEFAULT_DECODING))).toEqual([
      { after: 1 },
    ]);

    await kinesis.client.send(new MergeShardsCommand({ StreamName, ShardToMerge: lower, AdjacentShardToMerge: upper }));
    await untilActive(kinesis.client, StreamName);
    expect((await splitsOf(source)).at(-1)).toEqual({ split: "shardId-000000000003", parents: [lower, upper] });
  });
});

describe("kinesis answers", () => {
  let proxy: KinesisProxy;
  let stream: string;
  let source: Source;

  beforeAll(async () => {
    proxy = await startKinesisProxy(kinesis.endpoint);
    stream = await kinesis.createStream(1);
    await putInOrder(kinesis.client, stream, ["1", "2", "3", "4"]);
  });
  beforeEach(() => {
    proxy.operations.length = 0;
    source = openKinesisSource({ client: kinesis.clientOf(proxy.endpoint), stream, ...environment });
  });
  afterEach(() => {
    proxy.rewrite("GetRecords", undefined);
    proxy.rewrite("ListShards", undefined);
  });
  afterAll(() => proxy?.close());

  const valuesOf = (records: readonly SourceRecord[]) =>
    records.map((record) => source.events.decode(record, DEFAULT_DECODING));

  test("an iterator that expired between two pages is renewed after the last record, and none is read twice", async () => {
    const values: unknown[] = [];
    for await (const page of source.reader.read({
      split: FIRST_SHARD,
      after: BEGINNING,
      pageRecords: 2,
      follow: false,
    })) {
      if (values.length === 0) proxy.fail({ operation: "GetRecords", error: "ExpiredIteratorException" });
      values.push(...valuesOf(page.records));
    }
    expect(values).toEqual([1, 2, 3, 4]);
    expect(proxy.operations.filter((operation) => operation === "GetShardIterator")).toHaveLength(2);
  });

  test.each([
    ["GetRecords", "ProvisionedThroughputExceededException"],
    ["GetShardIterator", "ProvisionedThroughputExceededException"],
    ["GetRecords", "KMSThrottlingException"],
  ])("a throttled %s (%s) is tried again", async (operation, error) => {
    proxy.fail({ operation, error }, { operation, error });
    expect(valuesOf(await recordsOf(source, FIRST_SHARD))).toEqual([1, 2, 3, 4]);
    expect(proxy.operations.filter((seen) => seen === operation).length).toBeGreaterThanOrEqual(3);
  });

  test("throttling without end is given up with an error of kind retry", async () => {
    const fast = { now: () => 0, sleep: async () => {} };
    const impatient = openKinesisSource({
      client: kinesis.clientOf(proxy.endpoint),
      stream,
      clock: fast,
      randomness: systemRandomness,
    });
    proxy.fail(...Array.from({ length: 10 }, () => ({ operation: "ListShards", error: "LimitExceededException" })));
    await expect(splitsOf(impatient)).rejects.toMatchObject({ kind: "retry" });
    expect(await splitsOf(impatient)).toHaveLength(1);
  });

  test("an empty page that is behind is read through, and says nothing about the end", async () => {
    let answers = 0;
    proxy.rewrite("GetRecords", (answer) =>
      ++answers <= 2 ? { ...answer, Records: [], MillisBehindLatest: 60_000 } : answer,
    );
    const look = await source.reader.look(FIRST_SHARD, BEGINNING);
    expect(look.holdsRecords).toBe(true);
    expect(answers).toBeGreaterThan(2);
  });

  test("records that are 0 ms behind have not caught up: only an empty answer has", async () => {
    proxy.rewrite("GetRecords", (answer) => ({ ...answer, MillisBehindLatest: 0 }));
    const pages = await pagesOf(source, FIRST_SHARD, BEGINNING, 2);
    expect(pages.map((page) => [page.records.length, page.caughtUp])).toEqual([
      [2, false],
      [2, false],
      [0, true],
    ]);
  });

  test("a parent that is no longer listed is left out", async () => {
    const shard = (ShardId: string, parents: object) => ({
      ShardId,
      HashKeyRange: { StartingHashKey: "0", EndingHashKey: "1" },
      SequenceNumberRange: { StartingSequenceNumber: "1" },
      ...parents,
    });
    proxy.rewrite("ListShards", () => ({
      Shards: [
        shard("shardId-000000000002", { ParentShardId: "shardId-000000000000" }),
        shard("shardId-000000000003", {
          ParentShardId: "shardId-000000000002",
          AdjacentParentShardId: "shardId-000000000001",
        }),
      ],
    }));
    expect(await splitsOf(source)).toEqual([
      { split: "shardId-000000000002", parents: [] },
      { split: "shardId-000000000003", parents: ["shardId-000000000002"] },
    ]);
  });

  test("calls to one shard are at least 250 ms apart, however many readers it has; those to another shard do not wait", async () => {
    const waits: number[] = [];
    const clock = { now: () => 0, sleep: async (ms: number) => void waits.push(ms) };
    const client = kinesis.clientOf(proxy.endpoint);
    const two = await kinesis.createStream(2);
    const paced = openKinesisSource({ client, stream: two, clock, randomness: systemRandomness });
    const shards = [FIRST_SHARD, FIRST_SHARD, FIRST_SHARD, "shardId-000000000001"];
    await Promise.all(shards.map((shard) => paced.reader.look(shard, BEGINNING)));
    expect(waits.sort((x, y) => x - y)).toEqual([250, 500]);
  });

  test.each(["AccessDeniedException", "UnrecognizedClientException", "KMSAccessDeniedException"])(
    "%s is an error of the configuration that names the permissions",
    async (error) => {
      proxy.fail({ operation: "GetRecords", error });
      await expect(recordsOf(source, FIRST_SHARD)).rejects.toMatchObject({
        kind: "fix-configuration",
        message: expect.stringContaining("kinesis:GetRecords"),
      });
    },
  );

  test("a failure inside the service is an error of kind retry", async () => {
    proxy.fail({ operation: "DescribeStreamSummary", error: "InternalFailureException" });
    await expect(source.retentionMs()).rejects.toMatchObject({ kind: "retry" });
  });

  test("the retention is asked for once a minute at most", async () => {
    expect(await source.retentionMs()).toBe(24 * HOUR_MS);
    expect(await source.retentionMs()).toBe(24 * HOUR_MS);
    expect(proxy.operations).toEqual(["DescribeStreamSummary"]);
  });

  test.each(["splits", "read", "retention", "look"])(
    "a stream that does not exist is an error by name (%s)",
    async (call) => {
      const none = openKinesisSource({ client: kinesis.client, stream: "no-such-stream", ...environment });
      const calls: Record<string, () => Promise<unknown>> = {
        splits: () => splitsOf(none),
        read: () => recordsOf(none, FIRST_SHARD),
        retention: () => none.retentionMs(),
        look: () => none.reader.look(FIRST_SHARD, BEGINNING),
      };
      await expect(calls[call]?.()).rejects.toMatchObject({
        kind: "fix-configuration",
        message: expect.stringContaining('no Kinesis stream "no-such-stream"'),
      });
    },
  );

  test("a shard that is no longer listed has ended, holds nothing, and misses what was not read", async () => {
    const gone = "shardId-000000000099";
    expect(await pagesOf(source, gone)).toEqual([{ records: [], ended: true, caughtUp: true }]);
    expect(await source.reader.look(gone, BEGINNING)).toEqual({ holdsRecords: false, ended: true });
    const nowMs = Date.now();
    const request = { split: gone, after: BEGINNING, freshAtMs: nowMs, nowMs };
    expect(await source.reader.missingAfter(request)).toContain("no longer listed");
  });

  test("a position that the shard does not know is an error, and a reason why records are missing", async () => {
    const after = "1".padStart(56, "0");
    await expect(recordsOf(source, FIRST_SHARD, after)).rejects.toMatchObject({ kind: "fix-configuration" });
    proxy.fail({ operation: "GetShardIterator", error: "InvalidArgumentException" });
    const nowMs = Date.now();
    expect(await source.reader.missingAfter({ split: FIRST_SHARD, after, freshAtMs: nowMs, nowMs })).toContain(
      "does not know the position",
    );
  });

  test("a position of another source is refused by name", async () => {
    await expect(recordsOf(source, FIRST_SHARD, "000000000001")).rejects.toThrow('"000000000001" is no position');
  });

  describe("records older than the retention", () => {
    const nowMs = Date.UTC(2030, 0, 8);

    test.each([
      ["nothing is missing", "the retention less five minutes", 24 * HOUR_MS - 5 * 60_000, false],
      ["records may be missing", "a millisecond longer than that", 24 * HOUR_MS - 5 * 60_000 + 1, true],
    ])("%s of a split never read that was fresh %s ago", async (_outcome, _age, ageMs, missing) => {
      const request = { split: FIRST_SHARD, after: BEGINNING, freshAtMs: nowMs - ageMs, nowMs };
      const reason = await source.reader.missingAfter(request);
      if (missing) expect(reason).toContain("may have expired");
      else expect(reason).toBeUndefined();
    });

    test("nothing is missing while a record at or before the position is still held", async () => {
      const [first] = await recordsOf(source, FIRST_SHARD);
      const request = { split: FIRST_SHARD, after: (first as SourceRecord).position, freshAtMs: 0, nowMs };
      expect(await source.reader.missingAfter(request)).toBeUndefined();
    });

    test("records may be missing when the oldest one held comes after the position", async () => {
      const [first] = await recordsOf(source, FIRST_SHARD);
      proxy.rewrite("GetRecords", (answer) => {
        const records = (answer.Records as { SequenceNumber: string }[]).filter(
          ({ SequenceNumber }) => SequenceNumber !== first?.itemIdentifier,
        );
        return { ...answer, Records: records, MillisBehindLatest: 1000 };
      });
      const request = { split: FIRST_SHARD, after: (first as SourceRecord).position, freshAtMs: 0, nowMs };
      expect(await source.reader.missingAfter(request)).toContain("keeps records for 24 hours");
    });
  });
});
