/** The home folder of an embedded run: what survives it, and how other commands find it. One module owns its paths. */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { AppDescription } from "../shared/app/app-description.ts";
import { asError, TidemarkError } from "../shared/errors.ts";
import type { Credentials } from "./dynamodb/endpoint-url.ts";
import { keepPrivate, type Mended } from "./home-privacy.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { type LockAnswer, lockHolder, type ProcessLock, takeLock } from "./process-lock.ts";

export const DEFAULT_HOME = ".tidemark";

const SETTINGS_FORMAT_VERSION = 1;
/** The access key of the embedded DynamoDB; its secret is each home's own. */
const ACCESS_KEY_ID = "tidemark";
const SECRET_PATTERN = /^[A-Za-z0-9_-]{43}$/;

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
   * Makes the folder, or closes one that is open to other users; see `keepPrivate`.
   * @throws TidemarkError `fix-configuration` when it is not Tidemark's to close
   */
  keepPrivate(): Mended | undefined;
  /** What requests to the embedded DynamoDB are signed with; made once, for the home's owner alone. */
  credentials(): Credentials;
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
  /** Of the DynamoDB that has this very home's data open; undefined when none has. */
  liveDynamoDB(): DynamoDBAddress | undefined;
  readDynamoDBAddress(): DynamoDBAddress | undefined;
  /** Writes `dynamodb.env` as well, by which the AWS CLI finds it. */
  writeDynamoDBAddress(address: DynamoDBAddress): void;
  removeDynamoDBAddress(): void;
  readRunAddress(): RunAddress | undefined;
  writeRunAddress(address: RunAddress): void;
  removeRunAddress(): void;
}

/** Opens a home; it is made by the first run on it. */
export function openHome(folder: string = DEFAULT_HOME): Home {
  if (folder.trim() === "") {
    throw new TidemarkError(
      "fix-configuration",
      `The home is ${JSON.stringify(folder)}; it must be a folder. Give one (--home FOLDER), or leave it out for ${DEFAULT_HOME}.`,
    );
  }
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
    keepPrivate: () => keepPrivate(root),
    credentials: () => ({ accessKeyId: ACCESS_KEY_ID, secretAccessKey: secretIn(at("secret")) }),
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
    liveDynamoDB() {
      const address = this.readDynamoDBAddress();
      // A copied home has the address of the original's, which is another home's data.
      return address?.pid === lockHolder(at("dynamodb.lock"))?.pid ? address : undefined;
    },
    readDynamoDBAddress: () => readJson<DynamoDBAddress>(at("dynamodb.json"), "Remove it: it is written anew."),
    writeDynamoDBAddress(address) {
      writeWhole(at("dynamodb.env"), environmentFor(address, this.credentials()));
      writeJson(at("dynamodb.json"), address);
    },
    readRunAddress: () => readJson<RunAddress>(at("run.json"), "Stop the run and start it again: it writes it anew."),
    writeRunAddress: (address) => writeJson(at("run.json"), address),
    removeRunAddress: () => rmSync(at("run.json"), { force: true }),
    removeDynamoDBAddress() {
      rmSync(at("dynamodb.json"), { force: true });
      rmSync(at("dynamodb.env"), { force: true });
    },
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

function writeJson(file: string, content: object): void {
  writeWhole(file, `${JSON.stringify(content, null, 2)}\n`);
}

/** Whole or not at all: a reader never meets half a file. */
function writeWhole(file: string, content: string): void {
  const draft = `${file}.draft-${process.pid}`;
  // Only for the user's eyes: a run's address holds the token that lets others steer it.
  writeFileSync(draft, content, { mode: 0o600 });
  renameSync(draft, file);
}

/** The home's secret; the first process that asks makes it, and all others get the same. */
function secretIn(file: string): string {
  const draft = `${file}.draft-${randomBytes(8).toString("hex")}`;
  for (;;) {
    try {
      const secret = readFileSync(file, "utf8").trim();
      if (SECRET_PATTERN.test(secret)) return secret;
    } catch (thrown) {
      if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT")) throw thrown;
      writeFileSync(draft, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600 });
      try {
        linkSync(draft, file);
      } catch (taken) {
        if (!(taken instanceof Error && "code" in taken && taken.code === "EEXIST")) throw taken;
      } finally {
        rmSync(draft, { force: true });
      }
      continue;
    }
    throw new TidemarkError(
      "fix-configuration",
      `${file} is not a home's secret; it was altered. Stop what runs on the home and remove the file: the next run makes another.`,
    );
  }
}

/** For a shell: `. .tidemark/dynamodb.env && aws dynamodb list-tables`. */
function environmentFor({ port }: DynamoDBAddress, { accessKeyId, secretAccessKey }: Credentials): string {
  return [
    "# For the AWS CLI, while this DynamoDB runs: source this file, then aws dynamodb list-tables.",
    `export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:${port}`,
    `export AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey}`,
    "export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1",
    "",
  ].join("\n");
}
