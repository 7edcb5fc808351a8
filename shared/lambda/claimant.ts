/** What a deployed function claims, or checks the claims of: what its settings name. */
import type { Claim, Claimant, ClaimPlace } from "../app/claim.ts";
import { type ControlClaim, createControlClaim, readControlClaim, replaceControlClaim } from "../control/claim-item.ts";
import type { ControlStore } from "../control/control-store.ts";
import type { DynamoDBAccess } from "../dynamodb/dynamodb-access.ts";
import type { Settings } from "../runtime/settings.ts";
import {
  readStateTableClaim,
  type StateTableClaim,
  writeStateTableClaim,
} from "../state/dynamodb/claim-state-table.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { createStorageClaim, readStorageClaim, replaceStorageClaim } from "../storage/claim-object.ts";

export function claimantOf(
  { app, tables, storageUrl }: Settings,
  access: DynamoDBAccess,
  stores: { readonly control: ControlStore; readonly storage: CheckpointStorage },
): Claimant {
  const { control: controlTable = "", state = {} } = tables ?? {};
  return {
    app: app.name,
    url: storageUrl,
    control: controlPlace(stores.control, controlTable, storageUrl),
    storage: storagePlace(stores.storage),
    states: Object.fromEntries(Object.entries(state).map(([name, table]) => [name, statePlace(access, table)])),
  };
}

function controlPlace(store: ControlStore, table: string, url: string): ClaimPlace {
  const full = (claim: Claim): ControlClaim => ({ app: claim.app, id: claim.id, url: claim.url ?? url });
  return {
    name: `the control table ${table}`,
    read: () => readControlClaim(store, url),
    create: (claim) => createControlClaim(store, full(claim)),
    replace: (read, claim) => replaceControlClaim(store, full(read), full(claim)),
  };
}

function storagePlace(storage: CheckpointStorage): ClaimPlace {
  return {
    name: `the place ${storage.url}`,
    async read() {
      const found = await readStorageClaim(storage);
      return found && { app: found.app, id: found.id };
    },
    create: (claim) => createStorageClaim(storage, claim),
    async replace(read, claim) {
      const now = await readStorageClaim(storage);
      if (now?.id === read.id && now.app === read.app) await replaceStorageClaim(storage, now.version, claim);
    },
  };
}

function statePlace(access: DynamoDBAccess, table: string): ClaimPlace {
  const full = (claim: Claim): StateTableClaim => ({ app: claim.app, id: claim.id, function: claim.function ?? "" });
  return {
    name: `the state table ${table}`,
    read: () => readStateTableClaim(access, table),
    create: (claim) => writeStateTableClaim(access, table, full(claim)),
    replace: (read, claim) => writeStateTableClaim(access, table, full(claim), read.id),
  };
}
