/** Names of splits that are longer than a path's segment, or than an item's key: nothing about them is special. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import { listSplits } from "../../shared/control/split-steps.ts";
import {
  claimRedrive,
  type DeadLetter,
  listDeadLetters,
  readDeadLetter,
  writeDeadLetter,
} from "../../shared/dead-letter/dead-letter.ts";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { DynamoDBStateBackend } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import type { CheckpointStorage } from "../../shared/storage/checkpoint-storage.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { olderDeadLetterPath } from "../../shared/storage/object-paths.ts";
import { openCheckpointStorage } from "../../shared/storage/open-storage.ts";
import { access, newTableName, startDynalite, type TestDynamoDB } from "../support/dynalite.ts";
import { expectAllResolved, expectPromise, readManifestOf } from "../support/oracle.ts";
import { TestWorld } from "../support/test-world.ts";

let dynamodb: TestDynamoDB;
let folder: string;
beforeAll(async () => {
  dynamodb = await startDynalite();
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-long-names-"));
});
afterAll(async () => {
  await dynamodb.close();
  await rm(folder, { recursive: true });
});

let storages = 0;
const openFiles = (): Promise<CheckpointStorage> =>
  openCheckpointStorage(pathToFileURL(path.join(folder, String(storages++))).href, {
    clock: systemClock,
    randomness: systemRandomness,
  });

async function worldOnWires(): Promise<TestWorld> {
  const surroundings = access(dynamodb.client());
  const tables = { control: newTableName(), state: newTableName() };
  await createControlTable(surroundings, tables.control);
  await createStateTable(surroundings, tables.state);
  return new TestWorld({
    triesMax: 2,
    stores: {
      control: new DynamoDBControlStore({ ...surroundings, table: tables.control }),
      state: new DynamoDBStateBackend({ ...surroundings, tableOf: () => tables.state }),
      storage: await openFiles(),
    },
  });
}

describe("a split named by", () => {
  test.each([
    ["80 CJK letters", `${"日".repeat(80)}.jsonl`],
    ["a path of 4,000 bytes", `${"folder-0123456789/".repeat(220)}a.jsonl`],
    ["emoji", "😀".repeat(400)],
    ["what every object inherits", "constructor"],
    ["what sets a prototype", "__proto__"],
  ])("%s is folded, gives up a record, is checkpointed, restored and listed like any other", async (_what, split) => {
    const world = await worldOnWires();
    world.split(split, "ab!ab");
    world.split(`${split}b`, "a!");
    await world.deliverUntilDone(split, 1, 5);
    await world.deliverUntilDone(`${split}b`, 1, 2);
    // A second delivery is dropped by the position, the marks of the keys hold what was applied.
    await world.deliver(split, 1, 5);
    const letters: DeadLetter[] = [];
    for await (const letter of listDeadLetters(world.stores.storage)) letters.push(letter);
    expect(letters.map((letter) => letter.split).sort()).toEqual([split, `${split}b`].sort());
    const n = await world.checkpoint();
    const { functions } = await readManifestOf(world, n);
    expect(functions[0]?.splits.map((cut) => cut.split).sort()).toEqual([split, `${split}b`].sort());
    const listed: string[] = [];
    for await (const found of listSplits(world.stores.control, "log")) listed.push(found.split);
    expect(listed.sort()).toEqual([split, `${split}b`].sort());
    await expectAllResolved(world);
    await expectPromise(world);
  });
});

describe("a dead letter that an earlier version wrote under a long name", () => {
  const letter: DeadLetter = {
    format: "tidemark-dead-letter",
    formatVersion: 1,
    app: "shop",
    function: "count",
    split: "日".repeat(80),
    position: "000001",
    generation: 1,
    cause: "failed",
    tries: 10,
    error: "Error: m",
    at: "2026-01-31T12:00:00.000Z",
    record: "r",
  };

  async function withOlder(): Promise<CheckpointStorage> {
    const storage = new MemoryCheckpointStorage("memory:");
    await storage.createExclusively(olderDeadLetterPath(letter) ?? "", Buffer.from(JSON.stringify(letter)));
    return storage;
  }

  test("is read, and claimed, where it stands", async () => {
    const storage = await withOlder();
    expect((await readDeadLetter(storage, letter))?.letter).toEqual(letter);
    expect(await claimRedrive(storage, letter, "000000000001", async () => false)).toBe("000000000001");
    expect((await readDeadLetter(storage, letter))?.letter.redrivenAs).toBe("000000000001");
  });

  test("stays one letter, put back as it was, when its record is given up again", async () => {
    const storage = await withOlder();
    await claimRedrive(storage, letter, "000000000001", async () => false);
    await writeDeadLetter(storage, { ...letter, generation: 2 });
    const letters: DeadLetter[] = [];
    for await (const found of listDeadLetters(storage)) letters.push(found);
    expect(letters).toEqual([{ ...letter, generation: 2, redrivenAs: "000000000001" }]);
  });

  test("is not looked for where no file system could hold it", async () => {
    const storage = await openFiles();
    await writeDeadLetter(storage, letter);
    expect((await readDeadLetter(storage, letter))?.letter).toEqual(letter);
  });
});
