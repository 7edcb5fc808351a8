/** Where checkpoints and dead letters are kept. */
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { deadLettersPrefix } from "../../shared/storage/object-paths.ts";

export const TLS_VERSION_MIN = 1.2;

/** How the bucket is made, and where in it objects stand. One of `existing` keeps its own lifecycle and removal policy. */
export interface CheckpointOptions {
  /**
   * What stands before every object's path, without slashes at its ends. Several apps can share a bucket, each under a
   * prefix of its own. @default - the app's name
   */
  readonly prefix?: string;
  /** What becomes of the bucket when it leaves the stack; only an empty one can be destroyed. @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy;
  /** For how long what retention deleted can be had back as an older version. @default Duration.days(30) */
  readonly noncurrentVersionExpiration?: Duration;
  /**
   * For how long dead letters, which hold raw records, are kept. A letter that was put back is read again when a restore
   * replays it: shorter than the stream keeps records is refused.
   * @default Duration.days(400) - no stream keeps records longer than 365
   */
  readonly deadLetterExpiration?: Duration;
  /**
   * Has the coordinator sign each manifest, and what says which checkpoint a generation was restored from, by an HMAC key of
   * KMS: coordinator and restore function take what is signed alone, so that what anybody else wrote is never restored,
   * whatever the policies of the bucket let them do. True makes a key, which is retained; a key of yours has to be of the spec
   * HMAC_256. Checkpoints from before cannot be restored while it is set: take one at once.
   * Costs $1 a month for the key, and one request ($0.03 for 10,000) for each manifest that is written, or read for the first time
   * by a worker: some ten a checkpoint. @default false
   */
  readonly signing?: boolean | IKey;
}

export interface CheckpointBucketProps extends CheckpointOptions {
  /** With the slash at its end. */
  readonly root: string;
  /** @default - a key that S3 owns */
  readonly encryptionKey?: IKey | undefined;
}

/**
 * A private, encrypted bucket that takes connections of TLS 1.2 and later only, and outlives its stack. Uploads that a crash left
 * unfinished go after a day. No checkpoint ever expires: retention removes them.
 */
export class CheckpointBucket extends Bucket {
  constructor(scope: Construct, id: string, props: CheckpointBucketProps) {
    const { encryptionKey, root } = props;
    super(scope, id, {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      ...(encryptionKey === undefined
        ? { encryption: BucketEncryption.S3_MANAGED }
        : { encryption: BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }),
      enforceSSL: true,
      minimumTLSVersion: TLS_VERSION_MIN,
      versioned: true,
      removalPolicy: props.removalPolicy ?? RemovalPolicy.RETAIN,
      lifecycleRules: [
        { abortIncompleteMultipartUploadAfter: Duration.days(1) },
        {
          noncurrentVersionExpiration: props.noncurrentVersionExpiration ?? Duration.days(30),
          expiredObjectDeleteMarker: true,
        },
        { prefix: `${root}${deadLettersPrefix()}`, expiration: props.deadLetterExpiration ?? Duration.days(400) },
      ],
    });
  }
}

/** An app's checkpoints: the bucket, and where in it they stand. */
export interface Checkpoints {
  readonly bucket: IBucket;
  /** Before every object's path, with the slash at its end. */
  readonly root: string;
  /** As settings and the command line take it: `s3://bucket/prefix`. */
  readonly url: string;
}
