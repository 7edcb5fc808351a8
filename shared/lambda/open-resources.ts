/** Opens what an app runs on, from its settings. The one place that chooses adapters. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { KinesisClient } from "@aws-sdk/client-kinesis";
import type { S3Client } from "@aws-sdk/client-s3";
import type { AppResources } from "../app/app-resources.ts";
import type { ControlStore } from "../control/control-store.ts";
import { HeapControlStore } from "../control/heap/heap-control-store.ts";
import { openRedriveSource } from "../dead-letter/redrive-source.ts";
import { withRedrive } from "../dead-letter/with-redrive.ts";
import type { Clock, Randomness } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import type { KeyNamer } from "../function/name-key.ts";
import type { Observer } from "../observer.ts";
import { openSource } from "../source/open-source.ts";
import type { Source } from "../source/source.ts";
import { HeapStateBackend } from "../state/heap/heap-state-backend.ts";
import type { StateBackend } from "../state/state-backend.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { openCheckpointStorage, openUnprobed } from "../storage/open-storage.ts";
import type { Settings } from "./settings.ts";

/** What an environment brings along. Clients are asked for when something needs them, and stay their maker's. */
export interface Surroundings {
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly observe: Observer;
  /** How messages name a user's key. @default as it is */
  readonly nameKey?: KeyNamer;
  /** Try the storage's conditional writes before it is used. @default true */
  readonly probeStorage?: boolean;
  readonly dynamodb: () => DynamoDBClient | Promise<DynamoDBClient>;
  readonly s3: () => S3Client | Promise<S3Client>;
  readonly kinesis: () => KinesisClient | Promise<KinesisClient>;
}

/** The stores alone: for whoever looks at state and checkpoints and reads no source. */
export interface Stores {
  readonly control: ControlStore;
  readonly state: StateBackend;
  readonly storage: CheckpointStorage;
  close(): Promise<void>;
}

export interface OpenedResources extends AppResources {
  close(): Promise<void>;
}

/** @throws TidemarkError `fix-configuration` when the storage cannot be opened */
export async function openStores(settings: Settings, surroundings: Surroundings): Promise<Stores> {
  const { clock, randomness, probeStorage = true } = surroundings;
  const open = probeStorage ? openCheckpointStorage : openUnprobed;
  const storage = await open(settings.storageUrl, { clock, randomness, s3Client: surroundings.s3 });
  const stores = await openState(settings, surroundings);
  return { ...stores, storage, close: () => storage.close() };
}

/**
 * Opens the stores and every source that the app's functions read. Opening S3 storage costs 7 small requests where
 * it is probed; the rest costs none until it is used.
 * @throws TidemarkError `fix-configuration` when the storage or a source cannot be opened, or a source has no binding
 */
export async function openResources(settings: Settings, surroundings: Surroundings): Promise<OpenedResources> {
  const stores = await openStores(settings, surroundings);
  try {
    return await withSources(settings, surroundings, stores);
  } catch (thrown) {
    await stores.close();
    throw thrown;
  }
}

async function withSources(settings: Settings, surroundings: Surroundings, stores: Stores): Promise<OpenedResources> {
  const { app } = settings;
  const { clock, randomness, observe, nameKey } = surroundings;
  const opened = new Map<string, Source>();
  const byFunction = new Map<string, Source>();
  for (const { name: functionName, source: name } of app.functions) {
    let source = opened.get(name);
    if (source === undefined) {
      source = await openSource(bindingOf(settings, name, functionName), {
        clock,
        randomness,
        kinesisClient: async () => surroundings.kinesis(),
        baseFolder: settings.sourcesFolder ?? "",
      });
      opened.set(name, source);
    }
    const redrive = openRedriveSource({ storage: stores.storage, functionName, original: source.events, clock });
    byFunction.set(functionName, withRedrive(source, redrive));
  }
  return {
    app,
    control: stores.control,
    state: stores.state,
    storage: stores.storage,
    clock,
    randomness,
    observe,
    ...(nameKey === undefined ? {} : { nameKey }),
    close: () => stores.close(),
    sourceOf(functionName) {
      const source = byFunction.get(functionName);
      if (source !== undefined) return source;
      throw new TidemarkError(
        "fix-configuration",
        `The app ${app.name} has no function ${JSON.stringify(functionName)}; it has ${[...byFunction.keys()].join(", ")}.`,
      );
    },
  };
}

function bindingOf(settings: Settings, name: string, functionName: string): string {
  const binding = settings.sources[name];
  if (binding !== undefined) return binding;
  throw new TidemarkError(
    "fix-configuration",
    `Nothing says where to read the source ${JSON.stringify(name)} of function ${functionName}. Name it in the app (sources: { ${JSON.stringify(name)}: "data/*.jsonl" }), or on the command line: --source ${name}=PATH.`,
  );
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

function tableOf(tables: { readonly [functionName: string]: string }, functionName: string): string {
  const table = tables[functionName];
  if (table !== undefined) return table;
  throw new TidemarkError(
    "fix-configuration",
    `The settings name no state table for function ${JSON.stringify(functionName)}; they name tables for ${Object.keys(tables).join(", ")}. Deploy the app again.`,
  );
}
