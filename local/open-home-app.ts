/** What the commands beside `run` work on: the app, the stores and the sources of a home, as its last run left them. */
import { type OpenedResources, openResources, openStores, type Stores } from "../shared/runtime/open-resources.ts";
import type { CheckpointStorage } from "../shared/storage/checkpoint-storage.ts";
import { openCheckpointStorage } from "../shared/storage/open-storage.ts";
import { connectDynamoDB, type DynamoDBConnection } from "./dynamodb/connect-dynamodb.ts";
import type { EngineObserver } from "./engine-event.ts";
import { type Home, type HomeSettings, openHome } from "./home.ts";
import { type LocalSurroundings, localSurroundings } from "./surroundings.ts";
import type { WorkerSettings } from "./worker/worker-messages.ts";
import { tablesOf } from "./worker-settings.ts";

export interface HomeApp {
  readonly home: Home;
  readonly settings: HomeSettings;
  /** Checkpoint storage alone. */
  storage(): Promise<CheckpointStorage>;
  /** Control, state and storage; with the heap backend, state and control are the run's own and empty here. */
  stores(): Promise<Stores>;
  /** The stores and every source. @throws TidemarkError when a source cannot be opened */
  resources(): Promise<OpenedResources>;
  close(): Promise<void>;
}

/**
 * Opens the app of a home; starts the embedded DynamoDB if none is running, and ends it with `close`.
 * @throws TidemarkError `fix-configuration` when nothing has run on the home
 */
export function openHomeApp(folder: string | undefined, observe: EngineObserver = () => {}): HomeApp {
  const home = openHome(folder);
  const settings = home.readSettings();
  const closers: (() => Promise<void>)[] = [];
  const connected = once(async () => {
    let connection: DynamoDBConnection | undefined;
    if (settings.backend === "dynamodb" && settings.dynamodb === "embedded") connection = await connectDynamoDB(home);
    const surroundings: LocalSurroundings = localSurroundings(connection?.endpoint ?? settings.dynamodb, observe);
    closers.push(async () => {
      surroundings.close();
      await connection?.close();
    });
    const all: WorkerSettings = {
      app: settings.app,
      ...(settings.backend === "heap" ? {} : { tables: tablesOf(settings.app) }),
      storageUrl: settings.storageUrl,
      sources: settings.sources,
      sourcesFolder: settings.sourcesFolder,
      dynamodb: connection?.endpoint ?? settings.dynamodb,
    };
    return { surroundings, all };
  });
  return {
    home,
    settings,
    storage: once(async () => {
      const { clock, randomness, s3, close } = localSurroundings(settings.dynamodb, observe);
      const storage = await openCheckpointStorage(settings.storageUrl, { clock, randomness, s3Client: s3 });
      closers.unshift(async () => {
        await storage.close();
        close();
      });
      return storage;
    }),
    stores: once(async () => {
      const { all, surroundings } = await connected();
      const stores = await openStores(all, surroundings);
      closers.unshift(() => stores.close());
      return stores;
    }),
    resources: once(async () => {
      const { all, surroundings } = await connected();
      const resources = await openResources(all, surroundings);
      closers.unshift(() => resources.close());
      return resources;
    }),
    async close() {
      for (const close of closers) await close();
    },
  };
}

function once<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
