import type { Condition } from "./conditional-write.ts";
import { anyOf, compare, missing, path, value } from "./conditional-write.ts";
import type { ControlAttributes, ControlStore } from "./control-store.ts";
import { STORAGE_KEY } from "./item-keys.ts";

/** Whose a control table is, as it stands there. */
export interface ControlClaim {
  readonly app: string;
  readonly id: string;
  readonly url: string;
}

/**
 * Whose a control table is. A table that only says where its checkpoints are kept, of an embedded run, is unclaimed while
 * that is the same place, and of an unknown app otherwise. One request each.
 */
export async function readControlClaim(store: ControlStore, url: string): Promise<ControlClaim | undefined> {
  const found = await store.get(STORAGE_KEY);
  if (found === undefined) return undefined;
  if (typeof found.app === "string") return found as unknown as ControlClaim;
  return found.url === url ? undefined : { app: "of an embedded run", id: String(found.url), url: String(found.url) };
}

export async function createControlClaim(store: ControlStore, claim: ControlClaim): Promise<void> {
  await write(store, claim, [missing("app"), anyOf(missing("url"), compare("url", "=", claim.url))]);
}

export async function replaceControlClaim(store: ControlStore, read: ControlClaim, claim: ControlClaim): Promise<void> {
  await write(store, claim, [compare("url", "=", read.url), anyOf(missing("id"), compare("id", "=", read.id))]);
}

async function write(store: ControlStore, claim: ControlClaim, conditions: readonly Condition[]): Promise<void> {
  const attributes: ControlAttributes = { app: claim.app, id: claim.id, url: claim.url };
  await store.update(STORAGE_KEY, {
    conditions,
    set: Object.entries(attributes).map(([name, attribute]) => [path(name), value(attribute)] as const),
  });
}
