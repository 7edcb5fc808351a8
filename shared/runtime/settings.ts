/** What an environment is told about the app it belongs to: data alone, made by whoever deploys it. */
import type { AppDescription } from "../app/app-description.ts";
import {
  CHECKPOINT_INTERVAL_MS_MAX,
  CHECKPOINT_TIMEOUT_MS_MAX,
  CONSECUTIVE_DEAD_LETTERS_MAX,
  RETAINED_MAX,
  SNAPSHOT_WORKERS_MAX,
  TRIES_MAX,
} from "../app/limits.ts";
import { TidemarkError } from "../errors.ts";

/** What an event source mapping was deployed with, by the names of Lambda's API; one that differs now has drifted. */
export interface ExpectedMapping {
  readonly batchSize: number;
  readonly maximumBatchingWindowSeconds: number;
  /** @default 1 */
  readonly parallelizationFactor?: number;
}

export interface DeployedMapping {
  readonly uuid: string;
  readonly expected: ExpectedMapping;
}

/**
 * The functions that an app is deployed as: for those that invoke others (coordinator, restore). Event functions and
 * snapshot workers invoke nobody and are told nothing of it.
 */
export interface Deployment {
  /** The Lambda function (name or ARN) of each event function. */
  readonly functions: { readonly [functionName: string]: string };
  /** The event source mapping of each event function. */
  readonly mappings: { readonly [functionName: string]: DeployedMapping };
  /** The Lambda function that writes, checks and loads slices and parts. */
  readonly snapshot: string;
  /** How many of its invocations run at a time. */
  readonly snapshotWorkers: number;
  /** The restore function alone is told: it has the coordinator do what it has recorded. */
  readonly coordinator?: string;
}

export interface Settings {
  readonly app: AppDescription;
  /** The tables of the `dynamodb` backend. Absent: state and control live on this process's heap. */
  readonly tables?: {
    readonly control: string;
    /** By the name of the function. */
    readonly state: { readonly [functionName: string]: string };
  };
  /** `s3://bucket/prefix`, `file:///folder` or `memory:`. */
  readonly storageUrl: string;
  /** Where each source is read, by its name, as `openSource` takes it: `kinesis:STREAM`, a path of files. */
  readonly sources: { readonly [source: string]: string };
  /** What relative paths of files are relative to. @default the working folder */
  readonly sourcesFolder?: string;
  /** Coordinator and restore. */
  readonly deployment?: Deployment;
  /**
   * Coordinator and restore: the ARN of the HMAC key of KMS by which manifests are signed; what it has not signed is not
   * restored. @default - manifests are not signed
   */
  readonly signingKey?: string;
  /** What logs and metrics are named by, so that two deployments of an app are told apart. @default the app's name */
  readonly service?: string;
  /** Logs and errors show keys as they are. @default false - the first 16 hexadecimal digits of their SHA-256 */
  readonly logKeys?: boolean;
}

/**
 * The environment variable that carries {@link Settings} as JSON. Lambda allows a function's variables 4 KB in all, so
 * its `app` may be left out:
 * - event functions have their app in their code and take its description from there;
 * - for the others, a bundler puts it into their code as {@link APP_VARIABLE}.
 */
export const SETTINGS_VARIABLE = "TIDEMARK_SETTINGS";

/** The app's description as JSON, where {@link SETTINGS_VARIABLE} leaves it out; {@link bundleDefines} bakes it in. */
export const APP_VARIABLE = "TIDEMARK_APP";

/**
 * What to give esbuild as `define` for any of an app's functions: the app's description, which counts against no limit
 * there, and the word that the app has been checked, so that the bundle need not hold the checks.
 */
export function bundleDefines(app: AppDescription): { readonly [name: string]: string } {
  return {
    [`process.env.${APP_VARIABLE}`]: JSON.stringify(JSON.stringify(app)),
    TIDEMARK_CHECKED: "true",
  };
}

/**
 * @param app the app's description, for an environment that has the app's code; settings and bundle come before it
 * @throws TidemarkError `fix-configuration` when the variable is missing, no JSON, or lacks a part
 */
export function readSettings(environment: NodeJS.ProcessEnv = process.env, app?: AppDescription): Settings {
  const text = environment[SETTINGS_VARIABLE];
  if (text === undefined || text === "") {
    throw refused("is not set");
  }
  const given = parsed(SETTINGS_VARIABLE, text) as Partial<Settings> | null;
  // Spelt out, so that a bundler finds it.
  const baked = process.env.TIDEMARK_APP;
  const description = baked === undefined ? app : (parsed(APP_VARIABLE, baked) as AppDescription);
  const settings = { ...(description === undefined ? {} : { app: description }), ...given };
  const missing = (["app", "tables", "storageUrl", "sources"] as const).filter((part) => settings[part] === undefined);
  if (missing.length > 0) throw refused(`lacks ${missing.join(", ")}`);
  checkNumbers(settings as Settings);
  return settings as Settings;
}

/** Written by hand they may be anything: a number that is out of its range would be met in the middle of a checkpoint. */
function checkNumbers({ app, deployment }: Settings): void {
  const { checkpointing, deadLetters } = app;
  const numbers: readonly (readonly [string, unknown, number])[] = [
    ["app.checkpointing.intervalMs", checkpointing?.intervalMs, CHECKPOINT_INTERVAL_MS_MAX],
    ["app.checkpointing.timeoutMs", checkpointing?.timeoutMs, CHECKPOINT_TIMEOUT_MS_MAX],
    ["app.checkpointing.retained", checkpointing?.retained, RETAINED_MAX],
    ["app.deadLetters.triesMax", deadLetters?.triesMax, TRIES_MAX],
    ["app.deadLetters.maxConsecutiveDeadLetters", deadLetters?.maxConsecutiveDeadLetters, CONSECUTIVE_DEAD_LETTERS_MAX],
    ["deployment.snapshotWorkers", deployment?.snapshotWorkers, SNAPSHOT_WORKERS_MAX],
  ];
  for (const [name, given, max] of numbers) {
    if (given === undefined || (Number.isSafeInteger(given) && (given as number) >= 1 && (given as number) <= max))
      continue;
    throw refused(`has ${JSON.stringify(given)} for ${name}, which must be a whole number from 1 to ${max}`);
  }
}

function parsed(variable: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refused("is not JSON", cause, variable);
  }
}

function refused(what: string, cause?: unknown, variable = SETTINGS_VARIABLE): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The environment variable ${variable} ${what}. It must hold JSON with app, tables, storageUrl and sources, which Tidemark's constructs write: deploy the function with them.`,
    { cause },
  );
}
