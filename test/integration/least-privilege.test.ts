/**
 * Least privilege, both ways: every request that the deployed handlers make is one that their role allows, and whatever a
 * role allows some request needed, but for a short list with its reasons. The handlers run over the wire, each under its own
 * name; what they ask for is held against the policies of the template, conditions included. LocalStack does not enforce IAM.
 *
 * The way there passes what takes a fault, a rival or hours as well: a poison record and its letter read again, holes that
 * outgrew their split, before-images that outgrew their item, an upload that is aborted, tombstones, retention, restores that
 * are asked for, replaced, held and told to go on, what they left, and an app that is born from its bucket alone.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { DynamoDBClient, ScanCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { KinesisClient } from "@aws-sdk/client-kinesis";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { CreateBucketCommand, DeleteObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { Template } from "aws-cdk-lib/assertions";
import { Vpc } from "aws-cdk-lib/aws-ec2";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { Key } from "aws-cdk-lib/aws-kms";
import { Bucket, type IBucket } from "aws-cdk-lib/aws-s3";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { fromKinesis, TidemarkApp, type TidemarkAppProps } from "../../infra/constructs/index.ts";
import { describeApp } from "../../shared/app/app-description.ts";
import { path, value } from "../../shared/control/conditional-write.ts";
import { readControl } from "../../shared/control/control-steps.ts";
import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import { checkPartition, splitKey } from "../../shared/control/item-keys.ts";
import { listSplits } from "../../shared/control/split-steps.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { defineApp, defineFunction } from "../../shared/index.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import {
  lambdaCoordinatorHandler,
  lambdaEventHandler,
  lambdaRestoreHandler,
  lambdaSnapshotHandler,
  SETTINGS_VARIABLE,
  type Settings,
} from "../../shared/lambda/index.ts";
import { openKinesisSource } from "../../shared/source/kinesis/kinesis-source.ts";
import type { Source } from "../../shared/source/source.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import { access, startDynalite, type TestDynamoDB } from "../support/dynalite.ts";
import { allows, type IamRequest, type Statement, statementsOf, unusedGrants } from "../support/iam-policy.ts";
import {
  type AskedFor,
  askedOfMissing,
  type CommandInput,
  requestsOf,
  withKeys,
  withSignatures,
} from "../support/iam-requests.ts";
import { putInOrder, startKinesis, type TestKinesis } from "../support/kinesis-local.ts";
import { type LambdaApi, startLambdaApi } from "../support/lambda-api.ts";
import { newStack, resourcesOf, rightProps, spelt } from "../unit/infra/deployed-app.ts";

/** Text that no compression makes shorter. */
const noise = (seed: string, length: number): string => {
  let text = "";
  for (let round = 0; text.length < length; round += 1) {
    text += createHash("sha512").update(`${seed} ${round}`).digest("base64");
  }
  return text.slice(0, length);
};

const counting = defineFunction({
  name: "counting",
  event: z.object({ key: z.string(), n: z.int(), bytes: z.int().optional() }),
  key: (event) => event.key,
  state: { initial: () => ({ count: 0, pad: "" }) },
  handle: (state, { key, n, bytes = 0 }) => {
    if (n < 0) throw new Error(`n is ${n}`);
    const count = state.count + 1;
    return n === 0 ? null : { count, pad: noise(`${key} ${count}`, bytes) };
  },
});
const app = defineApp({
  name: "shop",
  functions: [{ function: counting, source: "events" }],
  checkpointing: { intervalMs: 24 * 3_600_000, retained: 1 },
  deadLetters: { triesMax: 1 },
});

type Role = "event" | "coordinator" | "snapshot" | "restore";
/** The roles by the functions that have them. */
const ROLES: Readonly<Record<Role, string>> = {
  event: "AppFunctioncountingHandler",
  coordinator: "AppCoordinator",
  snapshot: "AppSnapshot",
  restore: "AppRestore",
};

const running = new AsyncLocalStorage<Role | undefined>();
/** What each role asked for, each once. */
const asked = new Map<string, { readonly role: Role; readonly request: AskedFor }>();
/** What happens, once, before a role's next command of that name: `event PutItem`. An error breaks the command. */
const before = new Map<string, () => Promise<void>>();

let dynamodb: TestDynamoDB;
let kinesis: TestKinesis;
let s3: Awaited<ReturnType<typeof startFauxqs>>;
let api: LambdaApi;
let source: Source;
let stream: string;
let control: DynamoDBControlStore;
let offsetMs = 0;

function settingsFor(life: "" | "2", states: readonly string[] = ["counting"]): Settings {
  return {
    app: describeApp(app),
    tables: { control: `control${life}`, state: Object.fromEntries(states.map((name) => [name, `${name}${life}`])) },
    storageUrl: "s3://checkpoints/shop",
    sources: { events: `kinesis:${stream}` },
    deployment: {
      functions: { counting: "event" },
      mappings: { counting: { uuid: "u-1", expected: { batchSize: 100, maximumBatchingWindowSeconds: 1 } } },
      ...{ snapshot: "snapshot", snapshotWorkers: 2, coordinator: "coordinator" },
    },
  };
}

/** Deploys the four functions: environments that have just started, each with the settings that the constructs give it. */
function deployed(life: "" | "2"): void {
  const long = { getRemainingTimeInMillis: () => 60_000 };
  const opened = {
    event: lambdaEventHandler(app, "counting"),
    coordinator: lambdaCoordinatorHandler(),
    snapshot: lambdaSnapshotHandler(),
    restore: lambdaRestoreHandler(),
  };
  for (const [role, handler] of Object.entries(opened) as [Role, (typeof opened)[Role]][]) {
    const settings = settingsFor(life, role === "restore" ? [] : ["counting"]);
    api.handlers.set(role, async (payload) => {
      // Read as a handler opens, before it waits for anything.
      vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(settings));
      return running.run(role, () => handler(payload as never, long));
    });
  }
  control = new DynamoDBControlStore({ ...access(dynamodb.client()), table: `control${life}` });
}

beforeAll(async () => {
  dynamodb = await startDynalite();
  kinesis = await startKinesis();
  s3 = await startFauxqs({ port: 0, logger: false });
  api = await startLambdaApi();
  for (const life of ["", "2"]) {
    await createControlTable(access(dynamodb.client()), `control${life}`);
    await createStateTable(access(dynamodb.client()), `counting${life}`);
  }
  stream = await kinesis.createStream(1);
  source = openKinesisSource({ clock: systemClock, randomness: systemRandomness, client: kinesis.client, stream });
  for (const [name, setting] of Object.entries({
    ...{ AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" },
    AWS_ENDPOINT_URL: api.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.endpoint,
    AWS_ENDPOINT_URL_KINESIS: kinesis.endpoint,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3.port}`,
  })) {
    vi.stubEnv(name, setting);
  }
  const client = new S3Client({ forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: "checkpoints" }));
  client.destroy();
  api.mappings.set("u-1", {
    ...{ UUID: "u-1", State: "Enabled", BatchSize: 100, MaximumBatchingWindowInSeconds: 1 },
    ...{ FunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:event" },
    FunctionResponseTypes: ["ReportBatchItemFailures"],
  });
  const now = systemClock.now.bind(systemClock);
  vi.spyOn(systemClock, "now").mockImplementation(() => now() + offsetMs);
  for (const client of [DynamoDBClient, KinesisClient, LambdaClient, S3Client]) watch(client.prototype);
  for (const one of [process.stdout, process.stderr]) vi.spyOn(one, "write").mockReturnValue(true);
  const settling = setInterval(() => {
    const mapping = api.mappings.get("u-1");
    const State = { Disabling: "Disabled", Enabling: "Enabled" }[String(mapping?.State)];
    if (State !== undefined) api.mappings.set("u-1", { ...mapping, State });
  }, 50);
  try {
    await theWay();
  } finally {
    clearInterval(settling);
  }
}, 600_000);

afterAll(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await api?.close();
  await s3?.stop();
  await kinesis?.close();
  await dynamodb?.close();
});

function note(role: Role, request: AskedFor): void {
  const { action, context } = request;
  // Two lives of the app, of which each has tables of its own.
  const resource = request.resource.replace(/^(table:.*)2$/, "$1");
  asked.set(JSON.stringify([role, action, resource, context]), { role, request: { ...request, resource } });
}

/** Notes what a client is sent while one of the handlers runs. */
function watch(prototype: object): void {
  const client = prototype as { send: (...args: unknown[]) => unknown };
  const send = client.send;
  vi.spyOn(client, "send").mockImplementation(async function (this: unknown, ...args: unknown[]) {
    const role = running.getStore();
    if (role === undefined) return Reflect.apply(send, this, args);
    const sent = args[0] as { readonly constructor: { readonly name: string }; readonly input: CommandInput };
    const command = sent.constructor.name.replace(/Command$/, "");
    for (const request of requestsOf(command, sent.input, "shop/")) note(role, request);
    const hook = before.get(`${role} ${command}`);
    before.delete(`${role} ${command}`);
    if (hook !== undefined) await running.run(undefined, hook);
    try {
      return await Reflect.apply(send, this, args);
    } catch (thrown) {
      if ((thrown as Error).name === "NoSuchKey") note(role, askedOfMissing);
      throw thrown;
    }
  });
}

const invoke = async (role: Role, payload: unknown): Promise<unknown> => api.handlers.get(role)?.(payload);

interface CountedEvent {
  readonly key: string;
  readonly n: number;
  readonly bytes?: number;
}

let delivered = "";
/** As a mapping does, until everything is resolved. */
async function fold(...events: readonly CountedEvent[]): Promise<void> {
  const texts = events.map((event) => JSON.stringify(event));
  await putInOrder(kinesis.client, stream, texts);
  for (let round = 0; round < 10; round += 1) {
    for await (const { split } of source.reader.splits()) {
      const records = [];
      for await (const page of source.reader.read({ split, after: delivered, pageRecords: 100, follow: false })) {
        records.push(...page.records);
      }
      if (records.length === 0) return;
      const answer = await invoke("event", source.events.toEvent({ split, records }));
      const [failed] = (answer as { batchItemFailures: readonly { itemIdentifier: string }[] }).batchItemFailures;
      const last = records.findIndex((one) => one.itemIdentifier === failed?.itemIdentifier);
      delivered = records.at(failed === undefined ? -1 : last - 1)?.position ?? delivered;
      if (failed !== undefined && last === 0) continue;
    }
  }
  throw new Error("The records are not resolved.");
}

const checkpoint = () => invoke("coordinator", { checkpoint: true });
const BIG = 250_000;

async function givenUp(): Promise<void> {
  await fold({ key: "a", n: 1 }, { key: "gone", n: 1 }, { key: "a", n: -1 }, { key: "big", n: 1, bytes: BIG });
  expect(await checkpoint()).toMatchObject({ checkpoint: { outcome: "completed", checkpoint: 1 } });
  await fold({ key: "b", n: 2 }, { key: "gone", n: 0 });
  // The function is not repaired: the letter is read, and written again.
  expect(await invoke("coordinator", { redrive: "counting" })).toMatchObject({ redriven: 1 });
  await invoke("coordinator", {});
}

/** State and before-image outgrow their item while a checkpoint is written, with a rival's write in between. */
async function outgrown(): Promise<void> {
  const rival = new DynamoDBClient({ endpoint: dynamodb.endpoint });
  before.set("snapshot Scan", async () => {
    before.set("event PutItem", async () => {
      before.set("event PutItem", async () => {
        const Key = { key: { S: "big" }, gen: { S: "0000000001" } };
        const [ExpressionAttributeNames, ExpressionAttributeValues] = [{ "#v": "v" }, { ":v": { S: "rival" } }];
        const UpdateExpression = "SET #v = :v";
        await rival.send(
          new UpdateItemCommand({
            ...{ TableName: "counting", Key, UpdateExpression, ExpressionAttributeNames, ExpressionAttributeValues },
          }),
        );
      });
    });
    await fold({ key: "big", n: 1, bytes: BIG });
  });
  expect(await checkpoint()).toMatchObject({ checkpoint: { outcome: "completed" } });
  expect([...before.keys()]).toEqual([]);
  await fold({ key: "big", n: 1, bytes: BIG });
  rival.destroy();
}

/** Holes that outgrew their split, a letter among them that is put back. */
async function holesOfTheirOwn(): Promise<void> {
  for await (const { split, item } of listSplits(control, "counting")) {
    if (item === "unborn" || split === REDRIVE_SPLIT) continue;
    const width = item.position.length;
    const first = BigInt(item.position) - 10_000n;
    const holes = Array.from({ length: 700 }, (_, index) => {
      const position = String(first + BigInt(2 * index)).padStart(width, "0");
      return { cause: "dead-letter", from: position, to: position, records: 1 };
    });
    await control.update(splitKey("counting", split), {
      conditions: [],
      set: [[path("holes"), value(holes as JsonValue)]],
    });
  }
  await fold({ key: "a", n: -2 });
  await invoke("coordinator", { redrive: "counting" });
  await invoke("coordinator", {});
  await checkpoint();
}

/** Keys of one slice of a snapshot: the part that they fill is large. */
async function keysOfOneSlice(count: number): Promise<string[]> {
  const keys = Array.from({ length: 500 }, (_, index) => `large-${index}`);
  await fold(...keys.map((key) => ({ key, n: 1 })));
  const slices = (await readControl(control))?.checkpoint?.snapshot?.slices ?? 1;
  const scan = new ScanCommand({ TableName: "counting", Segment: 0, TotalSegments: slices });
  const { Items = [] } = await dynamodb.client().send(scan);
  const together = new Set(Items.map((item) => item.key?.S ?? ""));
  return keys.filter((key) => together.has(key)).slice(0, count);
}

/** A part of more than one request, of which one fails. */
async function largePart(): Promise<void> {
  const keys = await keysOfOneSlice(32);
  expect(keys).toHaveLength(32);
  await fold(...keys.map((key) => ({ key, n: 1, bytes: 370_000 })));
  before.set("snapshot UploadPart", async () => {
    throw Object.assign(new Error("It was not taken."), { name: "AccessDenied", $metadata: { httpStatusCode: 403 } });
  });
  await checkpoint().catch(() => undefined);
  expect([...before.keys()]).toEqual([]);
  for (let round = 0; round < 5; round += 1) {
    await invoke("coordinator", {});
    if ((await readControl(control))?.checkpoint?.status === "COMPLETED") break;
  }
  expect((await readControl(control))?.checkpoint).toMatchObject({ status: "COMPLETED" });
  await fold(...keys.map((key) => ({ key, n: 0 })));
}

async function untilRestored(phase = "finished"): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    await api.idle();
    const status = (await invoke("restore", { status: true })) as { readonly phase: string };
    if (status.phase === phase) return;
    await invoke("coordinator", {}).catch(() => undefined);
  }
  throw new Error(`The restore has not come to be ${phase}.`);
}

async function restores(): Promise<void> {
  await invoke("coordinator", { savepoint: "kept" });
  await fold({ key: "b", n: 3 });
  await checkpoint();
  await fold({ key: "b", n: 1 });
  expect(await invoke("restore", { dryRun: true })).toMatchObject({ outcome: "would-restore" });
  // Long after anything was read, what the stream still has is looked at.
  offsetMs += 30 * 3_600_000;
  await invoke("restore", { dryRun: true });
  offsetMs -= 30 * 3_600_000;
  // A position that the stream does not know.
  before.set("restore GetShardIterator", async () => {
    throw Object.assign(new Error("It is not there."), { name: "ResourceNotFoundException" });
  });
  expect(await invoke("restore", { dryRun: true })).toMatchObject({ error: { kind: "choose-another-checkpoint" } });
  // One that takes the place of another, whose parts are being checked.
  const coordinator = api.handlers.get("coordinator");
  api.handlers.set("coordinator", async () => ({}));
  const { id } = (await invoke("restore", { savepoint: "kept" })) as { readonly id: string };
  await control.update(
    { partition: checkPartition(id), sort: "part.json.gz" },
    { conditions: [], set: [[path("problem"), value(null)]] },
  );
  const until = new Date(systemClock.now() - 1_000).toISOString();
  expect(await invoke("restore", { until })).toMatchObject({ outcome: "requested" });
  if (coordinator !== undefined) api.handlers.set("coordinator", coordinator);
  await untilRestored("held");
  expect(await invoke("restore", { goOn: true })).toMatchObject({ outcome: "going-on" });
  await untilRestored();
  await fold({ key: "c", n: 1 });
  await checkpoint();
  await invoke("coordinator", {});
}

/** Hours later, what was cleared goes. */
async function tombstones(): Promise<void> {
  await fold({ key: "c", n: 0 });
  for (let round = 0; round < 3; round += 1) {
    await checkpoint();
    offsetMs += 3 * 3_600_000;
    await fold({ key: "d", n: 1 });
  }
  await checkpoint();
  await invoke("coordinator", {});
}

/** The tables are lost: another deployment goes on with the bucket. */
async function bornFromTheBucket(): Promise<void> {
  deployed("2");
  const refused = await invoke("coordinator", {}).catch((thrown: Error) => thrown.message);
  const [, claim] = /"takeOver":"([^"]+)"/.exec(String(refused)) ?? [];
  expect(await invoke("coordinator", { takeOver: claim })).toMatchObject({ did: "take-over" });
  expect(await invoke("restore", {})).toMatchObject({ outcome: "requested" });
  await untilRestored();
  await fold({ key: "e", n: 1 });
  await checkpoint();
  // A part that goes between the look at the folder and the worker that reads it through.
  const storage = new S3Client({ forcePathStyle: true });
  before.set("snapshot GetObject", async () => {
    const n = String((await readControl(control))?.requested?.checkpoint).padStart(10, "0");
    const folder = { Bucket: "checkpoints", Prefix: `shop/chk-${n}/` };
    for (const { Key = "" } of (await storage.send(new ListObjectsV2Command(folder))).Contents ?? []) {
      if (!Key.endsWith("manifest.json")) await storage.send(new DeleteObjectCommand({ Bucket: "checkpoints", Key }));
    }
  });
  expect(await invoke("restore", {})).toMatchObject({ outcome: "requested" });
  await untilRestored("refused");
  expect([...before.keys()]).toEqual([]);
  storage.destroy();
}

async function theWay(): Promise<void> {
  deployed("");
  await invoke("coordinator", { takeOver: "nothing" });
  await givenUp();
  await outgrown();
  await holesOfTheirOwn();
  await largePart();
  await restores();
  await tombstones();
  await bornFromTheBucket();
}

const VPC = {
  vpcId: "vpc-0123456789abcdef0",
  availabilityZones: ["a"],
  privateSubnetIds: ["subnet-0123456789abcdef0"],
};

/** A template, and what stands in it for what is asked for. */
interface Variant {
  readonly template: Template;
  readonly places: Readonly<Record<string, string>>;
}

const MADE: Readonly<Record<string, string>> = {
  "table:control": "<AppControl.Arn>",
  "table:counting": "<AppStatecounting.Arn>",
  bucket: "<AppCheckpoints.Arn>",
  stream: "<Clicks.Arn>",
  mapping:
    "arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:event-source-mapping:<AppFunctioncountingMapping>",
  "function:event": "<AppFunctioncountingHandler.Arn>",
  "function:fed by the mapping": "<AppFunctioncountingHandler.Arn>",
  "function:snapshot": "<AppSnapshot.Arn>",
  "function:coordinator": "<AppCoordinator.Arn>",
  "key:signing": "<AppSigningKey.Arn>",
  "key:own": "<Key.Arn>",
  "key:stream": "<StreamKey.Arn>",
};

function variant(
  places: Readonly<Record<string, string>>,
  more: (stack: ReturnType<typeof newStack>) => Partial<TidemarkAppProps>,
): Variant {
  const stack = newStack();
  new TidemarkApp(stack, "App", { ...rightProps(stack, app), ...more(stack) });
  return { template: Template.fromStack(stack), places: { ...MADE, ...places } };
}

const tableArn = (name: string) => `arn:<AWS::Partition>:dynamodb:<AWS::Region>:<AWS::AccountId>:table/${name}`;

const VARIANTS: readonly [string, Variant][] = [
  ["a plain deployment", variant({}, () => ({}))],
  [
    "one with keys of its own",
    variant({ stream: "<Secret.Arn>" }, (stack) => ({
      encryptionKey: new Key(stack, "Key"),
      sources: { events: fromKinesis(new Stream(stack, "Secret", { encryptionKey: new Key(stack, "StreamKey") })) },
    })),
  ],
  ["one that signs its checkpoints", variant({}, () => ({ checkpoints: { signing: true } }))],
  ["one in a network", variant({}, (stack) => ({ vpc: Vpc.fromVpcAttributes(stack, "Vpc", VPC) }))],
  [
    "one on what was there already",
    variant(
      {
        ...{ "table:control": tableArn("old-control"), "table:counting": tableArn("old-counting") },
        ...{
          bucket: "arn:<AWS::Partition>:s3:::old-bucket",
          stream: "arn:aws:kinesis:eu-west-1:111111111111:stream/old",
        },
      },
      (stack) => ({
        existing: { controlTable: "old-control", stateTables: { counting: "old-counting" }, bucket: "old-bucket" },
        sources: {
          events: fromKinesis(Stream.fromStreamArn(stack, "Old", "arn:aws:kinesis:eu-west-1:111111111111:stream/old")),
        },
      }),
    ),
  ],
  [
    "one in a bucket that is shared",
    variant({ bucket: "<Ours.Arn>" }, (stack) => ({ existing: { bucket: new Bucket(stack, "Ours") as IBucket } })),
  ],
];

const named = ({ places }: Variant, text: string): string => {
  if (text.startsWith("object:")) return `${places.bucket}/shop/${text.slice("object:".length)}`;
  return places[text] ?? text;
};

/** What a role's statements are held against: itself, by its own connection. */
const ofRole = (role: Role): IamRequest["context"] => ({
  "aws:PrincipalArn": [`<${ROLES[role]}Role.Arn>`],
  "aws:SecureTransport": ["true"],
  "s3:TlsVersion": ["1.3"],
  "lambda:SourceFunctionArn": [`<${ROLES[role]}.Arn>`],
});

function requestOf(of: Variant, role: Role, { action, resource, context }: AskedFor): IamRequest {
  const service = (name: string): string => `${name}.<AWS::Region>.<AWS::URLSuffix>`;
  const spelled = Object.entries(context).map(([key, given]) => [
    key,
    given.map((text) => (key === "kms:ViaService" ? service(text) : named(of, text))),
  ]);
  return { action, resource: named(of, resource), context: { ...ofRole(role), ...Object.fromEntries(spelled) } };
}

function requestsOfRole(of: Variant, role: Role): IamRequest[] {
  const keys = resourcesOf(of.template, "AWS::KMS::Key").map(([id]) => spelt({ "Fn::GetAtt": [id, "Arn"] }));
  const [encrypts, signs] = [of.places["key:own"], of.places["key:signing"]].map((key = "") => keys.includes(key));
  // Neither workers nor event functions are told of the key.
  const isTold = signs === true && (role === "coordinator" || role === "restore");
  return [...asked.values()]
    .filter((one) => one.role === role)
    .flatMap(({ request }) => (isTold ? withSignatures(request) : [request]))
    .flatMap((request) => (encrypts ? withKeys(request) : [request]))
    .map((request) => requestOf(of, role, request));
}

function ownStatements({ template }: Variant, role: Role): Statement[] {
  return resourcesOf(template, "AWS::IAM::Policy")
    .filter(([, { Properties }]) => spelt(Properties.Roles[0]) === `<${ROLES[role]}Role>`)
    .flatMap(([, { Properties }]) => statementsOf(Properties.PolicyDocument));
}

const bucketStatements = ({ template }: Variant): Statement[] =>
  resourcesOf(template, "AWS::S3::BucketPolicy").flatMap(([, { Properties }]) =>
    statementsOf(Properties.PolicyDocument).filter(({ effect }) => effect === "Deny"),
  );

/** The requests of a role that are refused, as a line each. */
function refusedOf(of: Variant, role: Role, own = ownStatements(of, role)): string[] {
  const all = [...own, ...bucketStatements(of)];
  return requestsOfRole(of, role)
    .filter((request) => !allows(all, request))
    .map(({ action, resource, context }) => `${action} ${resource} ${context["dynamodb:LeadingKeys"] ?? ""}`);
}

/** What no handler's own request can show to be needed, by role and grant, and why it is. */
const NEEDED: readonly (readonly [RegExp, string])[] = [
  [/^\w+ logs:(?:CreateLogStream|PutLogEvents) <App\w+Log\.Arn>$/, "Lambda writes the log in the role's name."],
  [
    /^coordinator s3:GetObject \S+\/generations\/\*$/,
    "A coordinator that finds the record of its generation, its own or a rival's, reads it before it goes on.",
  ],
  [/^event kinesis:(?:DescribeStream|ListShards) \S+$/, "The mapping asks for it in the role's name."],
  [/^\w+ ec2:\w+ \*$/, "Lambda makes and removes interfaces in the role's name; the function's code is denied it."],
  [
    /^\w+ kms:(?:DescribeKey|Encrypt|GenerateDataKey\w*|ReEncrypt(?:From|To)) <Key\.Arn>/,
    "DynamoDB's manual names them for whoever uses a table that has a customer's key.",
  ],
  [
    /^\w+ s3:ListBucket \S+ if s3:prefix is shop\/(?:chk-\*|claim\.json|(?:dead-letters|redrive)\/(?:counting\/)?\*)$/,
    "S3 asks for it where an object is missing, and does not say with which prefix.",
  ],
];

/** What a role allows and no request of its function needed, but for what has a reason. */
function unusedOf(of: Variant, role: Role, own = ownStatements(of, role)): string[] {
  return unusedGrants(own, requestsOfRole(of, role)).filter((grant) => !isExplained(role, grant));
}

const isExplained = (role: Role, grant: string): boolean =>
  NEEDED.some(([pattern]) => pattern.test(`${role} ${grant}`));

const ALL = Object.keys(ROLES) as Role[];

describe.each(VARIANTS)("in %s", (_, of) => {
  test.each(ALL)("the %s function asks only for what its role allows", (role) => {
    expect(requestsOfRole(of, role).length).toBeGreaterThan(10);
    expect(refusedOf(of, role)).toEqual([]);
  });

  test.each(ALL)("the role of the %s function allows only what was asked for", (role) => {
    expect(unusedOf(of, role)).toEqual([]);
  });
});

test("every reason for what no request shows is one that is needed", () => {
  const unused = VARIANTS.flatMap(([, of]) =>
    ALL.flatMap((role) =>
      unusedGrants(ownStatements(of, role), requestsOfRole(of, role)).map((grant) => `${role} ${grant}`),
    ),
  );
  for (const [pattern, reason] of NEEDED)
    expect(
      unused.filter((grant) => pattern.test(grant)),
      reason,
    ).not.toEqual([]);
});

describe("this test fails on", () => {
  const [, plain] = VARIANTS[0] as [string, Variant];
  const granting = (actions: readonly string[], resource: string): Statement => ({
    ...{ effect: "Allow", actions, resources: [resource], conditions: [] },
  });

  const wildcards = ["dynamodb:*", "s3:*", "*", "s3:Get*"];
  test.each(ALL.flatMap((role) => wildcards.map((action): [string, Role] => [action, role])))(
    "%s given to the %s function's role",
    (action, role) => {
      const own = [...ownStatements(plain, role), granting([action], "*")];
      expect(unusedOf(plain, role, own)).toEqual([`${action} *`]);
    },
  );

  test.each<[Role, string, string]>([
    ["event", "dynamodb:DeleteItem", "table:control"],
    ["event", "dynamodb:Query", "table:control"],
    ["event", "dynamodb:Scan", "table:counting"],
    ["event", "s3:DeleteObject", "object:dead-letters/*"],
    ["snapshot", "s3:DeleteObject", "object:chk-*"],
    ["coordinator", "dynamodb:PutItem", "table:counting"],
    ["restore", "dynamodb:PutItem", "table:control"],
  ])("a permission that the %s function does not need: %s on %s", (role, action, resource) => {
    const own = [...ownStatements(plain, role), granting([action], named(plain, resource))];
    expect(unusedOf(plain, role, own)).toEqual([`${action} ${named(plain, resource)}`]);
  });

  test.each(ALL)("each statement that is taken from the %s function's role, and each value of a condition", (role) => {
    const own = ownStatements(plain, role);
    for (const statement of own) {
      const grants = unusedGrants([statement], []).filter((grant) => !isExplained(role, grant));
      const rest = own.filter((one) => one !== statement);
      if (grants.length > 0) expect(refusedOf(plain, role, rest), grants.join(", ")).not.toEqual([]);
    }
  });
});

/** What a role may not do, whatever its function's code has come to be. */
const FORBIDDEN: [Role, string, string, string][] = [
  ["event", "dynamodb:UpdateItem", "table:control", "CONTROL"],
  ["event", "dynamodb:UpdateItem", "table:control", "STORAGE"],
  ["event", "dynamodb:UpdateItem", "table:control", "SPLIT#other"],
  ["event", "dynamodb:UpdateItem", "table:control", "SPLIT#counting2"],
  ["event", "dynamodb:UpdateItem", "table:control", "HOLES#counting2#1#shard"],
  ["event", "dynamodb:UpdateItem", "table:control", "LOAD#0000000002"],
  ["event", "dynamodb:UpdateItem", "table:control", ""],
  ["event", "dynamodb:GetItem", "table:control", "SPLIT#other"],
  ["event", "s3:PutObject", "object:claim.json", ""],
  ["event", "s3:PutObject", "object:chk-0000000001/manifest.json", ""],
  ["event", "s3:PutObject", "object:redrive/counting/1.json", ""],
  ["event", "s3:PutObject", "object:dead-letters/counting2/s/1.json", ""],
  ["event", "lambda:InvokeFunction", "function:coordinator", ""],
  ["snapshot", "dynamodb:UpdateItem", "table:control", "CONTROL"],
  ["snapshot", "dynamodb:UpdateItem", "table:control", "SPLIT#counting"],
  ["snapshot", "dynamodb:UpdateItem", "table:counting", "#tidemark"],
  ["snapshot", "s3:PutObject", "object:claim.json", ""],
  ["coordinator", "dynamodb:DeleteItem", "table:control", "CONTROL"],
  ["coordinator", "dynamodb:DeleteItem", "table:control", "SPLIT#counting"],
  ["coordinator", "dynamodb:UpdateItem", "table:counting", "a"],
  ["coordinator", "s3:PutBucketPolicy", "bucket", ""],
  ["restore", "dynamodb:UpdateItem", "table:control", "SPLIT#counting"],
  ["restore", "dynamodb:DeleteItem", "table:control", "CONTROL"],
];

test.each(FORBIDDEN)("the %s function may not %s on %s %s", (role, action, resource, partition) => {
  for (const [, of] of VARIANTS) {
    const context = partition === "" ? {} : { "dynamodb:LeadingKeys": [partition] };
    const request = requestOf(of, role, { action, resource, context });
    expect(allows([...ownStatements(of, role), ...bucketStatements(of)], request)).toBe(false);
  }
});

test("a mapping may be updated while it feeds its own function alone", () => {
  for (const [, of] of VARIANTS) {
    const request = (fed: string): IamRequest =>
      requestOf(of, "coordinator", {
        ...{ action: "lambda:UpdateEventSourceMapping", resource: "mapping" },
        context: { "lambda:FunctionArn": [fed] },
      });
    const own = ownStatements(of, "coordinator");
    expect(allows(own, request("function:fed by the mapping"))).toBe(true);
    expect(allows(own, request("function:snapshot"))).toBe(false);
  }
});

test("what runs in a function may not touch the network's interfaces, and Lambda may", () => {
  const [, of] = VARIANTS.find(([name]) => name === "one in a network") as [string, Variant];
  for (const role of ALL) {
    const { "lambda:SourceFunctionArn": code, ...lambda } = ofRole(role);
    const request = (context: IamRequest["context"]) => ({
      action: "ec2:CreateNetworkInterface",
      resource: "*",
      context,
    });
    expect(allows(ownStatements(of, role), request(lambda))).toBe(true);
    expect(allows(ownStatements(of, role), request({ ...lambda, "lambda:SourceFunctionArn": code ?? [] }))).toBe(false);
  }
});

test("the bucket takes nothing without TLS 1.2, and no change of its own from any of the app's roles", () => {
  const everything: Statement = { effect: "Allow", actions: ["s3:*"], resources: ["*"], conditions: [] };
  for (const [name, of] of VARIANTS) {
    const denials = bucketStatements(of);
    for (const role of ALL) {
      const request = (action: string, resource: string, more: IamRequest["context"] = {}): IamRequest => {
        const asked = requestOf(of, role, { action, resource, context: {} });
        return { ...asked, context: { ...asked.context, ...more } };
      };
      const may = (one: IamRequest) => allows([everything, ...denials], one);
      const read = request("s3:GetObject", "object:chk-0000000001/manifest.json");
      expect(may(read), name).toBe(true);
      expect(may({ ...read, context: { ...read.context, "aws:SecureTransport": ["false"] } }), name).toBe(false);
      expect(may({ ...read, context: { ...read.context, "s3:TlsVersion": ["1.1"] } }), name).toBe(false);
      for (const action of [
        ...[
          "PutLifecycleConfiguration",
          "PutBucketVersioning",
          "PutBucketPolicy",
          "DeleteBucketPolicy",
          "PutBucketAcl",
        ],
        ...["PutReplicationConfiguration", "PutBucketObjectLockConfiguration", "PutBucketPublicAccessBlock"],
      ]) {
        expect(may(request(`s3:${action}`, "bucket")), `${name} ${role} ${action}`).toBe(false);
      }
      for (const action of ["PutObjectAcl", "DeleteObjectVersion", "PutObjectRetention", "PutObjectLegalHold"]) {
        expect(may(request(`s3:${action}`, "object:anything")), `${name} ${role} ${action}`).toBe(false);
      }
    }
  }
});
