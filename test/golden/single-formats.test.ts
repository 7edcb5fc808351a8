/**
 * Formats that no golden world holds, each by itself: today's code writes exactly what stands in `formats/`, and reads
 * it. Files of older versions stay beside the newest, and are read too.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openHome } from "../../local/home.ts";
import { encodePartItem, type PartItem, readPart, writePart } from "../../shared/checkpoint/part-file.ts";
import { readSweep, type SweepProgress, saveSweep } from "../../shared/checkpoint/sweep-progress.ts";
import { createControlClaim, readControlClaim } from "../../shared/control/claim-item.ts";
import { claimStorage } from "../../shared/control/claim-storage.ts";
import { path, value } from "../../shared/control/conditional-write.ts";
import type { ControlAttributes } from "../../shared/control/control-store.ts";
import { HeapControlStore } from "../../shared/control/heap/heap-control-store.ts";
import type { Hole } from "../../shared/control/hole.ts";
import { allHoles, spillHoles } from "../../shared/control/hole-items.ts";
import { holesPartition, STORAGE_KEY, sweepKey } from "../../shared/control/item-keys.ts";
import type { Split } from "../../shared/control/split.ts";
import type { AttributeMap } from "../../shared/json/attribute-value.ts";
import { readStateTableClaim, writeStateTableClaim } from "../../shared/state/dynamodb/claim-state-table.ts";
import {
  fromBeforeAttributes,
  fromItem,
  toBeforeAttributes,
  toItemWithoutBefore,
} from "../../shared/state/dynamodb/state-item-attributes.ts";
import { beforeItemGeneration, itemKey } from "../../shared/state/dynamodb/state-table.ts";
import type { StateItem } from "../../shared/state/state-item.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { createStorageClaim, readStorageClaim } from "../../shared/storage/claim-object.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { CLAIM_PATH, partPath } from "../../shared/storage/object-paths.ts";
import { access } from "../support/dynalite.ts";

const formats = join(import.meta.dirname, "formats");
const bytesOf = (file: string): Buffer => readFileSync(join(formats, file));
const jsonOf = <Content>(file: string): Content => JSON.parse(bytesOf(file).toString("utf8")) as Content;
/** `part-1.json.gz`, `part-2.json.gz`, …: oldest first. */
const versionsOf = (format: string): string[] =>
  readdirSync(formats)
    .filter((file) => file.startsWith(`${format}-`))
    .sort((a, b) => Number(/-(\d+)/.exec(a)?.[1]) - Number(/-(\d+)/.exec(b)?.[1]));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "golden-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const PART_ITEMS: readonly PartItem[] = [
  { key: "JFK", state: { flights: 3, delays: [1.5, -2], worst: null, late: true }, stateVersion: 2 },
  { key: "line\nbreak é 😀", state: "text", stateVersion: 1 },
];
const PART_ITEMS_WITH_BIGINTS: readonly PartItem[] = [
  { key: "JFK", state: { total: 0n, flights: 0, ids: [2n ** 64n, 2 ** 64] }, stateVersion: 2 },
  { key: "LAX", state: [1n, 10n ** 38n - 1n, "text"], stateVersion: 1 },
];
const PARTS: readonly (readonly [string, readonly PartItem[]])[] = [
  ["part", PART_ITEMS],
  ["bigint-part", PART_ITEMS_WITH_BIGINTS],
];
const partFiles = PARTS.flatMap(([format, items]) => versionsOf(format).map((file) => [file, items] as const));

test.each(partFiles)("a part file: %s is read", async (file, wanted) => {
  const storage = new MemoryCheckpointStorage();
  await storage.createExclusively(partPath(7, file), bytesOf(file));
  const described = {
    ...{ name: file, function: "on-time", items: wanted.length, bytes: bytesOf(file).byteLength },
    sha256: createHash("sha256").update(bytesOf(file)).digest("hex"),
  };
  const items: PartItem[] = [];
  for await (const item of readPart(storage, 7, described)) items.push(item);
  expect(items).toEqual(wanted);
});

test.each(PARTS)("a part file: today's %s is the newest, line by line", async (format, items) => {
  const storage = new MemoryCheckpointStorage();
  await writePart(
    storage,
    7,
    "p",
    (async function* () {
      for (const item of items) yield encodePartItem(item);
    })(),
  );
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await storage.read(partPath(7, "p")))?.body ?? []) chunks.push(chunk);
  const newest = versionsOf(format).at(-1) ?? "";
  expect(gunzipSync(Buffer.concat(chunks)).toString("utf8")).toBe(gunzipSync(bytesOf(newest)).toString("utf8"));
});

const OVERSIZED: StateItem = {
  ...{ key: "JFK", generation: 12, v: "aGVsbG8.3", epoch: 7, applied: { "shardId-000000000000": "0042" } },
  state: { value: { flights: 3 }, version: 2 },
  before: { value: { flights: 2 }, version: 1 },
};
const BEFORE_GENERATION = beforeItemGeneration(OVERSIZED.generation, OVERSIZED.v);

test.each(versionsOf("before-item"))("a before-image in an item of its own: %s is read", (file) => {
  const { main, before } = jsonOf<{ readonly main: AttributeMap; readonly before: AttributeMap }>(file);
  const decoded = fromItem(main);
  expect(decoded.beforeItem).toBe(before.gen?.S);
  expect({ ...decoded.item, before: fromBeforeAttributes(before) }).toEqual(OVERSIZED);
});

test("a before-image in an item of its own: today's is the newest", () => {
  expect({
    main: { ...toItemWithoutBefore(OVERSIZED), beforeItem: { S: BEFORE_GENERATION } },
    before: { ...itemKey(OVERSIZED.key, BEFORE_GENERATION), ...toBeforeAttributes(OVERSIZED.before) },
  }).toEqual(jsonOf(versionsOf("before-item").at(-1) ?? ""));
});

/** Beside each BigInt a double of the same digits. */
const WITH_BIGINTS: StateItem = {
  ...{ key: "JFK", generation: 12, v: "aGVsbG8.4", epoch: 7, applied: { "shardId-000000000000": "0042" } },
  state: { value: { total: 0n, flights: 0, ids: [2n ** 64n, 2 ** 64], all: [[1n], { at: 2n }] }, version: 2 },
  before: { value: [1n, 10n ** 38n - 1n, "text"], version: 1 },
};

test.each(versionsOf("item-with-bigints"))("a state item with BigInts: %s is read", (file) => {
  expect(fromItem(jsonOf(file))).toEqual({ item: WITH_BIGINTS, beforeItem: undefined });
});

test("a state item with BigInts: today's is the newest", () => {
  expect({ ...toItemWithoutBefore(WITH_BIGINTS), ...toBeforeAttributes(WITH_BIGINTS.before) }).toEqual(
    jsonOf(versionsOf("item-with-bigints").at(-1) ?? ""),
  );
});

const PLACE = { function: "on-time", split: "shardId-000000000000" };
const HOLES: readonly Hole[] = [
  { cause: "dead-letter", from: "0007", to: "0009", records: 3 },
  { cause: "dropped", after: "0010", to: "0012" },
  { cause: "expired", after: "0020", before: "0030" },
];

test.each(versionsOf("hole-item"))("holes in an item of their own: %s is read", async (file) => {
  const store = new HeapControlStore();
  const { holes } = jsonOf<ControlAttributes>(file);
  const key = { partition: holesPartition(PLACE.function, PLACE.split, 2), sort: "name" };
  await store.update(key, { conditions: [], set: [[path("holes"), value(holes ?? [])]] });
  const split = { gen: 2, holes: [], holeItems: ["name"] } as unknown as Split;
  expect(await allHoles(store, PLACE, split)).toEqual(HOLES);
});

test("holes in an item of their own: today's is the newest", async () => {
  const store = new HeapControlStore();
  // As many times over as no split item holds.
  const many = Array.from({ length: 1_000 }, () => HOLES).flat();
  const { items } = await spillHoles(store, PLACE, { gen: 2, holeItems: [] }, many);
  const stored = await store.get({
    partition: holesPartition(PLACE.function, PLACE.split, 2),
    sort: items[0] ?? "",
  });
  const { holes, ...more } = stored ?? {};
  expect({ holes: (holes as unknown as Hole[]).slice(0, HOLES.length), ...more }).toEqual(
    jsonOf(versionsOf("hole-item").at(-1) ?? ""),
  );
});

test.each(versionsOf("storage-claim"))("where checkpoints are kept: %s is read, and stays", async (file) => {
  const store = new HeapControlStore();
  const claim = jsonOf<{ readonly url: string }>(file);
  await store.update(STORAGE_KEY, { conditions: [], set: [[path("url"), value(claim.url)]] });
  expect(await claimStorage(store, "s3://another")).toBe(claim.url);
});

test("where checkpoints are kept: today's is the newest", async () => {
  const store = new HeapControlStore();
  await claimStorage(store, "s3://bucket/prefix");
  expect(await store.get(STORAGE_KEY)).toEqual(jsonOf(versionsOf("storage-claim").at(-1) ?? ""));
});

const CLAIM = { app: "flights", id: "aGVsbG8.4", url: "s3://bucket/prefix", function: "on-time" };

test.each(versionsOf("control-claim"))("whose a control table is: %s is read", async (file) => {
  const store = new HeapControlStore();
  const attributes = Object.entries(jsonOf<ControlAttributes>(file));
  await store.update(STORAGE_KEY, {
    conditions: [],
    set: attributes.map(([name, stored]) => [path(name), value(stored)] as const),
  });
  const { app, id, url } = CLAIM;
  expect(await readControlClaim(store, "s3://another")).toEqual({ app, id, url });
});

test("whose a control table is: today's is the newest", async () => {
  const store = new HeapControlStore();
  await createControlClaim(store, CLAIM);
  expect(await store.get(STORAGE_KEY)).toEqual(jsonOf(versionsOf("control-claim").at(-1) ?? ""));
});

test.each(versionsOf("claim-object"))("whose a place in storage is: %s is read", async (file) => {
  const storage = new MemoryCheckpointStorage();
  await storage.createExclusively(CLAIM_PATH, bytesOf(file));
  const { app, id } = CLAIM;
  expect(await readStorageClaim(storage)).toMatchObject({ app, id });
});

test("whose a place in storage is: today's is the newest", async () => {
  const storage = new MemoryCheckpointStorage();
  await createStorageClaim(storage, CLAIM);
  const { text } = (await readWhole(storage, CLAIM_PATH)) ?? {};
  expect(text).toBe(bytesOf(versionsOf("claim-object").at(-1) ?? "").toString("utf8"));
});

/** Answers every request from one item, and keeps what is written. */
function tableOf(item: AttributeMap | undefined) {
  const written: { readonly Key?: AttributeMap; readonly ExpressionAttributeValues?: AttributeMap }[] = [];
  const send = async ({ input }: { readonly input: (typeof written)[number] }) => {
    written.push(input);
    return { Item: item };
  };
  return { access: access({ send } as never), written };
}

test.each(versionsOf("state-claim"))("whose a state table is: %s is read", async (file) => {
  const { app, id, function: name } = CLAIM;
  const table = tableOf(jsonOf<AttributeMap>(file));
  expect(await readStateTableClaim(table.access, "t")).toEqual({ app, id, function: name });
});

test("whose a state table is: today's is the newest", async () => {
  const { access: to, written } = tableOf(undefined);
  await writeStateTableClaim(to, "t", CLAIM);
  const [{ Key = {}, ExpressionAttributeValues: values = {} } = {}] = written;
  const set = Object.fromEntries(Object.entries(values).map(([name, attribute]) => [name.slice(1), attribute]));
  expect({ ...Key, ...set }).toEqual(jsonOf(versionsOf("state-claim").at(-1) ?? ""));
});

const SWEPT = { function: "on-time", generation: 12 };
const SWEEP: Required<SweepProgress> = {
  slices: [{ cursor: '["JFK","0000000011"]', done: false }, { done: true }, { done: false }],
  v: "aGVsbG8.4",
};

test.each(versionsOf("sweep"))("how far older generations are removed: %s is read", async (file) => {
  const store = new HeapControlStore();
  const attributes = Object.entries(jsonOf<ControlAttributes>(file));
  await store.update(sweepKey(SWEPT.function), {
    conditions: [],
    set: attributes.map(([name, stored]) => [path(name), value(stored)] as const),
  });
  expect(await readSweep(store, SWEPT)).toMatchObject(SWEEP);
});

test("how far older generations are removed: today's is the newest", async () => {
  const store = new HeapControlStore();
  await saveSweep(store, SWEPT, { read: { slices: [] }, next: SWEEP });
  expect(await store.get(sweepKey(SWEPT.function))).toEqual(jsonOf(versionsOf("sweep").at(-1) ?? ""));
});

const SETTINGS = {
  formatVersion: 1,
  appModule: "functions/app.ts",
  app: {
    name: "flights",
    functions: [{ name: "on-time", source: "flights", stateVersion: 2, startTimeMs: 1_767_225_600_000 }],
    checkpointing: { mode: "exactly-once", intervalMs: 60_000, timeoutMs: 600_000, retained: 3 },
    deadLetters: { triesMax: 10, maxConsecutiveDeadLetters: 100 },
  },
  backend: "dynamodb",
  sources: { flights: "file:flights" },
  sourcesFolder: "/data",
  dynamodb: "embedded",
} as const;

/** A home's file, how it is written and how it is read back. */
const HOME_FILES = [
  {
    file: "settings.json",
    format: "home-settings",
    write: () => {
      const home = openHome(folder);
      home.writeSettings({ ...SETTINGS, storageUrl: home.defaultStorageUrl });
    },
    read: () => {
      const { storageUrl, ...settings } = openHome(folder).readSettings();
      expect(storageUrl).toBe(openHome(folder).defaultStorageUrl);
      return settings;
    },
    content: SETTINGS,
  },
  {
    file: "run.json",
    format: "home-run",
    write: () => openHome(folder).writeRunAddress({ pid: 4242, startedAt: "12345", port: 8001, token: "t0k3n" }),
    read: () => openHome(folder).readRunAddress(),
    content: { pid: 4242, startedAt: "12345", port: 8001, token: "t0k3n" },
  },
  {
    file: "dynamodb.json",
    format: "home-dynamodb",
    write: () => openHome(folder).writeDynamoDBAddress({ pid: 4242, startedAt: "12345", port: 8000 }),
    read: () => openHome(folder).readDynamoDBAddress(),
    content: { pid: 4242, startedAt: "12345", port: 8000 },
  },
];

test.each(HOME_FILES)("a home's $file: every version is read", ({ file, format, read, content }) => {
  expect(versionsOf(format)).not.toEqual([]);
  for (const version of versionsOf(format)) {
    writeFileSync(join(folder, file), bytesOf(version));
    expect(read()).toEqual(content);
  }
});

test.each(HOME_FILES)("a home's $file: today's is the newest", ({ file, format, write }) => {
  write();
  const newest = versionsOf(format).at(-1) ?? "";
  expect(readFileSync(join(folder, file), "utf8")).toBe(bytesOf(newest).toString("utf8"));
});
