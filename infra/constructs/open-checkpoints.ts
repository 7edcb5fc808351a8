/** The bucket of an app's checkpoints: made, taken over or the user's own, and who may write to it. */
import { createHash } from "node:crypto";
import { CfnOutput, Stack } from "aws-cdk-lib";
import { AnyPrincipal, Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Bucket, BucketPolicy, type IBucket } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { TidemarkError } from "../../shared/errors.ts";
import {
  CHECKPOINTS_PREFIX,
  CLAIM_PATH,
  deadLettersPrefix,
  GENERATIONS_PREFIX,
  redrivePrefix,
} from "../../shared/storage/object-paths.ts";
import { acknowledge, REASONS } from "./acknowledge.ts";
import {
  CheckpointBucket,
  type CheckpointBucketProps,
  type Checkpoints,
  TLS_VERSION_MIN,
} from "./checkpoint-bucket.ts";

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

/** What a bucket is by: whoever changes it can have objects go, or let others in. None of it is work of the app's. */
const BUCKET_CHANGES = [
  "s3:DeleteBucket",
  "s3:DeleteBucketPolicy",
  "s3:DeleteBucketWebsite",
  "s3:PutAccelerateConfiguration",
  "s3:PutBucketAcl",
  "s3:PutBucketCORS",
  "s3:PutBucketLogging",
  "s3:PutBucketNotification",
  "s3:PutBucketObjectLockConfiguration",
  "s3:PutBucketOwnershipControls",
  "s3:PutBucketPolicy",
  "s3:PutBucketPublicAccessBlock",
  "s3:PutBucketVersioning",
  "s3:PutBucketWebsite",
  "s3:PutEncryptionConfiguration",
  "s3:PutInventoryConfiguration",
  "s3:PutLifecycleConfiguration",
  "s3:PutReplicationConfiguration",
];
const OBJECT_CHANGES = [
  "s3:BypassGovernanceRetention",
  "s3:DeleteObjectVersion",
  "s3:ObjectOwnerOverrideToBucketOwner",
  "s3:PutObjectAcl",
  "s3:PutObjectLegalHold",
  "s3:PutObjectRetention",
  "s3:PutObjectVersionAcl",
];

export interface ProtectionProps {
  /** Whose the bucket is: made here, taken over with its policy, or shared with the user's own. */
  readonly bucketIs: "made" | "taken-over" | "shared";
  /** The user says that the policy has the statements. */
  readonly policyByHand: boolean;
  /** ARNs of roles. */
  readonly writers: readonly string[];
  readonly letterWriters: readonly string[];
  /** All of the app's, the writers among them. */
  readonly roles: readonly string[];
}

/**
 * Writing what a restore loads or replays is writing state, and so is writing a letter, which is folded when it is put back:
 * nobody does it but the functions whose work it is, whatever other policies allow; not even administrators, before they
 * have changed the bucket's policy. The app's own functions cannot change the bucket itself.
 * @throws TidemarkError `fix-configuration` for a bucket whose policy cannot be added to, unless it has them by hand
 */
export function protectCheckpoints(scope: Construct, checkpoints: Checkpoints, props: ProtectionProps): void {
  const { bucket } = checkpoints;
  const statements = protection(checkpoints, props);
  if (props.bucketIs === "taken-over") {
    new BucketPolicy(scope, "CheckpointsPolicy", { bucket }).document.addStatements(...statements);
    return;
  }
  // A policy in another stack would name roles of this one, which names the bucket: neither could be made first.
  const isElsewhere = Stack.of(bucket) !== Stack.of(scope);
  const added = (statement: PolicyStatement): boolean =>
    !isElsewhere && bucket.addToResourcePolicy(statement).statementAdded;
  const notAdded = statements.filter((statement) => !added(statement));
  if (notAdded.length === 0) return;
  const toAdd = notAdded.map((statement) => statement.toStatementJson());
  if (props.policyByHand) {
    new CfnOutput(scope, "BucketPolicyStatements", {
      description: `Tidemark: what the policy of the bucket of ${scope.node.path} must have`,
      value: Stack.of(scope).toJsonString(toAdd),
    });
    return;
  }
  throw new TidemarkError(
    "fix-configuration",
    `existing.bucket ${isElsewhere ? "is of another stack, whose policies cannot name roles of this one" : "was not made in this CDK app, so nothing can be added to its policy"}; and whoever may write to it could change what a restore loads and what is folded. Give the bucket by its name if it is Tidemark's alone, or make it in this stack; or set existing.bucketPolicyByHand to true, deploy, and add to its policy what the stack's output BucketPolicyStatements says: ${JSON.stringify(Stack.of(scope).resolve(toAdd))}`,
  );
}

function protection(
  { bucket, root }: Checkpoints,
  { bucketIs, writers, letterWriters, roles }: ProtectionProps,
): PolicyStatement[] {
  const sid = sidOf(root);
  const denied = (
    name: string,
    actions: readonly string[],
    resources: readonly string[],
    conditions: { readonly [operator: string]: object },
  ): PolicyStatement =>
    new PolicyStatement({
      sid: `${name}${sid}`,
      effect: Effect.DENY,
      principals: [new AnyPrincipal()],
      actions: [...actions],
      resources: [...resources],
      conditions,
    });
  const under = (paths: readonly string[]): string[] => paths.map((path) => bucket.arnForObjects(`${root}${path}`));
  const toAllBut = (arns: readonly string[]) => ({ ArnNotEquals: { "aws:PrincipalArn": [...arns] } });
  // A bucket that is shared is the others' as well: only what is the app's is held to TLS there.
  const all = bucketIs === "taken-over" ? [bucket.bucketArn, bucket.arnForObjects("*")] : under(["*"]);
  const checkpointPaths = [`${CHECKPOINTS_PREFIX}*`, CLAIM_PATH, `${GENERATIONS_PREFIX}*`, `${redrivePrefix()}*`];
  const overTls = [
    denied("OnlyTls", ["s3:*"], all, { Bool: { "aws:SecureTransport": "false" } }),
    denied("OnlyTls12", ["s3:*"], all, { NumericLessThan: { "s3:TlsVersion": TLS_VERSION_MIN } }),
  ];
  return [
    // One that is made demands it itself.
    ...(bucketIs === "made" ? [] : overTls),
    denied("OnlyTidemarkWritesCheckpoints", WRITES, under(checkpointPaths), toAllBut(writers)),
    denied("OnlyFunctionsWriteDeadLetters", WRITES, under([`${deadLettersPrefix()}*`]), toAllBut(letterWriters)),
    denied("FunctionsLeaveTheBucketAlone", BUCKET_CHANGES, [bucket.bucketArn], {
      ArnEquals: { "aws:PrincipalArn": [...roles] },
    }),
    denied("FunctionsLeaveObjectsAlone", OBJECT_CHANGES, under(["*"]), {
      ArnEquals: { "aws:PrincipalArn": [...roles] },
    }),
  ];
}

/** What tells an app's statements in a bucket's policy from another app's: no two of them have a prefix in common. */
function sidOf(root: string): string {
  const digest = createHash("sha256").update(root).digest("hex").slice(0, 8);
  return `Of${root.replaceAll(/[^A-Za-z0-9]/g, "").slice(0, 32)}${digest}`;
}
