import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { ManifestFile } from "../../../shared/checkpoint/manifest.ts";
import { encodePartItem, type PartItem, readPart, writePart } from "../../../shared/checkpoint/part-file.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { type Compression, gzip } from "../../../shared/storage/compression.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { partPath } from "../../../shared/storage/object-paths.ts";

const ITEMS: PartItem[] = [
  { key: "ATL", state: { flights: 3, worst: null, list: [1.5, "x", true] }, stateVersion: 2 },
  { key: "line\nbreak \u2028 é 😀", state: "text", stateVersion: 1 },
];

async function* lines(items: readonly PartItem[]) {
  for (const item of items) yield encodePartItem(item);
}

async function written(storage: MemoryCheckpointStorage): Promise<ManifestFile> {
  const stored = await writePart(storage, 1, "p.json.gz", lines(ITEMS));
  return { name: "p.json.gz", function: "f", items: ITEMS.length, ...stored };
}

async function read(storage: MemoryCheckpointStorage, file: ManifestFile): Promise<PartItem[]> {
  return collect(readPart(storage, 1, file));
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function bytesOf(storage: MemoryCheckpointStorage): Promise<Buffer> {
  const object = await storage.read(partPath(1, "p.json.gz"));
  return Buffer.concat(object === undefined ? [] : await collect(object.body));
}

async function* body(bytes: Uint8Array) {
  yield bytes;
}

describe("a part file", () => {
  test("is gzipped JSON lines of DynamoDB's form, and reads back as it was", async () => {
    const storage = new MemoryCheckpointStorage();
    const file = await written(storage);
    const [first] = gunzipSync(await bytesOf(storage))
      .toString("utf8")
      .split("\n");
    expect(JSON.parse(first ?? "")).toEqual({
      Item: {
        key: { S: "ATL" },
        state: {
          M: { flights: { N: "3" }, worst: { NULL: true }, list: { L: [{ N: "1.5" }, { S: "x" }, { BOOL: true }] } },
        },
        stateVersion: { N: "2" },
      },
    });
    expect(await read(storage, file)).toEqual(ITEMS);
  });

  test.each([
    ["is missing", async (s: MemoryCheckpointStorage) => s.remove(partPath(1, "p.json.gz"))],
    [
      "was cut short",
      async (s: MemoryCheckpointStorage) => s.write(partPath(1, "p.json.gz"), body((await bytesOf(s)).subarray(0, 40))),
    ],
    [
      "has other bytes",
      async (s: MemoryCheckpointStorage) => s.write(partPath(1, "p.json.gz"), lines2([ITEMS[0], ITEMS[0]])),
    ],
    [
      "has no gzip in it",
      async (s: MemoryCheckpointStorage) => s.write(partPath(1, "p.json.gz"), body(Buffer.from("{}\n"))),
    ],
  ])("that %s is refused by name", async (_how, damage) => {
    const storage = new MemoryCheckpointStorage();
    const file = await written(storage);
    await damage(storage);
    await expect(read(storage, file)).rejects.toMatchObject({
      kind: "choose-another-checkpoint",
      message: expect.stringContaining("p.json.gz"),
    });
  });

  test.each([{ items: 3 }, { bytes: 1 }, { sha256: "0".repeat(64) }])(
    "is refused when the manifest says %o",
    async (lie) => {
      const storage = new MemoryCheckpointStorage();
      const file = { ...(await written(storage)), ...lie };
      await expect(read(storage, file)).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    },
  );

  test("fails with the failure of its lines, and of its storage", async () => {
    const broken = async function* () {
      yield encodePartItem(ITEMS[0] as PartItem);
      throw new Error("no image");
    };
    await expect(writePart(new MemoryCheckpointStorage(), 1, "p", broken())).rejects.toThrow("no image");
    const full = { write: async () => Promise.reject(new Error("disk full")) } as unknown as MemoryCheckpointStorage;
    await expect(writePart(full, 1, "p", lines(ITEMS))).rejects.toThrow("disk full");
  });

  test("whose lines are no items is refused, saying after how many", async () => {
    const line = (Item: object): string => `${JSON.stringify({ Item })}\n`;
    const [key, state, stateVersion] = [{ S: "k" }, { NULL: true }, { N: "1" }];
    for (const bad of [
      line({ state, stateVersion }),
      line({ key: { N: "1" }, state, stateVersion }),
      line({ key, stateVersion }),
      line({ key, state }),
      line({ key, state, stateVersion: { S: "1" } }),
      "{\n",
      line({ key, state, stateVersion }).trimEnd(),
    ]) {
      const storage = new MemoryCheckpointStorage();
      const good = encodePartItem(ITEMS[0] as PartItem);
      const stored = await writePart(storage, 1, "p.json.gz", text(good, bad));
      const file = { name: "p.json.gz", function: "f", items: 2, ...stored };
      await expect(read(storage, file), bad).rejects.toThrow(/p\.json\.gz.*cannot be read after 1 items/);
    }
  });

  test("whose text is no UTF-8 is refused", async () => {
    const storage = new MemoryCheckpointStorage();
    const [before, after] = encodePartItem({ key: "|", state: null, stateVersion: 1 }).split("|");
    const bytes = gzipSync(Buffer.concat([Buffer.from(before ?? ""), Buffer.from([0xff]), Buffer.from(after ?? "")]));
    await storage.write(partPath(1, "p.json.gz"), body(bytes));
    const file = { name: "p.json.gz", function: "f", items: 1, bytes: bytes.byteLength, sha256: "" };
    await expect(read(storage, file)).rejects.toThrow("cannot be read after 0 items");
  });

  test("reads back as it was wherever its bytes are divided", async () => {
    const storage = new MemoryCheckpointStorage();
    const items = [{ key: "é😀".repeat(300), state: "😀é".repeat(20_000), stateVersion: 1 }, ITEMS[1] as PartItem];
    const stored = await writePart(storage, 1, "p.json.gz", lines(items));
    expect(await read(storage, { name: "p.json.gz", function: "f", items: 2, ...stored })).toEqual(items);
  });

  test("fails with the failure of its storage, and of what it was compressed by", async () => {
    const storage = new MemoryCheckpointStorage();
    const file = await written(storage);
    const failing = (error: Error): Compression => ({ ...gzip, decompress: () => throwing(error) });
    const throttled = new TidemarkError("retry", "slow down");
    await expect(collect(readPart(storage, 1, file, failing(throttled)))).rejects.toBe(throttled);
    await expect(collect(readPart(storage, 1, file, failing(new Error("no"))))).rejects.toThrow(
      "after 0 items (Error: no)",
    );
    const broken = new Error("reset");
    storage.read = async () => ({ version: "v", bytes: 1, body: throwing(broken) });
    await expect(read(storage, file)).rejects.toBe(broken);
  });

  test("of one line without an end is left after its longest possible line", async () => {
    const storage = new MemoryCheckpointStorage();
    // Some 64 KB that would be 64 MB.
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, " "));
    await storage.write(partPath(1, "p.json.gz"), body(bomb));
    let decompressed = 0;
    const counting: Compression = {
      ...gzip,
      async *decompress(compressed) {
        for await (const chunk of gzip.decompress(compressed)) {
          decompressed += chunk.byteLength;
          yield chunk;
        }
      },
    };
    const file = { name: "p.json.gz", function: "f", items: 1, bytes: bomb.byteLength, sha256: "" };
    await expect(collect(readPart(storage, 1, file, counting))).rejects.toThrow("a line has more than 16777216");
    expect(decompressed).toBeLessThan(17 * 1024 * 1024);
  });

  test("of more items or bytes than its manifest says is left at the first that is too many", async () => {
    const storage = new MemoryCheckpointStorage();
    const file = await written(storage);
    const seen: PartItem[] = [];
    const reading = async (described: ManifestFile) => {
      for await (const item of readPart(storage, 1, described)) seen.push(item);
    };
    await expect(reading({ ...file, items: 1 })).rejects.toThrow("it has more than 1 items");
    expect(seen).toEqual(ITEMS.slice(0, 1));
    await expect(reading({ ...file, bytes: file.bytes - 1 })).rejects.toThrow(`more than ${file.bytes - 1} bytes`);
    expect(seen).toHaveLength(1);
  });

  test("can be left before its end", async () => {
    const storage = new MemoryCheckpointStorage();
    const file = await written(storage);
    for await (const item of readPart(storage, 1, file)) {
      expect(item.key).toBe("ATL");
      break;
    }
  });

  test("of more than memory's share goes through in bounded memory", async () => {
    const storage = new MemoryCheckpointStorage();
    let pulled = 0;
    let ahead = 0;
    const many = async function* () {
      const page = encodePartItem({ key: "k", state: "x".repeat(1000), stateVersion: 1 }).repeat(1000);
      for (; pulled < 200; pulled += 1) yield page;
    };
    // Stores nothing but counts how far the lines run ahead of it.
    let taken = 0;
    storage.write = async (_path, chunks) => {
      for await (const chunk of chunks) {
        taken += chunk.byteLength;
        if (taken < 100) ahead = Math.max(ahead, pulled);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return { bytes: taken };
    };
    await writePart(storage, 1, "p", many());
    expect(pulled).toBe(200);
    expect(ahead).toBeLessThan(20);
  });
});

// biome-ignore lint/correctness/useYield: it fails before its first
async function* throwing(error: Error): AsyncGenerator<Uint8Array, void> {
  throw error;
}

async function* text(...parts: readonly string[]) {
  yield* parts;
}

async function* lines2(items: readonly (PartItem | undefined)[]) {
  yield gzipSync(items.map((item) => (item === undefined ? "" : encodePartItem(item))).join(""));
}
