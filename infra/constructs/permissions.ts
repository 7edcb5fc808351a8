/**
 * What each role may do: the requests that its function really makes, on exactly what it makes them on. The one place
 * that grants anything to a function of Tidemark's; `test/unit/infra/permissions.test.ts` holds the same as a table.
 *
 * Wildcards stand only behind prefixes of objects, whose names are made at run time.
 */
import { Arn, ArnFormat, Stack } from "aws-cdk-lib";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IStream } from "aws-cdk-lib/aws-kinesis";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import {
  CHECK_PARTITIONS,
  CONTROL_KEY,
  holesPartitions,
  LOAD_PARTITIONS,
  SNAPSHOT_PARTITIONS,
  STORAGE_KEY,
  splitsPartition,
} from "../../shared/control/item-keys.ts";
import { STATE_CLAIM_KEY } from "../../shared/state/dynamodb/state-table.ts";
import {
  CHECKPOINTS_PREFIX,
  CLAIM_PATH,
  deadLettersPrefix,
  GENERATIONS_PREFIX,
  redrivePrefix,
} from "../../shared/storage/object-paths.ts";
import type { Checkpoints } from "./checkpoint-bucket.ts";

/** What everybody reads: control, and whose the table is. */
const APP_PARTITIONS = [CONTROL_KEY.partition, STORAGE_KEY.partition];

/** Where work is noted that several share, for as long as it lasts: slices of a checkpoint, parts of a restore's load. */
const PROGRESS = [`${SNAPSHOT_PARTITIONS}*`, `${LOAD_PARTITIONS}*`];

/** What an app's functions work on. */
export interface Ground {
  readonly control: ITable;
  readonly checkpoints: Checkpoints;
  /** Of tables and bucket. */
  readonly encryptionKey: IKey | undefined;
  /** Of manifests. */
  readonly signingKey: IKey | undefined;
}

/** An event function: its own state, its own splits, its own letters, its stream. What its mapping needs is all of it. */
export function eventFunctionStatements(
  ground: Ground,
  { name, table, stream }: { readonly name: string; readonly table: ITable; readonly stream: IStream },
): PolicyStatement[] {
  // It runs the user's code, and must not be able to ask for a restore, nor to touch another function's splits.
  const own = [splitsPartition(name), `${holesPartitions(name)}*`];
  return [
    items(["GetItem"], [ground.control], [...APP_PARTITIONS, ...own]),
    items(["UpdateItem"], [ground.control], own),
    tables(["BatchGetItem", "DeleteItem", "GetItem", "PutItem"], [table]),
    objects(["GetObject"], ground, [CLAIM_PATH]),
    objects(["GetObject", "PutObject"], ground, [`${deadLettersPrefix(name)}*`]),
    objects(["GetObject"], ground, [`${redrivePrefix(name)}*`]),
    listing(ground, [deadLettersPrefix(name), redrivePrefix(name)]),
    // DescribeStream is the mapping's alone.
    ...reading([stream], ["DescribeStream"]),
    ...decryption(ground),
  ];
}

/** A worker writes slices of checkpoints, and loads their parts into state. */
export function snapshotStatements(ground: Ground, states: readonly ITable[]): PolicyStatement[] {
  return [
    items(["GetItem"], [ground.control], [...APP_PARTITIONS, ...PROGRESS]),
    items(["UpdateItem"], [ground.control], [...PROGRESS, `${CHECK_PARTITIONS}*`]),
    tables(["BatchGetItem", "PutItem", "Scan"], states),
    items(["GetItem"], states, [STATE_CLAIM_KEY]),
    objects(["GetObject"], ground, [CLAIM_PATH]),
    objects(["AbortMultipartUpload", "GetObject", "PutObject"], ground, [`${CHECKPOINTS_PREFIX}*`]),
    listing(ground, [CHECKPOINTS_PREFIX]),
    ...decryption(ground),
  ];
}

export interface Invoked {
  readonly functions: readonly IFunction[];
  readonly mappings: readonly { readonly id: string; readonly of: IFunction }[];
}

/**
 * The coordinator cuts, commits, retains, restores, and puts dead letters back. It removes state and writes none, but for
 * the item that says whose the table is.
 */
export function coordinatorStatements(
  scope: Stack,
  ground: Ground,
  { states, streams }: { readonly states: readonly ITable[]; readonly streams: readonly IStream[] },
  { functions, mappings }: Invoked,
): PolicyStatement[] {
  return [
    tables(["GetItem", "Query", "UpdateItem"], [ground.control]),
    items(["DeleteItem"], [ground.control], [...PROGRESS, `${CHECK_PARTITIONS}*`]),
    tables(["BatchGetItem", "BatchWriteItem", "DeleteItem", "Scan"], states),
    items(["GetItem", "UpdateItem"], states, [STATE_CLAIM_KEY]),
    objects(["GetObject", "PutObject"], ground, [CLAIM_PATH]),
    objects(["DeleteObject"], ground, [`${CHECKPOINTS_PREFIX}*`]),
    objects(["GetObject", "PutObject"], ground, [`${CHECKPOINTS_PREFIX}*`, `${GENERATIONS_PREFIX}*`]),
    objects(["GetObject", "PutObject"], ground, [`${redrivePrefix()}*`]),
    objects(["GetObject"], ground, [`${deadLettersPrefix()}*`]),
    listing(ground, [CHECKPOINTS_PREFIX, deadLettersPrefix(), GENERATIONS_PREFIX, redrivePrefix()]),
    ...reading(streams),
    invocation(functions),
    ...mappings.flatMap((mapping) => mappingStatements(scope, mapping)),
    ...signing(ground, ["GenerateMac", "VerifyMac"]),
    ...decryption(ground),
  ];
}

/** A mapping can be pointed at another function by whoever may update it: only as long as it is its own function's. */
function mappingStatements(scope: Stack, { id, of }: Invoked["mappings"][number]): PolicyStatement[] {
  const arn = Arn.format(
    { service: "lambda", resource: "event-source-mapping", resourceName: id, arnFormat: ArnFormat.COLON_RESOURCE_NAME },
    scope,
  );
  return [
    allow(["lambda:GetEventSourceMapping"], [arn]),
    new PolicyStatement({
      actions: ["lambda:UpdateEventSourceMapping"],
      resources: [arn],
      conditions: { ArnEquals: { "lambda:FunctionArn": of.functionArn } },
    }),
  ];
}

/** The restore function looks, writes down what is asked for, and has the coordinator do it. */
export function restoreStatements(
  ground: Ground,
  streams: readonly IStream[],
  coordinator: IFunction,
): PolicyStatement[] {
  const { partition: control } = CONTROL_KEY;
  return [
    tables(["GetItem", "Query"], [ground.control]),
    items(["UpdateItem"], [ground.control], [control]),
    items(["DeleteItem"], [ground.control], [`${CHECK_PARTITIONS}*`]),
    objects(["GetObject"], ground, [
      CLAIM_PATH,
      ...[CHECKPOINTS_PREFIX, GENERATIONS_PREFIX, redrivePrefix()].map((prefix) => `${prefix}*`),
    ]),
    listing(ground, [CHECKPOINTS_PREFIX, GENERATIONS_PREFIX, redrivePrefix()]),
    ...reading(streams),
    invocation([coordinator]),
    ...signing(ground, ["VerifyMac"]),
    ...decryption(ground),
  ];
}

/** Whoever reads a key's state asks control for the live generation, and the state table for the item. */
export function stateReadingStatements(ground: Ground, table: ITable): PolicyStatement[] {
  return [
    items(["GetItem"], [ground.control], [CONTROL_KEY.partition]),
    tables(["BatchGetItem", "GetItem"], [table]),
    ...decryption(ground, ["kms:Decrypt"]),
  ];
}

export function invocation(functions: readonly IFunction[]): PolicyStatement {
  const arns = functions.map(({ functionArn }) => functionArn);
  return allow(["lambda:InvokeFunction"], arns);
}

export function logging(logGroup: ILogGroup): PolicyStatement {
  return allow(["logs:CreateLogStream", "logs:PutLogEvents"], [logGroup.logGroupArn]);
}

const NETWORKING = [
  "ec2:AssignPrivateIpAddresses",
  "ec2:CreateNetworkInterface",
  "ec2:DeleteNetworkInterface",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeSubnets",
  "ec2:UnassignPrivateIpAddresses",
];

/**
 * Interfaces in the user's network are made and removed by Lambda itself, with the function's role. AWS's own policy for
 * it (AWSLambdaVPCAccessExecutionRole) has the same actions, on everything as well: they come before there is an interface.
 */
export function networking(): PolicyStatement {
  return allow(NETWORKING, ["*"]);
}

/**
 * What runs in a function has its role's credentials, and no business with the network's interfaces: the same is denied
 * to requests that come out of the function. Lambda's own, in the role's name, do not.
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-best-practice-security
 */
export function networkingByCode(functionArn: string): PolicyStatement {
  return new PolicyStatement({
    effect: Effect.DENY,
    actions: NETWORKING,
    resources: ["*"],
    conditions: { ArnEquals: { "lambda:SourceFunctionArn": functionArn } },
  });
}

const allow = (actions: readonly string[], resources: readonly string[]): PolicyStatement =>
  new PolicyStatement({ actions: [...actions], resources: [...resources] });

function tables(actions: readonly string[], on: readonly ITable[]): PolicyStatement {
  return allow(
    actions.map((action) => `dynamodb:${action}`),
    on.map(({ tableArn }) => tableArn),
  );
}

/**
 * Items of some partitions alone, by name or by its beginning. `Null` has it hold for requests that name partitions: with
 * `ForAllValues` alone one that names none would be allowed.
 */
function items(actions: readonly string[], on: readonly ITable[], partitions: readonly string[]): PolicyStatement {
  const statement = tables(actions, on);
  statement.addCondition("ForAllValues:StringLike", { "dynamodb:LeadingKeys": [...partitions] });
  statement.addCondition("Null", { "dynamodb:LeadingKeys": "false" });
  return statement;
}

function objects(actions: readonly string[], { checkpoints }: Ground, paths: readonly string[]): PolicyStatement {
  return allow(
    actions.map((action) => `s3:${action}`),
    paths.map((path) => checkpoints.bucket.arnForObjects(`${checkpoints.root}${path}`)),
  );
}

/**
 * S3 says "no such key" only to those who may list the bucket; others are told "access denied". It asks for that without
 * a prefix, hence IfExists; should it ask with the key of what is missing, the prefixes hold as well.
 */
function listing({ checkpoints }: Ground, prefixes: readonly string[]): PolicyStatement {
  return new PolicyStatement({
    actions: ["s3:ListBucket"],
    resources: [checkpoints.bucket.bucketArn],
    conditions: {
      StringLikeIfExists: {
        "s3:prefix": [CLAIM_PATH, ...prefixes.map((prefix) => `${prefix}*`)].map((path) => checkpoints.root + path),
      },
    },
  });
}

function reading(streams: readonly IStream[], more: readonly string[] = []): PolicyStatement[] {
  const actions = ["DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards", ...more];
  const keys = streams.flatMap(({ encryptionKey }) => encryptionKey ?? []);
  return [
    allow(
      actions.map((action) => `kinesis:${action}`).sort(),
      streams.map(({ streamArn }) => streamArn),
    ),
    ...keys.map((key) => viaService(["kms:Decrypt"], key, ["kinesis"])),
  ];
}

/** Nobody signs but the coordinator, which alone commits. */
function signing({ signingKey }: Ground, actions: readonly string[]): PolicyStatement[] {
  if (signingKey === undefined) return [];
  return [
    allow(
      actions.map((action) => `kms:${action}`),
      [signingKey.keyArn],
    ),
  ];
}

/** DynamoDB and S3 use the key in the caller's name. */
function decryption(
  { encryptionKey }: Ground,
  actions: readonly string[] = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
  ],
): PolicyStatement[] {
  return encryptionKey === undefined ? [] : [viaService(actions, encryptionKey, ["dynamodb", "s3"])];
}

function viaService(actions: readonly string[], key: IKey, services: readonly string[]): PolicyStatement {
  const { region, urlSuffix } = Stack.of(key);
  return new PolicyStatement({
    actions: [...actions],
    resources: [key.keyArn],
    conditions: { StringEquals: { "kms:ViaService": services.map((service) => `${service}.${region}.${urlSuffix}`) } },
  });
}
