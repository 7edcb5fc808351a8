/**
 * What a command of the AWS SDK asks for, in IAM's words: actions, resources, and what conditions are held against.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { isCommitPath } from "../../shared/storage/object-paths.ts";

/** What is asked for, by names that templates spell each in their own way: `table:control`, `object:chk-…`, `function:…`. */
export interface AskedFor {
  readonly action: string;
  readonly resource: string;
  readonly context: { readonly [key: string]: readonly string[] };
}

type Item = Record<string, AttributeValue>;

/** The parts of commands' inputs that say what they are about. */
export interface CommandInput {
  readonly TableName?: string;
  readonly Key?: Item | string;
  readonly Item?: Item;
  readonly ExpressionAttributeValues?: Item;
  readonly RequestItems?: Record<string, unknown>;
  readonly Prefix?: string;
  readonly FunctionName?: string;
}

const partitionOf = (item: Item | undefined): string[] => {
  const text = item?.pk?.S ?? item?.key?.S;
  return text === undefined ? [] : [text];
};

function leadingKeys(command: string, input: CommandInput, of: unknown): string[] {
  switch (command) {
    case "Query":
      return partitionOf({ pk: input.ExpressionAttributeValues?.[":pk"] ?? { S: "" } });
    case "PutItem":
      return partitionOf(input.Item);
    case "BatchGetItem":
      return (of as { readonly Keys: readonly Item[] }).Keys.flatMap(partitionOf);
    case "BatchWriteItem":
      return (
        of as readonly {
          readonly DeleteRequest?: { readonly Key: Item };
          readonly PutRequest?: { readonly Item: Item };
        }[]
      ).flatMap(({ DeleteRequest, PutRequest }) => partitionOf(DeleteRequest?.Key ?? PutRequest?.Item));
    case "Scan":
      return [];
    default:
      return partitionOf(input.Key as Item);
  }
}

/** @param prefix before every object's path, with the slash at its end */
export function requestsOf(command: string, input: CommandInput, prefix: string): AskedFor[] {
  const object = `object:${String(input.Key).slice(prefix.length)}`;
  switch (command) {
    case "Invoke":
      return [{ action: "lambda:InvokeFunction", resource: `function:${input.FunctionName}`, context: {} }];
    case "GetEventSourceMapping":
      return [{ action: "lambda:GetEventSourceMapping", resource: "mapping", context: {} }];
    case "UpdateEventSourceMapping":
      return [
        {
          ...{ action: "lambda:UpdateEventSourceMapping", resource: "mapping" },
          context: { "lambda:FunctionArn": ["function:fed by the mapping"] },
        },
      ];
    case "ListObjectsV2":
      return [{ action: "s3:ListBucket", resource: "bucket", context: { "s3:prefix": [input.Prefix ?? ""] } }];
    case "CreateMultipartUpload":
    case "UploadPart":
    case "CompleteMultipartUpload":
      return [{ action: "s3:PutObject", resource: object, context: {} }];
    case "GetObject":
    case "PutObject":
    case "DeleteObject":
    case "AbortMultipartUpload":
      return [{ action: `s3:${command}`, resource: object, context: {} }];
    case "DescribeStreamSummary":
    case "ListShards":
    case "GetShardIterator":
    case "GetRecords":
      return [{ action: `kinesis:${command}`, resource: "stream", context: {} }];
    default: {
      const tables = input.RequestItems ?? { [input.TableName ?? ""]: undefined };
      return Object.entries(tables).map(([table, of]) => {
        const keys = leadingKeys(command, input, of);
        return {
          ...{ action: `dynamodb:${command}`, resource: `table:${table}` },
          context: keys.length === 0 ? {} : { "dynamodb:LeadingKeys": keys },
        };
      });
    }
  }
}

/** S3 says that there is no such object only to those who may list the bucket: without a prefix, since none is asked for. */
export const askedOfMissing: AskedFor = { action: "s3:ListBucket", resource: "bucket", context: {} };

/** What AWS's services do with a key in the name of whoever asks them, where a table, a bucket or a stream has one. */
export function withKeys(asked: AskedFor): AskedFor[] {
  const { action } = asked;
  const use = (service: string, actions: readonly string[]): AskedFor[] =>
    actions.map((one) => ({
      ...{ action: `kms:${one}`, resource: service === "kinesis" ? "key:stream" : "key:own" },
      context: { "kms:ViaService": [service] },
    }));
  if (action.startsWith("dynamodb:")) return [asked, ...use("dynamodb", ["Decrypt"])];
  if (action === "s3:GetObject") return [asked, ...use("s3", ["Decrypt"])];
  // The parts of an upload are decrypted to be put together.
  if (action === "s3:PutObject") return [asked, ...use("s3", ["Decrypt", "GenerateDataKey"])];
  if (action === "kinesis:GetRecords") return [asked, ...use("kinesis", ["Decrypt"])];
  return [asked];
}

/** What a function that signs its checkpoints asks KMS for, to write or to believe what decides a restore. */
export function withSignatures(asked: AskedFor): AskedFor[] {
  const { action, resource } = asked;
  const mac = { "s3:PutObject": "kms:GenerateMac", "s3:GetObject": "kms:VerifyMac" }[action];
  if (mac === undefined || !isCommitPath(resource.replace(/^object:/, ""))) return [asked];
  return [asked, { action: mac, resource: "key:signing", context: {} }];
}
