/**
 * The handlers that are deployed, as Lambda runs them: by their environment, on DynamoDB, S3 and Kinesis over the wire,
 * invoking each other by Lambda's API. What they write on stdout is read as CloudWatch reads it.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, describe, expect, type MockInstance, test, vi } from "vitest";
import { z } from "zod";
import { describeApp } from "../../shared/app/app-description.ts";
import { path, value } from "../../shared/control/conditional-write.ts";
import { readControl } from "../../shared/control/control-steps.ts";
import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import { splitKey } from "../../shared/control/item-keys.ts";
import type { Split } from "../../shared/control/split.ts";
import { listSplits, readSplit } from "../../shared/control/split-steps.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { defineApp, defineFunction } from "../../shared/index.ts";
import {
  APP_METRICS,
  FUNCTION_METRICS,
  lambdaCoordinatorHandler,
  lambdaEventHandler,
  lambdaRestoreHandler,
  lambdaSnapshotHandler,
  SETTINGS_VARIABLE,
  type Settings,
} from "../../shared/lambda/index.ts";
import { openKinesisSource } from "../../shared/source/kinesis/kinesis-source.ts";
import type { Source, SourceRecord } from "../../shared/source/source.ts";
import { DynamoDBStateBackend } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import { access, startDynalite, type TestDynamoDB } from "../support/dynalite.ts";
import { putInOrder, startKinesis, type TestKinesis } from "../support/kinesis-local.ts";
import { type LambdaApi, startLambdaApi } from "../support/lambda-api.ts";

/** What the user's code does at an event besides counting it. */
let during: (n: number) => Promise<void> = async () => {};

/** It takes negative numbers. */
let repaired = false;

/** What it returns for numbers above 70: no state, so that an error names the key. */
let spoilt: unknown;

const counting = defineFunction({
  name: "counting",
  event: z.object({ key: z.string(), n: z.int() }),
  key: (event) => event.key,
  state: { initial: () => ({ count: 0 }) },
  handle: async (state, event) => {
    await during(event.n);
    if (event.n < 0 && !repaired) throw new Error(`n is ${event.n}`);
    if (event.n > 70) return spoilt as never;
    return { count: state.count + 1 };
  },
});
const app = defineApp({
  name: "shop",
  functions: [{ function: counting, source: "events" }],
  checkpointing: { intervalMs: 3_600_000 },
  deadLetters: { triesMax: 1, maxConsecutiveDeadLetters: 2 },
});

const LONG = { getRemainingTimeInMillis: () => 60_000 };
const MAPPING = {
  ...{ UUID: "u-1", State: "Enabled", BatchSize: 100, MaximumBatchingWindowInSeconds: 1 },
  FunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:shop-counting",
  FunctionResponseTypes: ["ReportBatchItemFailures"],
};

let dynamodb: TestDynamoDB;
let kinesis: TestKinesis;
let s3: Awaited<ReturnType<typeof startFauxqs>>;
let api: LambdaApi;
let control: DynamoDBControlStore;
let state: DynamoDBStateBackend;
let source: Source;
let stream: string;
let settings: Settings;
/** stdout, and stderr, where warnings and errors go: Lambda takes both for the log. */
let streams: MockInstance<typeof process.stdout.write>[] = [];

beforeAll(async () => {
  dynamodb = await startDynalite();
  kinesis = await startKinesis();
  s3 = await startFauxqs({ port: 0, logger: false });
  api = await startLambdaApi();
  const adapters = access(dynamodb.client());
  await createControlTable(adapters, "control");
  await createStateTable(adapters, "counting");
  control = new DynamoDBControlStore({ ...adapters, table: "control" });
  state = new DynamoDBStateBackend({ ...adapters, tableOf: () => "counting" });
  stream = await kinesis.createStream(1);
  const attendants = { clock: systemClock, randomness: systemRandomness };
  source = openKinesisSource({ ...attendants, client: kinesis.client, stream });
  settings = {
    app: describeApp(app),
    tables: { control: "control", state: { counting: "counting" } },
    storageUrl: "s3://checkpoints/shop",
    sources: { events: `kinesis:${stream}` },
    deployment: {
      functions: { counting: "shop-counting" },
      mappings: { counting: { uuid: "u-1", expected: { batchSize: 100, maximumBatchingWindowSeconds: 1 } } },
      ...{ snapshot: "shop-snapshot", snapshotWorkers: 2, coordinator: "shop-coordinator" },
    },
  };
  vi.stubEnv("AWS_REGION", "us-east-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
  vi.stubEnv("AWS_ENDPOINT_URL", api.endpoint);
  vi.stubEnv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint);
  vi.stubEnv("AWS_ENDPOINT_URL_KINESIS", kinesis.endpoint);
  vi.stubEnv("AWS_ENDPOINT_URL_S3", `http://127.0.0.1:${s3.port}`);
  vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(settings));
  const client = new S3Client({ forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: "checkpoints" }));
  client.destroy();
  api.mappings.set("u-1", MAPPING);
  streams = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, "write").mockReturnValue(true));
  const [event, coordinator] = [lambdaEventHandler(app, "counting"), lambdaCoordinatorHandler()];
  const snapshot = lambdaSnapshotHandler();
  api.handlers.set("shop-counting", (payload) => event(payload, LONG));
  api.handlers.set("shop-coordinator", (payload) => coordinator(payload, LONG));
  api.handlers.set("shop-snapshot", (payload) => snapshot(payload, LONG));
  // It claims the tables and the place for the app, which every other function waits for, and does nothing else.
  await coordinate({ takeOver: "nothing" });
}, 120_000);

afterAll(async () => {
  for (const one of streams) one.mockRestore();
  vi.unstubAllEnvs();
  await api?.close();
  await s3?.stop();
  await kinesis?.close();
  await dynamodb?.close();
});

interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  readonly dimensions: { readonly [name: string]: string };
}

interface EmbeddedMetrics {
  readonly [member: string]: unknown;
  readonly _aws: {
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
    }[];
  };
}

const seen: Metric[] = [];
const logged: Record<string, unknown>[] = [];

/** What was written since the last call: metrics as CloudWatch takes them out, each with every set of its dimensions. */
function written(): { readonly metrics: readonly Metric[]; readonly lines: readonly Record<string, unknown>[] } {
  const text = streams.flatMap(({ mock }) => mock.calls.map(([chunk]) => String(chunk))).join("");
  for (const one of streams) one.mockClear();
  const lines = text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as EmbeddedMetrics);
  const metrics = lines.filter(({ _aws }) => _aws !== undefined).flatMap(metricsOf);
  const plain = lines.filter(({ _aws }) => _aws === undefined);
  seen.push(...metrics);
  logged.push(...plain);
  return { metrics, lines: plain };
}

function metricsOf(line: EmbeddedMetrics): Metric[] {
  return line._aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
    Metrics.flatMap(({ Name, Unit }) =>
      Dimensions.map((names): Metric => {
        expect(Namespace).toBe("Tidemark");
        const dimensions = Object.fromEntries(names.map((name) => [name, String(line[name])]));
        return { name: Name, unit: Unit, values: [line[Name]].flat() as number[], dimensions };
      }),
    ),
  );
}

/** The metrics of one run, by name; one that is of a function has its dimension. */
function valuesOf(metrics: readonly Metric[]): { [name: string]: number[] } {
  const values: { [name: string]: number[] } = {};
  for (const metric of metrics) values[metric.name] = [...(values[metric.name] ?? []), ...metric.values];
  return values;
}

const invoke = async (name: string, payload: unknown): Promise<unknown> => api.handlers.get(name)?.(payload);
const coordinate = (payload: unknown = { source: "aws.events" }) => invoke("shop-coordinator", payload);

async function put(numbers: readonly number[]): Promise<void> {
  await putInOrder(
    kinesis.client,
    stream,
    numbers.map((n) => JSON.stringify({ key: `k${Math.abs(n) % 3}`, n })),
  );
}

async function split(): Promise<{ readonly name: string; readonly item: Split }> {
  for await (const { split: name, item } of listSplits(control, "counting"))
    if (item !== "unborn" && name !== REDRIVE_SPLIT) return { name, item };
  throw new Error("no split is born");
}

async function recordsAfter(position: string): Promise<{ readonly shard: string; readonly records: SourceRecord[] }> {
  for await (const { split: shard } of source.reader.splits()) {
    const records: SourceRecord[] = [];
    for await (const page of source.reader.read({ split: shard, after: position, pageRecords: 100, follow: false })) {
      records.push(...page.records);
    }
    return { shard, records };
  }
  throw new Error("the stream has no shard");
}

interface Answer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** One delivery of the mapping: everything after a position. */
async function deliver(after: string, handler = (event: unknown) => invoke("shop-counting", event)): Promise<Answer> {
  const { shard, records } = await recordsAfter(after);
  return (await handler(source.events.toEvent({ split: shard, records }))) as Answer;
}

async function counted(generation = 1): Promise<number> {
  let sum = 0;
  for await (const { items } of state.scan({ function: "counting", generation }, { index: 0, count: 1 })) {
    for (const item of items) sum += (item.state as unknown as { value: { count: number } }).value.count;
  }
  return sum;
}

const hashOf = (key: string): string => `#${createHash("sha256").update(key).digest("hex").slice(0, 16)}`;

const ofFunction = { service: "shop", function: "counting" };

describe("an event function as deployed", () => {
  test("measures its batches", async () => {
    await put([1, 2, 3, 4]);
    expect(await deliver("")).toEqual({ batchItemFailures: [] });
    const { metrics } = written();
    expect(valuesOf(metrics)).toMatchObject({ BatchSize: [4], RecordsFolded: [4], Keys: [3], CacheHits: [0] });
    expect(valuesOf(metrics).WriteUnits?.[0]).toBeGreaterThanOrEqual(5);
    for (const { dimensions } of metrics) expect(dimensions).toEqual(ofFunction);
  });

  test("stops at its deadline, ends what is folded, and reports the rest, which is folded once", async () => {
    const { item: before } = await split();
    await put([11, 12, 13, 14, 15, 16]);
    const { records } = await recordsAfter(before.position);
    // The deadline, five seconds before its time is up, comes while the third record is handled.
    const remainingMs = 11_000;
    let startedAtMs = 0;
    during = async (n) => {
      if (n === 13) await sleep(Math.max(0, startedAtMs + remainingMs - 2_000 - systemClock.now()));
    };
    const handler = lambdaEventHandler(app, "counting");
    const answer = await deliver(before.position, (event) => {
      startedAtMs = systemClock.now();
      return handler(event, { getRemainingTimeInMillis: () => startedAtMs + remainingMs - systemClock.now() });
    });
    during = async () => {};
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: records[3]?.itemIdentifier }] });
    expect((await split()).item.position).toBe(records[2]?.position);
    expect(await counted()).toBe(7);
    // As the mapping does: from the record that was reported, and here all of the batch.
    expect(await deliver(before.position)).toEqual({ batchItemFailures: [] });
    expect(await counted()).toBe(10);
  });

  test("refuses records of another account's or region's stream, which it could not read again", async () => {
    const invokedFunctionArn = "arn:aws:lambda:us-east-1:111111111111:function:shop-counting";
    for (const place of ["us-east-1:222222222222", "eu-west-1:111111111111"]) {
      const eventSourceARN = `arn:aws:kinesis:${place}:stream/clicks`;
      const delivered = lambdaEventHandler(app, "counting")(
        { Records: [{ eventSourceARN }] },
        { ...LONG, invokedFunctionArn },
      );
      await expect(delivered).rejects.toThrow(
        expect.objectContaining({ kind: "fix-configuration", message: expect.stringContaining(eventSourceARN) }),
      );
    }
    written();
  });

  test("with less time than the margin still folds", async () => {
    const { item: before } = await split();
    await put([21]);
    const handler = lambdaEventHandler(app, "counting");
    expect(
      await deliver(before.position, (event) => handler(event, { getRemainingTimeInMillis: () => 4_000 })),
    ).toEqual({
      batchItemFailures: [],
    });
    written();
  });
});

describe("the coordinator as deployed", () => {
  test("has workers write a checkpoint, and measures it, the age of the last, mappings and lags", async () => {
    await put([31]);
    expect(await coordinate()).toMatchObject({
      did: "checkpoint",
      checkpoint: { outcome: "completed", checkpoint: 1 },
    });
    expect(api.invocations.some((one) => one.function === "shop-snapshot")).toBe(true);
    const { metrics } = written();
    const values = valuesOf(metrics);
    expect(values).toMatchObject({ CheckpointCompleted: [1], RestoreRunning: [0, 0], MappingDrift: [0, 0] });
    for (const name of ["CheckpointDuration", "CheckpointBytes", "SplitLag", "CheckpointAge"]) {
      expect(values[name]?.at(-1), name).toBeGreaterThan(0);
    }
    expect(values.CheckpointAge?.at(-1)).toBeLessThan(60);
    for (const { name, dimensions } of metrics) {
      expect(dimensions, name).toEqual(name === "SplitLag" ? ofFunction : { service: "shop" });
    }
  });

  test("counts a mapping that was changed, gone, or disabled by hand", async () => {
    for (const changed of [{ ...MAPPING, BatchSize: 5 }, { ...MAPPING, State: "Disabled" }, undefined]) {
      if (changed === undefined) api.mappings.delete("u-1");
      else api.mappings.set("u-1", changed);
      await coordinate();
      const { metrics, lines } = written();
      expect(valuesOf(metrics)).toMatchObject({ MappingDrift: [1, 1], RestoreRunning: [0, 0] });
      expect(lines).toContainEqual(expect.objectContaining({ message: "mapping-drifted", level: "WARN" }));
    }
    api.mappings.set("u-1", MAPPING);
  });

  test("counts a checkpoint that failed, and tells its age also then", async () => {
    const hasty = {
      ...settings,
      app: { ...settings.app, checkpointing: { ...settings.app.checkpointing, timeoutMs: 1 } },
    };
    vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(hasty));
    const handler = lambdaCoordinatorHandler();
    expect(await handler({ checkpoint: true }, LONG)).toMatchObject({ checkpoint: { outcome: "aborted" } });
    vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(settings));
    const { metrics } = written();
    expect(valuesOf(metrics)).toMatchObject({ CheckpointFailed: [1] });
    expect(valuesOf(metrics).CheckpointAge).toHaveLength(2);
  });

  test("refuses a wish that is misspelt, and says so in its log", async () => {
    await expect(coordinate({ savepont: "v2" })).rejects.toThrow(/did nothing/);
    expect(written().lines).toContainEqual(expect.objectContaining({ level: "ERROR", kind: "fix-configuration" }));
  });
});

describe("a restore as deployed", () => {
  test("is seen to run from its first moment, has the function replay, and leaves the mapping on", async () => {
    const { item } = await split();
    await deliver(item.position);
    written();
    const restore = lambdaRestoreHandler();
    // A mapping is disabled and enabled in no time here.
    const settle = setInterval(() => settleMapping(), 50);
    expect(await restore({ checkpoint: 1 }, LONG)).toMatchObject({ outcome: "requested", checkpoint: 1 });
    await api.idle();
    clearInterval(settle);
    settleMapping();
    expect(await restore({ status: true }, LONG)).toMatchObject({ phase: "finished", checkpoint: 1, generation: 2 });
    expect(api.mappings.get("u-1")).toMatchObject({ State: "Enabled" });
    const { metrics } = written();
    expect(valuesOf(metrics)).toMatchObject({ RestoreRunning: [1, 0], ReplayedRecords: [1] });
    expect(valuesOf(metrics).CheckpointFailed).toBeUndefined();
  });

  test("answers what it refuses as an error that says what to do, and logs it", async () => {
    const restore = lambdaRestoreHandler();
    expect(await restore({ chekpoint: 1 }, LONG)).toEqual({
      error: { kind: "fix-configuration", message: expect.stringContaining("did you mean checkpoint?") },
    });
    expect(written().lines).toContainEqual(expect.objectContaining({ level: "ERROR", kind: "fix-configuration" }));
  });

  test("finds in the log of a worker, and of a function that replays, what they answered as an error", async () => {
    for (const name of ["shop-snapshot", "shop-counting"]) {
      expect(await invoke(name, { tidemark: "replay", work: "nothing", function: "other" })).toMatchObject({
        error: { kind: "fix-configuration" },
      });
      expect(written().lines, name).toContainEqual(
        expect.objectContaining({ level: "ERROR", kind: "fix-configuration" }),
      );
    }
  });
});

describe("what is given up", () => {
  test("a hole that a batch finds is counted", async () => {
    const { name, item } = await split();
    await put([41, 42]);
    const { shard, records } = await recordsAfter(item.position);
    // As a batch leaves it that was tried, and whose records the source dropped then.
    const attemptedTo = value(records[0]?.position ?? "");
    await control.update(splitKey("counting", name), { conditions: [], set: [[path("attemptedTo"), attemptedTo]] });
    await invoke("shop-counting", source.events.toEvent({ split: shard, records: records.slice(1) }));
    const { metrics, lines } = written();
    expect(valuesOf(metrics)).toMatchObject({ Holes: [1] });
    expect(lines).toContainEqual(
      expect.objectContaining({
        ...{ message: "hole", function: "counting", split: name, epoch: item.epoch, generation: item.gen },
        hole: expect.objectContaining({ cause: "dropped" }),
      }),
    );
  });

  test("dead letters are counted, and a split that stopped", async () => {
    const { item } = await split();
    await put([-1, -2, -4]);
    for (let delivery = 0; delivery < 6; delivery += 1) await deliver((await split()).item.position);
    const { metrics, lines } = written();
    expect(valuesOf(metrics).DeadLetters).toEqual([1, 1]);
    expect(valuesOf(metrics).SplitsStopped?.length).toBeGreaterThan(0);
    const { name, item: stopped } = await split();
    const where = { function: "counting", split: name, epoch: stopped.epoch, generation: stopped.gen };
    expect(where).toMatchObject({ epoch: 2, generation: 2 });
    for (const message of ["dead-letter", "record-failed", "split-stopped"]) {
      const said = lines.filter((line) => line.message === message);
      expect(said.length, message).toBeGreaterThan(0);
      for (const line of said) expect(line).toMatchObject({ ...where, service: "shop", position: expect.any(String) });
    }
    expect(lines).toContainEqual(expect.objectContaining({ message: "split-stopped", level: "ERROR" }));
    expect(stopped.position > item.position).toBe(true);
  });
});

describe("dead letters that are put back", () => {
  const redrives = () => api.invocations.filter(({ payload }) => JSON.stringify(payload).includes("tidemark:redrive"));
  const redriveSplit = async () => (await readSplit(control, { function: "counting", split: REDRIVE_SPLIT })) as Split;

  test("are looked for by every run, which invokes nobody when there are none", async () => {
    api.invocations.length = 0;
    await coordinate();
    expect(api.invocations).toEqual([]);
  });

  test("are put back at the coordinator, and given up again while the function is not repaired", async () => {
    const put = { did: "redrive", function: "counting", redriven: 2 };
    expect(await coordinate({ redrive: "counting" })).toEqual(put);
    expect(api.invocations).toEqual([]);
    written();
    await coordinate();
    expect((await redriveSplit()).holes).toHaveLength(1);
    const { metrics, lines } = written();
    expect(valuesOf(metrics).DeadLetters).toEqual([1, 1]);
    expect(lines).toContainEqual(expect.objectContaining({ message: "redriven", position: "000000000002" }));
  });

  test("count once, put back by two at once and delivered by two coordinators, while their split is stopped", async () => {
    repaired = true;
    const before = await counted(2);
    await Promise.all([coordinate({ redrive: "counting" }), coordinate({ redrive: "counting" })]);
    api.invocations.length = 0;
    await Promise.all([coordinate(), lambdaCoordinatorHandler()({ source: "aws.events" }, LONG)]);
    await coordinate();
    expect(redrives().length).toBeGreaterThan(0);
    expect(redrives().every((one) => one.function === "shop-counting" && one.type === "RequestResponse")).toBe(true);
    expect(await counted(2)).toBe(before + 2);
    expect((await redriveSplit()).position).toBe((await redriveSplit()).attemptedTo);
    expect(await coordinate({ redrive: "counting", split: (await split()).name })).toMatchObject({ redriven: 0 });
  });

  test("count once in a checkpoint, and after a restore of one from before they were put back", async () => {
    const before = await counted(2);
    expect(await coordinate({ checkpoint: true })).toMatchObject({ checkpoint: { outcome: "completed" } });
    const restore = lambdaRestoreHandler();
    const settle = setInterval(() => settleMapping(), 50);
    // The record that had stopped the split is not in the checkpoint; it is folded by now.
    await deliver((await split()).item.position);
    expect(await counted(2)).toBe(before + 1);
    // Checkpoint 1 is from before the records were given up: their split folds them itself, and the one of the hole.
    for (const [checkpoint, generation, more] of [[{}, 3, 1] as const, [{ checkpoint: 1 }, 4, 2] as const]) {
      api.invocations.length = 0;
      expect(await restore(checkpoint, LONG)).toMatchObject({ outcome: "requested" });
      await api.idle();
      expect(await restore({ status: true }, LONG)).toMatchObject({ phase: "finished", generation });
      // The restore had the function replay what was put back: nobody delivered it.
      expect(redrives()).toEqual([]);
      await coordinate();
      expect(await counted(generation)).toBe(before + more);
    }
    clearInterval(settle);
    settleMapping();
    written();
  });

  test("of a function that is not there are refused", async () => {
    await expect(coordinate({ redrive: "counted" })).rejects.toThrow(/no function "counted"; it has counting/);
    written();
  });
});

describe("a restore that is asked for with more than a checkpoint", () => {
  const restore = lambdaRestoreHandler();

  /** Until the coordinator that was woken has done, mappings coming to rest meanwhile. */
  async function carried(payload: object) {
    const settle = setInterval(() => settleMapping(), 50);
    const answer = await restore(payload, LONG);
    await api.idle();
    clearInterval(settle);
    settleMapping();
    return answer;
  }

  test("(until) replays to there and stays, mapping off, until it is told to go on", async () => {
    await coordinate({ checkpoint: true });
    const { name, item: atCut } = await split();
    await put([51, 52, 53]);
    expect(await deliver(atCut.position)).toEqual({ batchItemFailures: [] });
    const before = await counted(4);
    const to = (await recordsAfter(atCut.position)).records[1]?.position ?? "";
    const until = { counting: { [name]: to } };
    expect(await carried({ until })).toMatchObject({ outcome: "requested" });
    const held = { phase: "held", generation: 5, hold: { positions: until }, mappingsOff: ["counting"] };
    expect(await restore({ status: true }, LONG)).toMatchObject(held);
    // A run of its schedule leaves it there.
    await coordinate();
    expect(await restore({ status: true }, LONG)).toMatchObject(held);
    expect(api.mappings.get("u-1")).toMatchObject({ State: "Disabled" });
    expect((await split()).item).toMatchObject({ gen: 5, phase: "REPLAYING", position: to });
    expect(await counted(5)).toBe(before - 1);
    expect(await carried({ goOn: true })).toMatchObject({ outcome: "going-on" });
    expect(await restore({ status: true }, LONG)).toMatchObject({ phase: "finished", generation: 5 });
    expect(api.mappings.get("u-1")).toMatchObject({ State: "Enabled" });
    expect(await counted(5)).toBe(before);
    written();
  });

  test("(allowNonRestoredState) leaves the state of a function behind that the app no longer has, and not without", async () => {
    await createStateTable(access(dynamodb.client()), "gone");
    const functions = [...settings.app.functions, { name: "gone", source: "events", stateVersion: 1 }];
    const tables = { control: "control", state: { counting: "counting", gone: "gone" } };
    const wider = { ...settings, app: { ...settings.app, functions }, tables };
    vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(wider));
    const snapshot = lambdaSnapshotHandler();
    const usual = api.handlers.get("shop-snapshot");
    api.handlers.set("shop-snapshot", (payload) => snapshot(payload, LONG));
    const saved = await lambdaCoordinatorHandler()({ savepoint: "wider" }, LONG);
    expect(saved).toMatchObject({ checkpoint: { outcome: "completed" } });
    vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(settings));
    if (usual !== undefined) api.handlers.set("shop-snapshot", usual);

    const before = await readControl(control);
    for (const [payload, message] of [
      [{ savepoint: "wider" }, /state of function gone, which the app does not have/],
      [{ savepoint: "wider", allowNonRestoredStat: true }, /did you mean allowNonRestoredState\?/],
      [
        { savepoint: "wider", allowNonRestoredState: "yes" },
        /allowNonRestoredState is "yes"; it must be true or false/,
      ],
      [{ savepint: "wider", allowNonRestoredState: true }, /did you mean savepoint\?/],
    ] as const) {
      expect(await carried(payload)).toEqual({
        error: { kind: "fix-configuration", message: expect.stringMatching(message) },
      });
    }
    expect(await readControl(control)).toEqual(before);
    const allowed = { savepoint: "wider", allowNonRestoredState: true };
    expect(await carried(allowed)).toMatchObject({ outcome: "requested", leftBehind: ["gone"] });
    expect(await restore({ status: true }, LONG)).toMatchObject({ phase: "finished", generation: 6 });
    expect(await counted(6)).toBe(await counted(5));
    written();
  });
});

describe("what a log shows of the users' data", () => {
  const errorsIn = (lines: readonly Record<string, unknown>[], message: string) =>
    lines.filter((line) => line.message === message).map(({ error }) => String(error));

  test("is a key's hash, and of a record that cannot be read nothing", async () => {
    const { item } = await split();
    await putInOrder(kinesis.client, stream, ["alice@example.com,42"]);
    await put([71, 5, 72, 73]);
    await deliver(item.position);
    const { lines } = written();
    expect(errorsIn(lines, "dead-letter")).toEqual([
      "A record of function counting cannot be read: SyntaxError. Correct what writes the records: each is one JSON value. Records of several, or of another form, are taken apart by a decode of the source.",
      ...["k2", "k0", "k1"].map((key) => expect.stringContaining(`undefined for key ${hashOf(key)}.`)),
    ]);
    // The state backend names keys as well.
    spoilt = { count: "large".repeat(100_000) };
    await put([6, 74]);
    await deliver(item.position);
    expect(errorsIn(written().lines, "dead-letter")).toEqual([
      expect.stringContaining(`Function counting, key ${hashOf("k2")}: its state`),
    ]);
    expect(JSON.stringify(logged)).not.toMatch(/\bk[012]\b|alice/);
  });

  test("is the key itself where the settings say logKeys", async () => {
    const { position } = (await split()).item;
    await put([7, 75]);
    vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify({ ...settings, logKeys: true }));
    await deliver(position, (event) => lambdaEventHandler(app, "counting")(event, LONG));
    vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(settings));
    expect(errorsIn(written().lines, "dead-letter")).toEqual([
      expect.stringContaining('Function counting, key "k0": its state'),
    ]);
  });
});

test("lines about checkpoints and restores say which", () => {
  const lines = (message: string) => logged.filter((line) => line.message === message);
  expect(lines("checkpoint-completed").map(({ checkpoint }) => checkpoint)).toEqual([1, 3, 4, 5]);
  for (const message of ["restore-started", "restore-finished"]) {
    expect(lines(message), message).toMatchObject([
      { checkpoint: 1, generation: 2 },
      { checkpoint: 3, generation: 3 },
      { checkpoint: 1, generation: 4 },
      { checkpoint: 4, generation: 5 },
      { checkpoint: 5, generation: 6 },
    ]);
  }
});

test("every metric that has a name was measured, with the dimensions and the unit that alarms and dashboards expect", () => {
  const ofApp = Object.values(APP_METRICS).map((name) => [name, { service: "shop" }] as const);
  const named = [...ofApp, ...Object.values(FUNCTION_METRICS).map((name) => [name, ofFunction] as const)];
  const units: { [name: string]: string } = {
    ...{ CheckpointAge: "Seconds", CheckpointDuration: "Milliseconds", CheckpointBytes: "Bytes" },
    SplitLag: "Milliseconds",
  };
  for (const [name, dimensions] of named) {
    const measured = seen.filter((metric) => metric.name === name);
    expect(measured.length, name).toBeGreaterThan(0);
    for (const metric of measured) expect(metric).toMatchObject({ dimensions, unit: units[name] ?? "Count" });
  }
  const known = new Set(named.map(([name]) => name as string));
  expect(seen.filter(({ name }) => !known.has(name))).toEqual([]);
});

// The last one: what was changed once makes each further invocation end.
test("an event function whose code changed the language's own objects says so, and ends its process", async () => {
  const exit = vi.spyOn(process, "exit").mockImplementation((code) => {
    throw new Error(`exit code ${code}`);
  });
  const { position } = (await split()).item;
  Object.assign(Object.prototype, { added: 1 });
  await expect(deliver(position)).rejects.toThrow("exit code 1");
  expect(exit).toHaveBeenCalledWith(1);
  exit.mockRestore();
  expect("added" in {}).toBe(false);
  expect((await split()).item.position).toBe(position);
  const said = written().lines.filter(({ level }) => level === "ERROR");
  expect(said.map(({ message }) => message)).toContainEqual(
    expect.stringContaining('changed the language\'s own objects: Object.prototype has got a member "added"'),
  );
});

function settleMapping(): void {
  const mapping = api.mappings.get("u-1");
  if (mapping?.State === "Disabling") api.mappings.set("u-1", { ...mapping, State: "Disabled" });
  if (mapping?.State === "Enabling") api.mappings.set("u-1", { ...mapping, State: "Enabled" });
}
