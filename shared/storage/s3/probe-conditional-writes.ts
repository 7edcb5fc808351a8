import { TidemarkError } from "../../errors.ts";
import { type CheckpointStorage, readWhole } from "../checkpoint-storage.ts";

function refuse(url: string, ignored: string): never {
  throw new TidemarkError(
    "fix-configuration",
    `The endpoint of the checkpoint storage ${url} ${ignored}. Tidemark decides a checkpoint's outcome by conditional writes, so a store without them could lose or mix up checkpoints. Use Amazon S3, or a store that honours If-None-Match and If-Match on PUT.`,
  );
}

/**
 * Tries what the protocol rests on with one object of its own, and removes it again. Seven requests.
 * @throws TidemarkError `fix-configuration` when the endpoint ignores a condition, or a permission is missing.
 */
export async function probeConditionalWrites(storage: CheckpointStorage, path: string): Promise<void> {
  // A first answer that was lost makes this say `exists`, so only the second one tells.
  await storage.createExclusively(path, text("first"));
  try {
    await tryConditions(storage, path);
  } catch (thrown) {
    await storage.remove(path).catch(() => undefined);
    throw thrown;
  }
  await storage.remove(path);
}

async function tryConditions(storage: CheckpointStorage, path: string): Promise<void> {
  if ((await storage.createExclusively(path, text("second"))) !== "exists") {
    refuse(storage.url, "ignores If-None-Match: it created an object a second time");
  }
  const first = await readWhole(storage, path);
  if (first === undefined) refuse(storage.url, "does not show an object right after it was written");
  await storage.replace(path, text("third"), first.version);
  if ((await storage.replace(path, text("fourth"), first.version)) !== "changed") {
    refuse(storage.url, "ignores If-Match: it replaced a version that was no longer there");
  }
  for await (const _ of storage.list(path)) break;
}

function text(content: string): Uint8Array {
  return Buffer.from(`${content}\n`);
}
