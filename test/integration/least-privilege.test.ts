/**
 * Every request that the deployed handlers make is one that their role allows: the handlers run over the wire, each under
 * its own name, and what they ask for is held against the policies of the template. LocalStack does not enforce IAM.
 *
 * The way there passes a poison record, a cleared state, retention, a restore, and the removal of what it left. What takes a
 * fault, or a day, is not on it: before-images that outgrew their item, tombstones that are covered, aborted uploads.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { KinesisClient } from "@aws-sdk/client-kinesis";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { Template } from "aws-cdk-lib/assertions";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { TidemarkApp } from "../../infra/constructs/index.ts";
import { describeApp } from "../../shared/app/app-description.ts";
import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { defineApp, defineFunction } from "../../shared/index.ts";
import {
  lambdaCoordinatorHandler,
  lambdaEventHandler,
  lambdaRestoreHandler,
  lambdaSnapshotHandler,
  SETTINGS_VARIABLE,
} from "../../shared/lambda/index.ts";
import { openKinesisSource } from "../../shared/source/kinesis/kinesis-source.ts";
import type { Source } from "../../shared/source/source.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import { access, startDynalite, type TestDynamoDB } from "../support/dynalite.ts";
import { putInOrder, startKinesis, type TestKinesis } from "../support/kinesis-local.ts";
import { type LambdaApi, startLambdaApi } from "../support/lambda-api.ts";
import { newStack, resourcesOf, rightProps, spelt } from "../unit/infra/deployed-app.ts";

const counting = defineFunction({
  name: "counting",
  event: z.object({ key: z.string(), n: z.int() }),
  key: (event) => event.key,
  state: { initial: () => ({ count: 0 }) },
  handle: (state, { n }) => {
    if (n < 0) throw new Error(`n is ${n}`);
    return n === 0 ? null : { count: state.count + 1 };
  },
});
const app = defineApp({
  name: "shop",
  functions: [{ function: counting, source: "events" }],
  checkpointing: { intervalMs: 3_600_000, retained: 1 },
  deadLetters: { triesMax: 1 },
});

/** The roles by the functions that have them, and what stands for what in the template. */
const ROLES = {
  event: "AppFunctioncountingHandler",
  coordinator: "AppCoordinator",
  snapshot: "AppSnapshot",
  restore: "AppRestore",
};
type Role = keyof typeof ROLES;
const TABLES: Readonly<Record<string, string>> = { control: "<AppControl.Arn>", counting: "<AppStatecounting.Arn>" };
const FUNCTIONS: Readonly<Record<string, string>> = {
  "shop-counting": "<AppFunctioncountingHandler.Arn>",
  "shop-snapshot": "<AppSnapshot.Arn>",
  "shop-coordinator": "<AppCoordinator.Arn>",
};

interface Permission {
  readonly action: string;
  readonly resource: string;
  readonly prefixes: readonly string[] | undefined;
}

const running = new AsyncLocalStorage<Role>();
/** `role action resource`, each once. */
const asked = new Map<
  string,
  { readonly role: Role; readonly action: string; readonly resource: string; readonly prefix?: string }
>();

let dynamodb: TestDynamoDB;
let kinesis: TestKinesis;
let s3: Awaited<ReturnType<typeof startFauxqs>>;
let api: LambdaApi;
let source: Source;
let stream: string;
let permissions: Map<Role, Permission[]>;

beforeAll(async () => {
  permissions = permissionsOf();
  dynamodb = await startDynalite();
  kinesis = await startKinesis();
  s3 = await startFauxqs({ port: 0, logger: false });
  api = await startLambdaApi();
  const adapters = access(dynamodb.client());
  await createControlTable(adapters, "control");
  await createStateTable(adapters, "counting");
  stream = await kinesis.createStream(1);
  source = openKinesisSource({ clock: systemClock, randomness: systemRandomness, client: kinesis.client, stream });
  for (const [name, value] of Object.entries({
    ...{ AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" },
    AWS_ENDPOINT_URL: api.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.endpoint,
    AWS_ENDPOINT_URL_KINESIS: kinesis.endpoint,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3.port}`,
    [SETTINGS_VARIABLE]: JSON.stringify({
      app: describeApp(app),
      tables: { control: "control", state: { counting: "counting" } },
      storageUrl: "s3://checkpoints/shop",
      sources: { events: `kinesis:${stream}` },
      deployment: {
        functions: { counting: "shop-counting" },
        mappings: { counting: { uuid: "u-1", expected: { batchSize: 100, maximumBatchingWindowSeconds: 1 } } },
        ...{ snapshot: "shop-snapshot", snapshotWorkers: 2, coordinator: "shop-coordinator" },
      },
    }),
  })) {
    vi.stubEnv(name, value);
  }
  const client = new S3Client({ forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: "checkpoints" }));
  client.destroy();
  api.mappings.set("u-1", {
    ...{ UUID: "u-1", State: "Enabled", BatchSize: 100, MaximumBatchingWindowInSeconds: 1 },
    ...{ FunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:shop-counting" },
    FunctionResponseTypes: ["ReportBatchItemFailures"],
  });
  const long = { getRemainingTimeInMillis: () => 60_000 };
  const [event, coordinator] = [lambdaEventHandler(app, "counting"), lambdaCoordinatorHandler()];
  const [snapshot, restore] = [lambdaSnapshotHandler(), lambdaRestoreHandler()];
  api.handlers.set("shop-counting", (payload) => running.run("event", () => event(payload, long)));
  api.handlers.set("shop-coordinator", (payload) => running.run("coordinator", () => coordinator(payload, long)));
  api.handlers.set("shop-snapshot", (payload) => running.run("snapshot", () => snapshot(payload, long)));
  api.handlers.set("shop-restore", (payload) => running.run("restore", () => restore(payload, long)));
  for (const client of [DynamoDBClient, KinesisClient, LambdaClient, S3Client]) watch(client.prototype);
  for (const one of [process.stdout, process.stderr]) vi.spyOn(one, "write").mockReturnValue(true);
}, 400_000);

afterAll(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await api?.close();
  await s3?.stop();
  await kinesis?.close();
  await dynamodb?.close();
});

/** Notes what a client is sent while one of the handlers runs. */
function watch(prototype: object): void {
  const client = prototype as { send: (...args: unknown[]) => unknown };
  const send = client.send;
  vi.spyOn(client, "send").mockImplementation(function (this: unknown, ...args: unknown[]) {
    const role = running.getStore();
    const command = args[0] as {
      readonly constructor: { readonly name: string };
      readonly input: Record<string, string>;
    };
    if (role !== undefined) {
      for (const request of requestsOf(command.constructor.name.replace(/Command$/, ""), command.input)) {
        asked.set(`${role} ${request.action} ${request.resource}`, { role, ...request });
      }
    }
    return Reflect.apply(send, this, args);
  });
}

/** A command in IAM's words: https://docs.aws.amazon.com/service-authorization/latest/reference/ */
function requestsOf(
  command: string,
  input: Record<string, string>,
): { readonly action: string; readonly resource: string; readonly prefix?: string }[] {
  const bucket = "<AppCheckpoints.Arn>";
  const object = `${bucket}/${input.Key}`;
  switch (command) {
    case "Invoke":
      return [{ action: "lambda:InvokeFunction", resource: FUNCTIONS[input.FunctionName ?? ""] ?? "another function" }];
    case "GetEventSourceMapping":
    case "UpdateEventSourceMapping":
      return [{ action: `lambda:${command}`, resource: "mapping" }];
    case "ListObjectsV2":
      return [{ action: "s3:ListBucket", resource: bucket, prefix: input.Prefix ?? "" }];
    case "CreateMultipartUpload":
    case "UploadPart":
    case "CompleteMultipartUpload":
      return [{ action: "s3:PutObject", resource: object }];
    case "GetObject":
    case "PutObject":
    case "DeleteObject":
    case "AbortMultipartUpload":
      return [{ action: `s3:${command}`, resource: object }];
    case "DescribeStreamSummary":
    case "ListShards":
    case "GetShardIterator":
    case "GetRecords":
      return [{ action: `kinesis:${command}`, resource: "<Clicks.Arn>" }];
    default: {
      const tables = input.TableName === undefined ? Object.keys(input.RequestItems ?? {}) : [input.TableName];
      return tables.map((name) => ({ action: `dynamodb:${command}`, resource: TABLES[name] ?? name }));
    }
  }
}

function permissionsOf(): Map<Role, Permission[]> {
  const stack = newStack();
  new TidemarkApp(stack, "App", rightProps(stack, app));
  const policies = resourcesOf(Template.fromStack(stack), "AWS::IAM::Policy");
  return new Map(
    Object.entries(ROLES).map(([role, id]) => {
      const own = policies.filter(([, { Properties }]) => spelt(Properties.Roles[0]) === `<${id}Role>`);
      return [
        role as Role,
        own.flatMap(([, { Properties }]) =>
          Properties.PolicyDocument.Statement.flatMap(
            ({
              Action,
              Resource,
              Condition,
            }: {
              Action: string | string[];
              Resource: unknown;
              Condition?: { StringLikeIfExists?: { "s3:prefix": string[] } };
            }) =>
              [Action].flat().flatMap((action) =>
                [Resource].flat().map((resource): Permission => {
                  const arn = spelt(resource);
                  const mapping = arn.endsWith(":event-source-mapping:<AppFunctioncountingMapping>");
                  const prefixes = Condition?.StringLikeIfExists?.["s3:prefix"];
                  return { action, resource: mapping ? "mapping" : arn, prefixes };
                }),
              ),
          ),
        ),
      ];
    }),
  );
}

const matches = (pattern: string, text: string): boolean =>
  pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : pattern === text;

const isAllowed = ({
  role,
  action,
  resource,
  prefix,
}: {
  role: Role;
  action: string;
  resource: string;
  prefix?: string;
}) =>
  permissions
    .get(role)
    ?.some(
      (one) =>
        one.action === action &&
        matches(one.resource, resource) &&
        (one.prefixes === undefined ||
          prefix === undefined ||
          one.prefixes.some((pattern) => matches(pattern, prefix))),
    );

const invoke = async (name: string, payload: unknown): Promise<unknown> => api.handlers.get(name)?.(payload);

let delivered = "";
async function fold(...events: readonly { readonly key: string; readonly n: number }[]): Promise<void> {
  await putInOrder(
    kinesis.client,
    stream,
    events.map((event) => JSON.stringify(event)),
  );
  // As a mapping does, until everything is resolved.
  for (let round = 0; round < 5; round += 1) {
    for await (const { split } of source.reader.splits()) {
      const records = [];
      for await (const page of source.reader.read({ split, after: delivered, pageRecords: 100, follow: false })) {
        records.push(...page.records);
      }
      if (records.length === 0) continue;
      const answer = await invoke("shop-counting", source.events.toEvent({ split, records }));
      const [failed] = (answer as { batchItemFailures: readonly { itemIdentifier: string }[] }).batchItemFailures;
      const resolved =
        failed === undefined
          ? records
          : records.slice(
              0,
              records.findIndex((one) => one.itemIdentifier === failed.itemIdentifier),
            );
      delivered = resolved.at(-1)?.position ?? delivered;
    }
  }
}

const checkpoint = () => invoke("shop-coordinator", { checkpoint: true });

test("each handler asks only for what its role allows", async () => {
  await invoke("shop-coordinator", { takeOver: "nothing" });
  // As it is deployed: it is told of no state table.
  const settings = JSON.parse(process.env[SETTINGS_VARIABLE] ?? "");
  vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify({ ...settings, tables: { ...settings.tables, state: {} } }));
  await invoke("shop-restore", { status: true });
  vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(settings));
  await fold({ key: "a", n: 1 }, { key: "gone", n: 1 }, { key: "a", n: -1 });
  expect(await checkpoint()).toMatchObject({ checkpoint: { outcome: "completed", checkpoint: 1 } });
  await fold({ key: "b", n: 2 }, { key: "gone", n: 0 });
  expect(await invoke("shop-coordinator", { redrive: "counting" })).toMatchObject({ redriven: 1 });
  await checkpoint();
  await fold({ key: "b", n: 3 });
  await checkpoint();
  await checkpoint();
  const settling = setInterval(() => {
    const mapping = api.mappings.get("u-1");
    const State = { Disabling: "Disabled", Enabling: "Enabled" }[String(mapping?.State)];
    if (State !== undefined) api.mappings.set("u-1", { ...mapping, State });
  }, 50);
  await fold({ key: "b", n: 1 });
  expect(await invoke("shop-restore", { dryRun: true })).toMatchObject({ outcome: "would-restore" });
  expect(await invoke("shop-restore", {})).toMatchObject({ outcome: "requested" });
  await api.idle();
  expect(await invoke("shop-restore", { status: true })).toMatchObject({ phase: "finished", generation: 2 });
  await fold({ key: "c", n: 1 });
  await checkpoint();
  await invoke("shop-coordinator", {});
  clearInterval(settling);

  expect([...asked.values()].filter((request) => !isAllowed(request))).toEqual([]);
  // The way did pass what it was to pass.
  const took = new Set(
    [...asked.values()].map(({ role, action, resource }) => `${role} ${action} ${resource.split("/")[2] ?? resource}`),
  );
  const expected = [
    "event s3:PutObject dead-letters",
    "snapshot dynamodb:Scan <AppStatecounting.Arn>",
    "snapshot dynamodb:PutItem <AppStatecounting.Arn>",
    "coordinator s3:DeleteObject chk-0000000001",
    "coordinator s3:PutObject generations",
    "coordinator s3:GetObject dead-letters",
    "coordinator s3:PutObject redrive",
    "coordinator lambda:InvokeFunction <AppFunctioncountingHandler.Arn>",
    "coordinator dynamodb:BatchWriteItem <AppStatecounting.Arn>",
    "coordinator lambda:UpdateEventSourceMapping mapping",
    "coordinator kinesis:GetRecords <Clicks.Arn>",
    "restore lambda:InvokeFunction <AppCoordinator.Arn>",
  ];
  expect(expected.filter((request) => !took.has(request))).toEqual([]);
}, 400_000);
