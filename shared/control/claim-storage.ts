import { missing, path, value } from "./conditional-write.ts";
import type { ControlStore } from "./control-store.ts";
import { STORAGE_KEY } from "./item-keys.ts";

/**
 * Writes down, once for the life of a control table, where its checkpoints are kept. Two runs on the same tables with
 * storages of their own would each decide a checkpoint's outcome in its own place.
 *
 * Cost: one write, refused and followed by one read when it is written down already.
 * @returns what is written down: `url`, or what another run wrote before
 */
export async function claimStorage(store: ControlStore, url: string): Promise<string> {
  const answer = await store.update(STORAGE_KEY, {
    conditions: [missing("url")],
    set: [[path("url"), value(url)]],
  });
  const attributes = answer.applied ? answer.after : await store.get(STORAGE_KEY);
  return typeof attributes?.url === "string" ? attributes.url : url;
}
