/** What every deployed function has around it: its role's clients, its deadline, its logs and metrics. */
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { KinesisClient } from "@aws-sdk/client-kinesis";
import { S3Client } from "@aws-sdk/client-s3";
import { type Claimant, checkClaims, failedUnclaimed } from "../app/claim.ts";
import { DynamoDBControlStore } from "../control/dynamodb/dynamodb-control-store.ts";
import { countWriteUnits } from "../dynamodb/write-units.ts";
import { systemClock, systemRandomness } from "../environment.ts";
import { asError, TidemarkError } from "../errors.ts";
import { hashedKey, plainKey } from "../function/name-key.ts";
import {
  type Attendants,
  assembleResources,
  type OpenedResources,
  type Stores,
  tableOf,
} from "../runtime/assemble-resources.ts";
import type { Settings } from "../runtime/settings.ts";
import { createKinesisClient } from "../source/kinesis/kinesis-client.ts";
import { openKinesisSource } from "../source/kinesis/kinesis-source.ts";
import { DynamoDBStateBackend } from "../state/dynamodb/dynamodb-state-backend.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { openS3Storage } from "../storage/s3/open-s3-storage.ts";
import { bundleVersion } from "./bundle-version.ts";
import { claimantOf } from "./claimant.ts";
import { LambdaWatch } from "./watch.ts";

/** The part of Lambda's context that is used. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number;
  /** The same when Lambda tries an invocation again. */
  readonly awsRequestId?: string;
  readonly invokedFunctionArn?: string;
}

/**
 * Work stops so long before Lambda's own end, so that what was done is still written down; earlier by half of what is
 * left, where a function has less than twice that: it would never begin.
 */
const MARGIN_MS = 5_000;

/** A connection that died without a word must not take the rest of the invocation: the SDK tries again. */
const CONNECTION_MS_MAX = 3_000;
const SILENCE_MS_MAX = 20_000;

export interface LambdaEnvironment {
  readonly resources: OpenedResources;
  readonly watch: LambdaWatch;
  /** What the settings name, for the coordinator to claim. */
  readonly claimant: Claimant;
  /**
   * Does a piece of work on what is this app's, or nobody's yet. What the settings name is looked at before each piece until
   * the coordinator has claimed all of it, and then no more. Cost of a look: a strong read of the control table and one of each
   * state table, and an S3 GET.
   * @throws TidemarkError `fix-configuration` when something is another app's, before any work is done
   */
  onOwnGround<Answer>(work: () => Promise<Answer>): Promise<Answer>;
  /** DynamoDB's write units since the last call. */
  writeUnits(): number;
}

/**
 * Opens what a deployed function runs on, which is always the same: DynamoDB, S3 and Kinesis. Costs no request: the
 * constructs' bucket is Amazon's, which honours conditions, and a probe would need a permission of its own.
 * @param around what a function that writes or reads manifests puts around its storage. @default - nothing
 * @throws TidemarkError `fix-configuration` when the settings name anything else
 */
export async function openEnvironment(
  settings: Settings,
  around: (storage: CheckpointStorage, settings: Settings) => Promise<CheckpointStorage> = async (storage) => storage,
): Promise<LambdaEnvironment> {
  const { app, service = app.name, tables, storageUrl } = settings;
  const watch = new LambdaWatch(service);
  const attendants: Attendants = {
    clock: systemClock,
    randomness: systemRandomness,
    observe: watch.observe,
    nameKey: settings.logKeys === true ? plainKey : hashedKey,
    codeVersion: bundleVersion(),
  };
  const requestHandler = { connectionTimeout: CONNECTION_MS_MAX, socketTimeout: SILENCE_MS_MAX };
  const client = new DynamoDBClient({ requestHandler });
  const writeUnits = countWriteUnits(client);
  const access = { client, ...attendants };
  // Emulators have no host name for each bucket.
  const s3Client = new S3Client({ requestHandler, forcePathStyle: process.env.AWS_ENDPOINT_URL !== undefined });
  const storage = await around(await openS3Storage(storageUrl, { ...attendants, s3Client }), settings);
  const stores: Stores = {
    control: new DynamoDBControlStore({ ...access, table: tables?.control ?? "" }),
    state: new DynamoDBStateBackend({ ...access, tableOf: (name) => tableOf(tables?.state ?? {}, name) }),
    storage,
    close: () => storage.close(),
  };
  let kinesis: KinesisClient | undefined;
  const resources = await assembleResources(settings, attendants, stores, async (binding) => {
    const stream = /^kinesis:(.*)$/i.exec(binding)?.[1];
    if (stream === undefined) throw notKinesis(binding);
    kinesis ??= createKinesisClient();
    return openKinesisSource({ ...attendants, client: kinesis, stream });
  });
  const claimant = claimantOf(settings, access, stores);
  let isClaimed = false;
  return {
    ...{ resources, watch, claimant, writeUnits },
    async onOwnGround(work) {
      isClaimed ||= await checkClaims(claimant);
      const wasClaimed = isClaimed;
      try {
        return await work();
      } catch (thrown) {
        throw wasClaimed ? thrown : failedUnclaimed(claimant, thrown);
      }
    },
  };
}

function notKinesis(binding: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `A deployed function cannot read the source ${JSON.stringify(binding)}: bind "kinesis:STREAM", as Tidemark's constructs do, and deploy again.`,
  );
}

/** Made once by an environment, at its first invocation; what failed is tried again by the next one. */
export function once<Made>(make: () => Promise<Made>): () => Promise<Made> {
  let making: Promise<Made> | undefined;
  return () => {
    making ??= make();
    making.catch(() => {
      making = undefined;
    });
    return making;
  };
}

export function deadlineOf(context: LambdaContext): { readonly deadlineMs: number } {
  const leftMs = context.getRemainingTimeInMillis();
  return { deadlineMs: systemClock.now() + Math.max(leftMs - MARGIN_MS, leftMs / 2) };
}

/** Runs one invocation: what it throws is logged, what it measured is written. */
export async function watched<Answer>(
  { watch }: LambdaEnvironment,
  invocation: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await invocation();
  } catch (thrown) {
    watch.failed(thrown);
    // Lambda's runtime reads its name, message and stack, and ends the process where that throws.
    throw asError(thrown);
  } finally {
    watch.publish();
  }
}
