/**
 * What each role may do: the requests that its function really makes, on exactly what it makes them on. The one place
 * that grants anything to a function of Tidemark's; `test/unit/infra/permissions.test.ts` holds the same as a table.
 *
 * Wildcards stand only behind prefixes of objects, whose names are made at run time.
 */
import { Arn, ArnFormat, Stack } from "aws-cdk-lib";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IStream } from "aws-cdk-lib/aws-kinesis";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import {
  CHECKPOINTS_PREFIX,
  deadLettersPrefix,
  GENERATIONS_PREFIX,
  redrivePrefix,
} from "../../shared/storage/object-paths.ts";
import type { Checkpoints } from "./checkpoint-bucket.ts";

/** What an app's functions work on. */
export interface Ground {
  readonly control: ITable;
  readonly checkpoints: Checkpoints;
  /** Of tables and bucket. */
  readonly encryptionKey: IKey | undefined;
}

/** An event function: its own state, its own letters, its stream. What its mapping needs is all of it. */
export function eventFunctionStatements(
  ground: Ground,
  { name, table, stream }: { readonly name: string; readonly table: ITable; readonly stream: IStream },
): PolicyStatement[] {
  return [
    tables(["GetItem", "UpdateItem"], [ground.control]),
    tables(["BatchGetItem", "DeleteItem", "GetItem", "PutItem"], [table]),
    objects(["GetObject", "PutObject"], ground, [deadLettersPrefix(name)]),
    objects(["GetObject"], ground, [redrivePrefix(name)]),
    listing(ground, [deadLettersPrefix(name), redrivePrefix(name)]),
    // DescribeStream is the mapping's alone.
    ...reading([stream], ["DescribeStream"]),
    ...decryption(ground),
  ];
}

/** A worker writes slices of checkpoints, and loads their parts into state. */
export function snapshotStatements(ground: Ground, states: readonly ITable[]): PolicyStatement[] {
  return [
    tables(["GetItem", "UpdateItem"], [ground.control]),
    tables(["BatchGetItem", "PutItem", "Scan"], states),
    objects(["AbortMultipartUpload", "GetObject", "PutObject"], ground, [CHECKPOINTS_PREFIX]),
    listing(ground, [CHECKPOINTS_PREFIX]),
    ...decryption(ground),
  ];
}

export interface Invoked {
  readonly functions: readonly IFunction[];
  readonly mappingIds: readonly string[];
}

/** The coordinator cuts, commits, retains, restores, and puts dead letters back. It removes state, and writes none. */
export function coordinatorStatements(
  scope: Stack,
  ground: Ground,
  { states, streams }: { readonly states: readonly ITable[]; readonly streams: readonly IStream[] },
  { functions, mappingIds }: Invoked,
): PolicyStatement[] {
  const mappings = mappingIds.map((id) =>
    Arn.format(
      {
        service: "lambda",
        resource: "event-source-mapping",
        resourceName: id,
        arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      },
      scope,
    ),
  );
  return [
    tables(["DeleteItem", "GetItem", "Query", "UpdateItem"], [ground.control]),
    tables(["BatchGetItem", "BatchWriteItem", "DeleteItem", "Scan"], states),
    objects(["DeleteObject"], ground, [CHECKPOINTS_PREFIX]),
    objects(["GetObject", "PutObject"], ground, [CHECKPOINTS_PREFIX, GENERATIONS_PREFIX]),
    objects(["GetObject", "PutObject"], ground, [redrivePrefix()]),
    objects(["GetObject"], ground, [deadLettersPrefix()]),
    listing(ground, [CHECKPOINTS_PREFIX, deadLettersPrefix(), GENERATIONS_PREFIX, redrivePrefix()]),
    ...reading(streams),
    invocation(functions),
    allow(["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"], mappings),
    ...decryption(ground),
  ];
}

/** The restore function looks, writes down what is asked for, and has the coordinator do it. */
export function restoreStatements(
  ground: Ground,
  streams: readonly IStream[],
  coordinator: IFunction,
): PolicyStatement[] {
  return [
    tables(["DeleteItem", "GetItem", "Query", "UpdateItem"], [ground.control]),
    objects(["GetObject"], ground, [CHECKPOINTS_PREFIX, GENERATIONS_PREFIX, redrivePrefix()]),
    listing(ground, [CHECKPOINTS_PREFIX, GENERATIONS_PREFIX, redrivePrefix()]),
    ...reading(streams),
    invocation([coordinator]),
    ...decryption(ground),
  ];
}

/** Whoever reads a key's state asks control for the live generation, and the state table for the item. */
export function stateReadingStatements(ground: Ground, table: ITable): PolicyStatement[] {
  return [
    tables(["GetItem"], [ground.control]),
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

/**
 * Interfaces in the user's network are made and removed by Lambda itself, with the function's role. AWS's own policy for
 * it (AWSLambdaVPCAccessExecutionRole) has the same actions, on everything as well: they come before there is an interface.
 */
export function networking(): PolicyStatement {
  return allow(
    [
      "ec2:AssignPrivateIpAddresses",
      "ec2:CreateNetworkInterface",
      "ec2:DeleteNetworkInterface",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:UnassignPrivateIpAddresses",
    ],
    ["*"],
  );
}

const allow = (actions: readonly string[], resources: readonly string[]): PolicyStatement =>
  new PolicyStatement({ actions: [...actions], resources: [...resources] });

function tables(actions: readonly string[], on: readonly ITable[]): PolicyStatement {
  return allow(
    actions.map((action) => `dynamodb:${action}`),
    on.map(({ tableArn }) => tableArn),
  );
}

function objects(actions: readonly string[], { checkpoints }: Ground, prefixes: readonly string[]): PolicyStatement {
  return allow(
    actions.map((action) => `s3:${action}`),
    prefixes.map((prefix) => checkpoints.bucket.arnForObjects(`${checkpoints.root}${prefix}*`)),
  );
}

/**
 * S3 says "no such key" only to those who may list the bucket; others are told "access denied". It asks for that without
 * a prefix, hence IfExists.
 */
function listing({ checkpoints }: Ground, prefixes: readonly string[]): PolicyStatement {
  return new PolicyStatement({
    actions: ["s3:ListBucket"],
    resources: [checkpoints.bucket.bucketArn],
    conditions: {
      StringLikeIfExists: { "s3:prefix": prefixes.map((prefix) => `${checkpoints.root}${prefix}*`) },
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
