/** Whose a place in checkpoint storage is: a small object, created once, that names the app. One request a call. */
import { TidemarkError } from "../errors.ts";
import { type CheckpointStorage, readWhole } from "./checkpoint-storage.ts";
import { CLAIM_PATH } from "./object-paths.ts";

const FORMAT_VERSION = 1;

export interface StorageClaim {
  readonly app: string;
  readonly id: string;
}

/** @throws TidemarkError `fix-configuration` when the object is none of Tidemark's, or of a newer Tidemark */
export async function readStorageClaim(
  storage: CheckpointStorage,
): Promise<(StorageClaim & { readonly version: string }) | undefined> {
  const object = await readWhole(storage, CLAIM_PATH);
  if (object === undefined) return undefined;
  const { text, version } = object;
  let read: Partial<StorageClaim & { readonly formatVersion: number }> | null;
  try {
    read = JSON.parse(text);
  } catch {
    read = null;
  }
  const { formatVersion, app, id } = read ?? {};
  if (formatVersion === FORMAT_VERSION && typeof app === "string" && typeof id === "string")
    return { app, id, version };
  throw new TidemarkError(
    "fix-configuration",
    `${CLAIM_PATH} in ${storage.url} should say whose the checkpoints there are, and it is ${JSON.stringify(text.slice(0, 100))}, which this version of Tidemark cannot read. Deploy the version that wrote it, or choose another place (checkpoints.prefix).`,
  );
}

export async function createStorageClaim(storage: CheckpointStorage, claim: StorageClaim): Promise<void> {
  await storage.createExclusively(CLAIM_PATH, bytesOf(claim));
}

export async function replaceStorageClaim(
  storage: CheckpointStorage,
  version: string,
  claim: StorageClaim,
): Promise<void> {
  await storage.replace(CLAIM_PATH, bytesOf(claim), version);
}

function bytesOf({ app, id }: StorageClaim): Uint8Array {
  return Buffer.from(`${JSON.stringify({ formatVersion: FORMAT_VERSION, app, id })}\n`);
}
