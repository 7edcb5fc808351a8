/** The home folder of an embedded run: what survives it, and how other commands find it. One module owns its paths. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { AppDescription } from "../shared/app/app-description.ts";
import { asError, TidemarkError } from "../shared/errors.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { type LockAnswer, lockHolder, type ProcessLock, takeLock } from "./process-lock.ts";

export const DEFAULT_HOME = ".tidemark";

const SETTINGS_FORMAT_VERSION = 1;

export type BackendName = "dynamodb" | "heap";

/** What `run` writes down, so that the other commands need no app module to find state and checkpoints. */
export interface HomeSettings {
  readonly formatVersion: 1;
  readonly appModule?: string;
  readonly app: AppDescription;
  readonly backend: BackendName;
  readonly storageUrl: string;
  /** Where each source is read, as `openSource` takes it. */
  readonly sources: { readonly [name: string]: string };
  /** What relative sources are relative to. */
  readonly sourcesFolder: string;
  /** `embedded`, `aws`, or the endpoint's URL. */
  readonly dynamodb: string;
}

/** The home's own checkpoint storage is not spelt out: a home may be moved. */
type StoredSettings = Omit<HomeSettings, "storageUrl"> & { readonly storageUrl?: string };

/** Where a live run takes what other commands ask of it: state on its heap is in nobody else's reach. */
export interface RunAddress extends ProcessIdentity {
  readonly port: number;
  readonly token: string;
}

/** Where the embedded DynamoDB answers. */
export interface DynamoDBAddress extends ProcessIdentity {
  readonly port: number;
}

export interface Home {
  readonly folder: string;
  /** Where the embedded DynamoDB keeps its data. */
  readonly dynamodbFolder: string;
  /** Held by the DynamoDB process that has the data open. */
  readonly dynamodbLock: string;
  /** The `file:` URL of checkpoint storage where no other is given. */
  readonly defaultStorageUrl: string;
  /**
   * Only one `run` works on a home.
   * @throws TidemarkError `fix-configuration` naming the pid of the run that does; when the home cannot be written
   */
  lockRun(): ProcessLock;
  /** The live run on this home, if there is one. */
  liveRun(): ProcessIdentity | undefined;
  /** @throws TidemarkError `fix-configuration` when nothing has run here yet, or the settings are damaged */
  readSettings(): HomeSettings;
  /** For the next run, which writes them anew: undefined when nothing has run here yet, or they are damaged. */
  settingsOfLastRun(): HomeSettings | undefined;
  writeSettings(settings: HomeSettings): void;
  readDynamoDBAddress(): DynamoDBAddress | undefined;
  writeDynamoDBAddress(address: DynamoDBAddress): void;
  removeDynamoDBAddress(): void;
  readRunAddress(): RunAddress | undefined;
  writeRunAddress(address: RunAddress): void;
  removeRunAddress(): void;
}

/** Opens a home; it is made by the first run on it. */
export function openHome(folder: string = DEFAULT_HOME): Home {
  const root = path.resolve(folder);
  const at = (name: string): string => path.join(root, name);
  const runLock = at("run.lock");
  const defaultStorageUrl = pathToFileURL(at("checkpoints")).href;
  const readSettings = (): HomeSettings => {
    const settings = readJson<StoredSettings>(at("settings.json"), "Run tidemark run again: it writes it anew.");
    if (settings !== undefined) return checked(root, { storageUrl: defaultStorageUrl, ...settings });
    throw new TidemarkError(
      "fix-configuration",
      `Nothing has run on the home ${root} yet (it has no settings.json). Start with: tidemark run APP --home ${root}; or name the right home with --home.`,
    );
  };
  return {
    folder: root,
    dynamodbFolder: at("dynamodb"),
    dynamodbLock: at("dynamodb.lock"),
    defaultStorageUrl,
    lockRun() {
      const answer = lockIn(root, runLock);
      if ("release" in answer) return answer;
      throw new TidemarkError(
        "fix-configuration",
        `Another run (pid ${answer.heldBy.pid}) works on the home ${root}; a home has one run at a time. Stop that one, or give this one a home of its own: --home FOLDER.`,
      );
    },
    liveRun: () => lockHolder(runLock),
    readSettings,
    settingsOfLastRun() {
      try {
        return readSettings();
      } catch {
        return undefined;
      }
    },
    writeSettings({ storageUrl, ...settings }) {
      writeJson(at("settings.json"), storageUrl === defaultStorageUrl ? settings : { ...settings, storageUrl });
    },
    readDynamoDBAddress: () => readJson<DynamoDBAddress>(at("dynamodb.json"), "Remove it: it is written anew."),
    writeDynamoDBAddress: (address) => writeJson(at("dynamodb.json"), address),
    readRunAddress: () => readJson<RunAddress>(at("run.json"), "Stop the run and start it again: it writes it anew."),
    writeRunAddress: (address) => writeJson(at("run.json"), address),
    removeRunAddress: () => rmSync(at("run.json"), { force: true }),
    removeDynamoDBAddress: () => rmSync(at("dynamodb.json"), { force: true }),
  };
}

/** @throws TidemarkError `fix-configuration` when the home cannot be made or written */
function lockIn(root: string, runLock: string): LockAnswer {
  try {
    return takeLock(runLock);
  } catch (cause) {
    throw new TidemarkError(
      "fix-configuration",
      `The home ${root} cannot be written: ${asError(cause).message}. Give a folder that can be: --home FOLDER.`,
      { cause },
    );
  }
}

/** Every part that the commands use is there: the file may be another tool's, or a newer Tidemark's. */
function checked(root: string, settings: HomeSettings): HomeSettings {
  const { formatVersion, app, storageUrl, sources, backend }: Partial<HomeSettings> = settings;
  if (
    formatVersion === SETTINGS_FORMAT_VERSION &&
    Array.isArray(app?.functions) &&
    typeof storageUrl === "string" &&
    typeof sources === "object" &&
    (backend === "dynamodb" || backend === "heap")
  ) {
    return settings;
  }
  const what =
    typeof formatVersion === "number" && formatVersion > SETTINGS_FORMAT_VERSION
      ? `has the format version ${formatVersion}, and this Tidemark reads ${SETTINGS_FORMAT_VERSION}: use the newer one that wrote it`
      : "lacks what a run writes into it: it was altered. Run tidemark run again: it writes it anew";
  throw new TidemarkError("fix-configuration", `${path.join(root, "settings.json")} ${what}.`);
}

function readJson<Content>(file: string, wayOut: string): Content | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && /^ENO(?:ENT|TDIR)$/.test(String(thrown.code))) return undefined;
    throw thrown;
  }
  try {
    return JSON.parse(text) as Content;
  } catch (cause) {
    throw new TidemarkError("fix-configuration", `${file} is not JSON; it was altered. ${wayOut}`, { cause });
  }
}

/** Whole or not at all: a reader never meets half a file. */
function writeJson(file: string, content: object): void {
  const draft = `${file}.draft-${process.pid}`;
  // Only for the user's eyes: a run's address holds the token that lets others steer it.
  writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, file);
}
