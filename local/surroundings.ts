/** The clients and the clock of a local process, as `openResources` asks for them. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { meterDynamoDB, type RequestMeter } from "../shared/dynamodb/request-meter.ts";
import { systemClock, systemRandomness } from "../shared/environment.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { Observer } from "../shared/observer.ts";
import type { Surroundings } from "../shared/runtime/open-resources.ts";
import { splitEndpoint } from "./dynamodb/endpoint-url.ts";

export interface LocalSurroundings extends Surroundings {
  readonly dynamodb: () => Promise<DynamoDBClient>;
  /** Undefined until DynamoDB is used. */
  readonly meter: () => RequestMeter | undefined;
  close(): void;
}

/** Emulators keep to no region, but the SDK asks for one. */
const REGION = "us-east-1";

/** @param dynamodb `aws` for the environment's own region and credentials, or an emulator's URL, with any credentials in it */
export function localSurroundings(dynamodb: string, observe: Observer): LocalSurroundings {
  let client: DynamoDBClient | undefined;
  let meter: RequestMeter | undefined;
  const others: { destroy(): void }[] = [];
  return {
    clock: systemClock,
    randomness: systemRandomness,
    observe,
    async dynamodb() {
      if (client !== undefined) return client;
      const { DynamoDBClient: Client } = await import("@aws-sdk/client-dynamodb");
      const made = new Client(dynamodb === "aws" ? {} : { region: REGION, ...splitEndpoint(dynamodb) });
      if (dynamodb === "aws") await requireRegion(made, "DynamoDB");
      client ??= made;
      meter ??= meterDynamoDB(client);
      return client;
    },
    async s3() {
      const { S3Client } = await import("@aws-sdk/client-s3");
      // Emulators have no host name for each bucket.
      const made = new S3Client({ forcePathStyle: process.env.AWS_ENDPOINT_URL !== undefined });
      others.push(made);
      return made;
    },
    async kinesis() {
      const { createKinesisClient } = await import("../shared/source/kinesis/kinesis-client.ts");
      const made = createKinesisClient();
      others.push(made);
      await requireRegion(made, "Kinesis");
      return made;
    },
    meter: () => meter,
    close() {
      client?.destroy();
      for (const other of others) other.destroy();
    },
  };
}

/** The SDK would say it at the first call, as an error like any other. */
async function requireRegion(
  client: { readonly config: { readonly region: () => Promise<string> } },
  service: string,
): Promise<void> {
  try {
    await client.config.region();
  } catch (cause) {
    throw new TidemarkError(
      "fix-configuration",
      `${service} is to be used and no AWS region is set. Set AWS_REGION, or a region in the profile (AWS_PROFILE).`,
      { cause },
    );
  }
}
