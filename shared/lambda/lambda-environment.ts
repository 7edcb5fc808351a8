/** What every deployed function has around it: its role's clients, its deadline, its logs and metrics. */
import { meterDynamoDB, type RequestMeter } from "../dynamodb/request-meter.ts";
import { systemClock, systemRandomness } from "../environment.ts";
import { hashedKey, plainKey } from "../function/name-key.ts";
import { LambdaWatch } from "./lambda-watch.ts";
import { type OpenedResources, openResources, type Surroundings } from "./open-resources.ts";
import type { Settings } from "./settings.ts";

/** The part of Lambda's context that is used. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

/** Work stops so long before Lambda's own end, so that what was done is still written down. */
const MARGIN_MS = 5_000;

/** A connection that died without a word must not take the rest of the invocation: the SDK tries again. */
const CONNECTION_MS_MAX = 3_000;
const SILENCE_MS_MAX = 20_000;

export interface LambdaEnvironment {
  readonly resources: OpenedResources;
  readonly watch: LambdaWatch;
  /** DynamoDB's write units since the last call. */
  writeUnits(): number;
}

/** Opens what the function runs on. Costs no request. */
export async function openEnvironment(settings: Settings): Promise<LambdaEnvironment> {
  const watch = new LambdaWatch(settings.app.name);
  let meter: RequestMeter | undefined;
  const requestHandler = { connectionTimeout: CONNECTION_MS_MAX, socketTimeout: SILENCE_MS_MAX };
  const surroundings: Surroundings = {
    clock: systemClock,
    randomness: systemRandomness,
    observe: watch.observe,
    nameKey: settings.logKeys === true ? plainKey : hashedKey,
    // The constructs' bucket is Amazon's, which honours conditions; a probe would need a permission of its own.
    probeStorage: false,
    async dynamodb() {
      const { DynamoDBClient } = await import("@aws-sdk/client-dynamodb");
      const client = new DynamoDBClient({ requestHandler });
      meter = meterDynamoDB(client);
      return client;
    },
    async s3() {
      const { S3Client } = await import("@aws-sdk/client-s3");
      // Emulators have no host name for each bucket.
      return new S3Client({ requestHandler, forcePathStyle: process.env.AWS_ENDPOINT_URL !== undefined });
    },
    kinesis: async () => (await import("../source/kinesis/kinesis-client.ts")).createKinesisClient(),
  };
  const resources = await openResources(settings, surroundings);
  return {
    resources,
    watch,
    writeUnits() {
      const units = meter?.snapshot().writeUnits ?? 0;
      meter?.reset();
      return units;
    },
  };
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
  return { deadlineMs: systemClock.now() + Math.max(0, context.getRemainingTimeInMillis() - MARGIN_MS) };
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
    throw thrown;
  } finally {
    watch.publish();
  }
}
