/** What a user says about a deployment: which resources the names of the app stand for. */
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { NodejsFunctionProps } from "aws-cdk-lib/aws-lambda-nodejs";
import type { IBucket } from "aws-cdk-lib/aws-s3";
import type { AppDefinition } from "../../shared/app/define-app.ts";
import type { AlarmOptions } from "./alarms.ts";
import type { CheckpointOptions } from "./checkpoint-bucket.ts";
import type { TableOptions } from "./durable-table.ts";
import type { KinesisBinding } from "./kinesis-binding.ts";
import type { LogOptions, NetworkOptions } from "./tidemark-function.ts";

export interface FunctionOptions {
  /**
   * Of the Lambda function: memory, timeout, environment, bundling, … What the protocol fixes (entry, handler, runtime,
   * role, events, log group; ES modules, source maps and the SDK in the bundle) is refused, and so is a name that no prop has.
   * @default - Node 22 on arm64, 1,024 MB, 5 minutes
   */
  readonly lambda?: Partial<NodejsFunctionProps>;
}

export interface CoordinatorOptions extends FunctionOptions {
  /**
   * Only one invocation coordinates at a time: a reserved concurrency of 1. It is a matter of cost, not of safety: the rule
   * fires every minute, and a second coordinator hands out what the first one has handed out already. An account whose
   * limit is 10 executions cannot reserve any: say false there.
   * @default true
   */
  readonly exclusive?: boolean;
}

export interface SnapshotOptions extends FunctionOptions {
  /**
   * Invocations that write a checkpoint, or load one, at the same time. Each takes some 2,000 read units a second of the
   * tables while it scans.
   * @default 4
   */
  readonly workers?: number;
}

/** Tables and bucket that are there already: of one's own, or those that an earlier stack has retained. */
export interface ExistingResources {
  /** @default - a table is made */
  readonly controlTable?: string | ITable;
  /** By the name of the function. @default - a table is made for each function that is not named */
  readonly stateTables?: { readonly [functionName: string]: string | ITable };
  /**
   * By name: a bucket that is Tidemark's alone, whose bucket policy this stack writes. S3 keeps one policy a bucket, and
   * CloudFormation makes none where there is one: that of the stack which retained the bucket goes with that stack, so
   * delete it first; one that was written by hand has to be taken away. As a construct: a bucket of yours, to whose policy
   * statements are added; one to whose policy CDK cannot add them (an imported bucket) is refused, and the refusal says
   * which they are, unless `bucketPolicyByHand` is set.
   * @default - a bucket is made
   */
  readonly bucket?: string | IBucket;
  /**
   * Of a bucket to whose policy CDK cannot add: true says that you add the statements yourself. They are the stack's output
   * `BucketPolicyStatements`. Until its policy has them, whoever may write to the bucket can change what a restore loads.
   * @default false
   */
  readonly bucketPolicyByHand?: boolean;
}

export interface TidemarkAppProps extends NetworkOptions {
  /** What the app module exports. Its functions, sources and checkpointing are taken from here, and never said again. */
  readonly app: AppDefinition;
  /** The file of the app module, whose default export `app` is, relative to where `cdk` runs: it is bundled into the functions. */
  readonly module: string;
  /** What each source of the app is read from, by the source's name. */
  readonly sources: { readonly [source: string]: KinesisBinding };
  /** By the name of the function. @default - each as `FunctionOptions` says */
  readonly functions?: { readonly [functionName: string]: FunctionOptions };
  /** Runs every minute: takes checkpoints when they are due, and carries on restores. @default - as `CoordinatorOptions` says */
  readonly coordinator?: CoordinatorOptions;
  /** @default - as `SnapshotOptions` says */
  readonly snapshot?: SnapshotOptions;
  /** @default - as `FunctionOptions` says */
  readonly restore?: FunctionOptions;
  /** Goes on from where another stack has stopped, or uses what is yours. @default - everything is made */
  readonly existing?: ExistingResources;
  /**
   * Encrypts the tables and the bucket that are made, and the log groups (see `logs.encryptionKey`); give it too when those
   * of `existing` are encrypted by it. Its policy has to allow what IAM policies of the account allow, as keys made by CDK
   * do.
   * @default - keys that DynamoDB, S3 and CloudWatch Logs own
   */
  readonly encryptionKey?: IKey;
  /** How tables are made. @default - on demand, with point-in-time recovery and deletion protection, retained */
  readonly tables?: TableOptions;
  /** How the bucket is made. @default - retained, objects under the app's name */
  readonly checkpoints?: CheckpointOptions;
  /** @default - kept for a month, removed with the stack */
  readonly logs?: LogOptions;
  /** Logs and errors show keys as they are; keys may be personal data. @default false - the first 16 hexadecimal digits of their SHA-256 */
  readonly logKeys?: boolean;
  /** @default - alarms without actions; false makes none */
  readonly alarms?: AlarmOptions | false;
  /** @default true */
  readonly dashboard?: boolean;
  /** What paths of bundles are relative to. The app module and the package tidemark must be within. @default - the folder of the lock file */
  readonly projectRoot?: string;
  /** @default - the lock file that is found upwards from where `cdk` runs */
  readonly depsLockFilePath?: string;
}
