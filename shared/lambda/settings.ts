/** What an environment is told about the app it belongs to: data alone, made by whoever deploys it. */
import type { AppDescription } from "../app/app-description.ts";
import { TidemarkError } from "../errors.ts";

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
}

/** The environment variable that carries {@link Settings} as JSON. */
export const SETTINGS_VARIABLE = "TIDEMARK_SETTINGS";

/** @throws TidemarkError `fix-configuration` when the variable is missing, no JSON, or lacks a part */
export function readSettings(environment: NodeJS.ProcessEnv = process.env): Settings {
  const text = environment[SETTINGS_VARIABLE];
  if (text === undefined || text === "") {
    throw refused("is not set");
  }
  let settings: Partial<Settings> | null;
  try {
    settings = JSON.parse(text) as Partial<Settings> | null;
  } catch (cause) {
    throw refused("is not JSON", cause);
  }
  const missing = (["app", "tables", "storageUrl", "sources"] as const).filter(
    (part) => settings?.[part] === undefined,
  );
  if (missing.length > 0) throw refused(`lacks ${missing.join(", ")}`);
  return settings as Settings;
}

function refused(what: string, cause?: unknown): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The environment variable ${SETTINGS_VARIABLE} ${what}. It must hold JSON with app, tables, storageUrl and sources, which Tidemark's constructs write: deploy the function with them.`,
    { cause },
  );
}
