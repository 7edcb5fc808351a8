/** The same restore over DynamoDB's wire, with the coordinator's own checkpoint and the batch's own replay. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { replaySplit } from "../../../shared/batch/replay-split.ts";
import { runCoordinator } from "../../../shared/checkpoint/coordinator.ts";
import { createControlTable } from "../../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../../shared/control/dynamodb/dynamodb-control-store.ts";
import { carryOnRestore } from "../../../shared/restore/carry-on.ts";
import type { ReplayInvoker } from "../../../shared/restore/replay-invoker.ts";
import { requestRestore } from "../../../shared/restore/restore.ts";
import { restoreStatus } from "../../../shared/restore/status.ts";
import { DynamoDBStateBackend } from "../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../../shared/state/dynamodb/state-table.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { access, newTableName, startDynamoDB, type TestDynamoDB } from "../../support/dynalite.ts";
import { failingStores } from "../../support/failing-stores.ts";
import { logFunction, RestoreWorld, type Stores } from "../../support/restore-world.ts";

const FOREVER = Number.POSITIVE_INFINITY;

let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startDynamoDB();
});
afterAll(() => dynamodb.close());

async function newAccount(storage = new MemoryCheckpointStorage()): Promise<Stores> {
  const surroundings = access(dynamodb.client());
  const [table, states] = [newTableName(), newTableName()];
  await createControlTable(surroundings, table);
  await createStateTable(surroundings, states);
  return {
    storage,
    control: new DynamoDBControlStore({ ...surroundings, table }),
    state: new DynamoDBStateBackend({ ...surroundings, tableOf: () => states }),
  };
}

function replayOf(world: RestoreWorld): ReplayInvoker {
  const engine = { resources: world.resources(), definition: logFunction("log"), source: world.source };
  return ({ split, generation }) => replaySplit(engine, { split, generation, deadlineMs: FOREVER, batchRecords: 2 });
}

const takeCheckpoint = (world: RestoreWorld) =>
  runCoordinator(world.resources(), { deadlineMs: world.clock.now() + 60_000, request: {} });

it("restores over the wire what the coordinator took, after a crash in the load, and then into an empty account", async () => {
  const stores = await newAccount();
  const world = new RestoreWorld({ stores });
  await world.deliver("s", 1, 6);
  await world.deliver("tt", 1, 3);
  expect(await takeCheckpoint(world)).toMatchObject({ outcome: "completed", checkpoint: 1 });
  await world.deliver("s", 7, 11);

  expect(await requestRestore(world.resources())).toMatchObject({ outcome: "started", keys: 3 });
  const dying = failingStores(stores, { at: 30, answerLost: true });
  const crashed = carryOnRestore(world.resources(dying), { deadlineMs: FOREVER, replay: replayOf(world) });
  await expect(crashed).rejects.toThrow("the process died");
  expect(await restoreStatus(world.resources())).toMatchObject({ checkpoint: 1, generation: 2 });
  expect(await carryOnRestore(world.resources(), { deadlineMs: FOREVER, replay: replayOf(world) })).toMatchObject({
    outcome: "finished",
  });
  await world.expectRunning(2);
  await world.expectPromise();
  expect((await world.splitOf("s")).position).toBe("000011");

  const empty = new RestoreWorld({
    stores: await newAccount(stores.storage as MemoryCheckpointStorage),
    source: world.source,
  });
  expect(await requestRestore(empty.resources())).toMatchObject({ checkpoint: 1, generation: 3 });
  await carryOnRestore(empty.resources(), { deadlineMs: FOREVER, replay: replayOf(empty) });
  await empty.expectRunning(3);
  await empty.deliver("s", 1, 12);
  await empty.expectPromise();
  expect(await takeCheckpoint(empty)).toMatchObject({ outcome: "completed", checkpoint: 2 });
});
