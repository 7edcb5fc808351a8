/** A Kinesis stream through the whole engine: flow, checkpoint, resharding, restore and replay, over the wire. */
import { PutRecordCommand, SplitShardCommand } from "@aws-sdk/client-kinesis";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Engine } from "../../local/engine.ts";
import type { EngineEvent } from "../../local/engine-event.ts";
import { compiled } from "../support/compiled-tree.ts";
import { type EventFiles, writeEventFiles } from "../support/counted-events.ts";
import { type Counted, link } from "../support/counting-app.ts";
import { startKinesis, type TestKinesis, untilActive } from "../support/kinesis-local.ts";

vi.setConfig({ testTimeout: 240_000 });

const { startEngine }: typeof import("../../local/start-engine.ts") = await import(compiled("local/start-engine.ts"));
const KEYS = ["a", "b", "c"];

let kinesis: TestKinesis;
let files: EventFiles;
let engine: Engine | undefined;

beforeAll(async () => {
  kinesis = await startKinesis();
});
beforeEach(() => {
  vi.stubEnv("AWS_ENDPOINT_URL_KINESIS", kinesis.endpoint);
  vi.stubEnv("AWS_REGION", "us-east-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
});
afterEach(async () => {
  await engine?.stop();
  engine = undefined;
  files.remove();
  vi.unstubAllEnvs();
});
afterAll(() => kinesis.close());

/** Puts records one after another, and folds them as the app must: by the shard that the stream said took each. */
function putter(stream: string) {
  const states = new Map<string, Counted>();
  let put = 0;
  return {
    states,
    get put() {
      return put;
    },
    async records(count: number): Promise<void> {
      for (const end = put + count; put < end; put++) {
        const key = KEYS[put % KEYS.length] as string;
        const { ShardId = "" } = await kinesis.client.send(
          new PutRecordCommand({
            StreamName: stream,
            Data: Buffer.from(JSON.stringify({ key, n: put })),
            PartitionKey: `p${put}`,
          }),
        );
        const { count: before, chains } = states.get(key) ?? { count: 0, chains: {} };
        states.set(key, { count: before + 1, chains: { ...chains, [ShardId]: link(chains[ShardId] ?? 0, put) } });
      }
    },
  };
}

async function statesOf(running: Engine): Promise<Map<string, Counted>> {
  const { states } = await running.statePage("counting");
  return new Map(states.map(({ key, state }) => [key, state as unknown as Counted]));
}

const counted = (states: ReadonlyMap<string, Counted>): number =>
  [...states.values()].reduce((sum, { count }) => sum + count, 0);

async function until(running: Engine, count: number): Promise<Map<string, Counted>> {
  for (;;) {
    const states = await statesOf(running);
    if (counted(states) >= count) return states;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Every batch of the shard that was split comes before any of those that it was split into. */
function expectParentFirst(events: readonly EngineEvent[], replay: boolean): void {
  const splits = events.flatMap((event) => (event.type === "batch" && event.replay === replay ? event.split : []));
  const children = ["shardId-000000000002", "shardId-000000000003"].map((child) => splits.indexOf(child));
  expect(Math.min(...children)).toBeGreaterThan(splits.lastIndexOf("shardId-000000000000"));
}

test("a stream that is not there is said at once", async () => {
  files = writeEventFiles({ files: 0, events: 0, keys: 1 });
  const options = { home: files.home, appModule: compiled("test/support/counting-app.ts") };
  await expect(startEngine({ ...options, backend: "heap", sources: { events: "kinesis:nowhere" } })).rejects.toThrow(
    'There is no Kinesis stream "nowhere"',
  );
});

test.each(["dynamodb", "heap"] as const)(
  "a stream that is resharded flows, and restores to what it was, on %s",
  async (backend) => {
    files = writeEventFiles({ files: 0, events: 0, keys: 1 });
    const stream = await kinesis.createStream(2);
    const source = putter(stream);
    const events: EngineEvent[] = [];
    engine = await startEngine({
      ...{ home: files.home, appModule: compiled("test/support/counting-app.ts"), backend },
      sources: { events: `kinesis:${stream}` },
      // A heap in a process of its own tells of no batches.
      inProcess: backend === "heap",
      observe: (event) => void events.push(event),
    });
    await source.records(40);
    expect(await until(engine, 40)).toEqual(source.states);
    await engine.checkpoint({ savepoint: "before-split" });
    await kinesis.client.send(
      new SplitShardCommand({
        StreamName: stream,
        ShardToSplit: "shardId-000000000000",
        NewStartingHashKey: String(2n ** 126n),
      }),
    );
    await untilActive(kinesis.client, stream);
    await source.records(40);
    const end = await until(engine, 80);
    expect(end).toEqual(source.states);
    expect(new Set([...end.values()].flatMap(({ chains }) => Object.keys(chains))).size).toBe(4);
    expectParentFirst(events, false);
    expect(await engine.restore({ savepoint: "before-split" })).toMatchObject({ outcome: "finished" });
    expect(await until(engine, 80)).toEqual(source.states);
    expectParentFirst(events, true);
    await source.records(10);
    expect(await until(engine, 90)).toEqual(source.states);
  },
);
