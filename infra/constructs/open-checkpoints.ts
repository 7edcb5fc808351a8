/** The bucket of an app's checkpoints: made, taken over or the user's own, and who may write to it. */
import { Annotations, Stack } from "aws-cdk-lib";
import { AnyPrincipal, Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Bucket, BucketPolicy, type IBucket } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import {
  CHECKPOINTS_PREFIX,
  deadLettersPrefix,
  GENERATIONS_PREFIX,
  redrivePrefix,
} from "../../shared/storage/object-paths.ts";
import { acknowledge, REASONS } from "./acknowledge.ts";
import { CheckpointBucket, type CheckpointBucketProps, type Checkpoints } from "./checkpoint-bucket.ts";

export function openCheckpoints(
  scope: Construct,
  {
    prefix,
    existing,
    ...props
  }: Omit<CheckpointBucketProps, "root"> & {
    readonly prefix: string;
    readonly existing: string | IBucket | undefined;
  },
): Checkpoints {
  const root = `${prefix}/`;
  const bucket = bucketOf(scope, existing, { ...props, root });
  return { bucket, root, url: `s3://${bucket.bucketName}/${prefix}` };
}

function bucketOf(scope: Construct, existing: string | IBucket | undefined, props: CheckpointBucketProps): IBucket {
  if (existing === undefined) {
    const made = new CheckpointBucket(scope, "Checkpoints", props);
    acknowledge(made, "AwsSolutions-S1", REASONS.accessLogs);
    return made as IBucket;
  }
  return typeof existing === "string" ? Bucket.fromBucketName(scope, "Checkpoints", existing) : existing;
}

/** Every way in which an object comes to be another. */
const WRITES = [
  "s3:DeleteObject",
  "s3:DeleteObjectVersion",
  "s3:PutObject",
  "s3:ReplicateDelete",
  "s3:ReplicateObject",
];

/**
 * Writing what a restore loads or replays is writing state, and so is writing a letter, which is folded when it is put back:
 * nobody does it but the functions whose work it is, whatever other policies allow; not even administrators, before they
 * have changed the bucket's policy.
 * @param ownPolicy the bucket is Tidemark's alone, and so is its policy
 */
export function protectCheckpoints(
  scope: Construct,
  { bucket, root }: Checkpoints,
  {
    ownPolicy,
    writers,
    letterWriters,
  }: { readonly ownPolicy: boolean; readonly writers: readonly string[]; readonly letterWriters: readonly string[] },
): void {
  const denied = (sid: string, prefixes: readonly string[], toAllBut: readonly string[]): PolicyStatement =>
    new PolicyStatement({
      sid,
      effect: Effect.DENY,
      principals: [new AnyPrincipal()],
      actions: WRITES,
      resources: prefixes.map((prefix) => bucket.arnForObjects(`${root}${prefix}*`)),
      conditions: { ArnNotEquals: { "aws:PrincipalArn": [...toAllBut] } },
    });
  const onlyWriters = [
    denied("OnlyTidemarkWritesCheckpoints", [CHECKPOINTS_PREFIX, GENERATIONS_PREFIX, redrivePrefix()], writers),
    denied("OnlyFunctionsWriteDeadLetters", [deadLettersPrefix()], letterWriters),
  ];
  if (ownPolicy) {
    const onlyTls = new PolicyStatement({
      sid: "OnlyTls",
      effect: Effect.DENY,
      principals: [new AnyPrincipal()],
      actions: ["s3:*"],
      resources: [bucket.bucketArn, bucket.arnForObjects("*")],
      conditions: { Bool: { "aws:SecureTransport": "false" } },
    });
    new BucketPolicy(scope, "CheckpointsPolicy", { bucket }).document.addStatements(onlyTls, ...onlyWriters);
    return;
  }
  const notAdded = onlyWriters.filter((statement) => !bucket.addToResourcePolicy(statement).statementAdded);
  if (notAdded.length === 0) return;
  const statements = Stack.of(scope).resolve(notAdded.map((statement) => statement.toStatementJson()));
  Annotations.of(scope).addWarningV2(
    "tidemark:bucket-policy",
    `The bucket of existing.bucket was not made in this CDK app, so its policy cannot be added to. Whoever may write to it can change what a restore loads and what is folded: add these statements to its policy, or give the bucket by its name if it is Tidemark's alone: ${JSON.stringify(statements)}`,
  );
}
