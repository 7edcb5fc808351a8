/** Opens what an app runs on, from its settings, wherever that is: the one place that chooses among all adapters. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { KinesisClient } from "@aws-sdk/client-kinesis";
import type { S3Client } from "@aws-sdk/client-s3";
import type { ControlStore } from "../control/control-store.ts";
import { HeapControlStore } from "../control/heap/heap-control-store.ts";
import { openSource } from "../source/open-source.ts";
import { HeapStateBackend } from "../state/heap/heap-state-backend.ts";
import type { StateBackend } from "../state/state-backend.ts";
import { openCheckpointStorage } from "../storage/open-storage.ts";
import {
  type Attendants,
  assembleResources,
  type OpenedResources,
  type Stores,
  tableOf,
} from "./assemble-resources.ts";
import type { Settings } from "./settings.ts";

export type { OpenedResources, Stores } from "./assemble-resources.ts";

/** What an environment brings along. Clients are asked for when something needs them, and stay their maker's. */
export interface Surroundings extends Attendants {
  readonly dynamodb: () => DynamoDBClient | Promise<DynamoDBClient>;
  readonly s3: () => S3Client | Promise<S3Client>;
  readonly kinesis: () => KinesisClient | Promise<KinesisClient>;
}

/** @throws TidemarkError `fix-configuration` when the storage cannot be opened */
export async function openStores(settings: Settings, surroundings: Surroundings): Promise<Stores> {
  const { clock, randomness } = surroundings;
  const storage = await openCheckpointStorage(settings.storageUrl, { clock, randomness, s3Client: surroundings.s3 });
  const stores = await openState(settings, surroundings);
  return { ...stores, storage, close: () => storage.close() };
}

/**
 * Opens the stores and every source that the app's functions read. Opening S3 storage costs 7 small requests; the rest
 * costs none until it is used.
 * @throws TidemarkError `fix-configuration` when the storage or a source cannot be opened, or a source has no binding
 */
export async function openResources(settings: Settings, surroundings: Surroundings): Promise<OpenedResources> {
  const stores = await openStores(settings, surroundings);
  const { clock, randomness } = surroundings;
  try {
    return await assembleResources(settings, surroundings, stores, (binding) =>
      openSource(binding, {
        clock,
        randomness,
        kinesisClient: async () => surroundings.kinesis(),
        baseFolder: settings.sourcesFolder ?? "",
      }),
    );
  } catch (thrown) {
    await stores.close();
    throw thrown;
  }
}

async function openState(
  { tables }: Settings,
  surroundings: Surroundings,
): Promise<{ readonly control: ControlStore; readonly state: StateBackend }> {
  if (tables === undefined) return { control: new HeapControlStore(), state: new HeapStateBackend() };
  const { clock, randomness, nameKey } = surroundings;
  const naming = nameKey === undefined ? {} : { nameKey };
  const access = { client: await surroundings.dynamodb(), clock, randomness };
  // Loaded here: the heap backend runs without the AWS SDK.
  const [{ DynamoDBControlStore }, { DynamoDBStateBackend }] = await Promise.all([
    import("../control/dynamodb/dynamodb-control-store.ts"),
    import("../state/dynamodb/dynamodb-state-backend.ts"),
  ]);
  return {
    control: new DynamoDBControlStore({ ...access, table: tables.control }),
    state: new DynamoDBStateBackend({
      ...access,
      ...naming,
      tableOf: (functionName) => tableOf(tables.state, functionName),
    }),
  };
}
