/** Makes the settings of an environment from what the app says of itself and what the command line says over it. */
import path from "node:path";
import type { AppDescription } from "../shared/app/app-description.ts";
import { TidemarkError } from "../shared/errors.ts";
import { followed } from "../shared/source/open-source.ts";
import type { StartedOptions } from "./engine.ts";
import type { HomeSettings } from "./home.ts";
import type { LoadedApp } from "./worker/worker.ts";
import type { WorkerSettings } from "./worker/worker-messages.ts";

/** The names of the tables that the embedded engine makes for an app. */
export function tablesOf(app: AppDescription): NonNullable<WorkerSettings["tables"]> {
  const prefix = `tidemark-${app.name}`;
  return {
    control: `${prefix}-control`,
    state: Object.fromEntries(app.functions.map(({ name }) => [name, `${prefix}-state-${name}`])),
  };
}

export function workerSettings(
  loaded: LoadedApp,
  options: StartedOptions,
  place: { readonly dynamodb: string; readonly backend: "dynamodb" | "heap" },
): WorkerSettings {
  const { checkpointIntervalMs } = options;
  checkSourceNames(loaded.app, options.sources ?? {});
  const sources = { ...loaded.sources, ...options.sources };
  const app: AppDescription = {
    ...loaded.app,
    checkpointing: {
      ...loaded.app.checkpointing,
      ...(checkpointIntervalMs === undefined ? {} : { intervalMs: checkpointIntervalMs }),
    },
  };
  return {
    app,
    ...(place.backend === "heap" ? {} : { tables: tablesOf(app) }),
    storageUrl: options.storageUrl,
    sources: options.keepRunning === true ? mapValues(sources, followed) : sources,
    sourcesFolder: path.dirname(path.resolve(options.appModule ?? "app")),
    dynamodb: place.dynamodb,
  };
}

const mapValues = <Value>(
  given: { readonly [name: string]: Value },
  map: (value: Value) => Value,
): { readonly [name: string]: Value } =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [name, map(value)]));

function checkSourceNames({ name: app, functions }: AppDescription, given: { readonly [name: string]: string }): void {
  const read = new Set(functions.map(({ source }) => source));
  const unknown = Object.keys(given).find((name) => !read.has(name));
  if (unknown === undefined) return;
  throw new TidemarkError(
    "fix-configuration",
    `A place was given for the source ${JSON.stringify(unknown)}, which no function of ${app} reads; they read ${[...read].join(", ")}.`,
  );
}

/** What the other commands need to know, as `run` writes it into the home. */
export function homeSettings(settings: WorkerSettings, options: StartedOptions, appModule?: string): HomeSettings {
  return {
    formatVersion: 1,
    ...(appModule === undefined ? {} : { appModule: path.resolve(appModule) }),
    app: settings.app,
    backend: settings.tables === undefined ? "heap" : "dynamodb",
    storageUrl: settings.storageUrl,
    sources: settings.sources,
    sourcesFolder: settings.sourcesFolder ?? "",
    dynamodb: options.dynamodb,
  };
}
