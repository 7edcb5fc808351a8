import { createHash, randomBytes } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import pMap from "p-map";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CheckpointStorage, readWhole } from "../../shared/storage/checkpoint-storage.ts";

export interface StorageUnderTest {
  readonly storage: CheckpointStorage;
  /** The same place, opened once more, as another process would. */
  readonly reopened: CheckpointStorage;
  readonly dispose: () => Promise<void>;
}

export interface StorageTraits {
  /** Whether the endpoint honours conditions; fauxqs does not. */
  readonly conditionalWrites: boolean;
  /** Whether it lists in the order of characters' codes; fauxqs lists in a locale's order. */
  readonly listsInCodeOrder: boolean;
  /** What a write of 64 MB may hold at most; undefined: everything (memory). */
  readonly heldBytesMax: number | undefined;
}

const MIB = 1024 * 1024;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function* chunksOf(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield bytes(text);
}

/** `count` chunks of 1 MiB, each different, all in one buffer: what else is held, the storage holds. */
async function* mebibytes(count: number, onChunk: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  const noise = randomBytes(MIB);
  for (let n = 0; n < count; n += 1) {
    const chunk = Buffer.from(noise);
    chunk.writeUInt32BE(n);
    onChunk(chunk);
    yield chunk;
  }
}

function heldBytes(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

async function textOf(storage: CheckpointStorage, path: string): Promise<string | undefined> {
  return (await readWhole(storage, path))?.text;
}

async function versionOf(storage: CheckpointStorage, path: string): Promise<string> {
  const version = (await readWhole(storage, path))?.version;
  if (version === undefined) throw new Error(`${path} is not there`);
  return version;
}

/** The size that an object says it has. */
async function sizeOf(storage: CheckpointStorage, path: string): Promise<number | undefined> {
  const object = await storage.read(path);
  for await (const _ of object?.body ?? []) break;
  return object?.bytes;
}

async function pathsOf(storage: CheckpointStorage, prefix: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of storage.list(prefix)) paths.push(path);
  return paths;
}

/** What every checkpoint storage must do, for an adapter's test to run on a fresh place for each case. */
export function storageContract(name: string, make: () => Promise<StorageUnderTest>, traits: StorageTraits): void {
  describe(`${name} as checkpoint storage`, () => {
    let place: StorageUnderTest;
    let storage: CheckpointStorage;

    beforeEach(async () => {
      place = await make();
      storage = place.storage;
    });
    afterEach(() => place.dispose());

    it("probes a good place without leaving anything in it", async () => {
      await storage.probe();
      expect(await pathsOf(storage, "")).toEqual([]);
    });

    it("reads back what was written, and says its size", async () => {
      expect(await storage.write("chk-1/part.json", chunksOf("one ", "two ", "three"))).toEqual({ bytes: 13 });
      expect(await sizeOf(storage, "chk-1/part.json")).toBe(13);
      expect(await textOf(place.reopened, "chk-1/part.json")).toBe("one two three");
    });

    it("keeps an empty body as an object of no bytes", async () => {
      expect(await storage.write("empty", chunksOf())).toEqual({ bytes: 0 });
      expect(await sizeOf(storage, "empty")).toBe(0);
      expect(await textOf(storage, "empty")).toBe("");
    });

    it("creates an empty object exclusively", async () => {
      expect(await storage.createExclusively("empty", new Uint8Array())).toBe("created");
      expect(await textOf(storage, "empty")).toBe("");
    });

    it("overwrites when a path is written again", async () => {
      await storage.write("a", chunksOf("older and longer"));
      await storage.write("a", chunksOf("newer"));
      expect(await textOf(storage, "a")).toBe("newer");
    });

    it("reads undefined when there is no object, no folder, or only longer paths", async () => {
      await storage.write("folder/inner", chunksOf("x"));
      expect(await storage.read("missing")).toBeUndefined();
      expect(await storage.read("no/such/folder")).toBeUndefined();
      expect(await storage.read("folder/inne")).toBeUndefined();
    });

    it("gives every reader its own copy", async () => {
      await storage.createExclusively("a", bytes("abc"));
      for await (const chunk of (await storage.read("a"))?.body ?? []) chunk.fill(0);
      expect(await textOf(storage, "a")).toBe("abc");
    });

    it("keeps names with percent signs, underscores and dots as they are", async () => {
      const path = "dead-letters/f%2Eg/shard_0-1/000%3A7.v1.json";
      await storage.createExclusively(path, bytes("x"));
      expect(await pathsOf(storage, "dead-letters/f%2Eg/")).toEqual([path]);
      expect(await textOf(storage, path)).toBe("x");
    });

    it("keeps nothing when the body throws midway, and throws what the body threw", async () => {
      const failure = new Error("the scan failed");
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield* mebibytes(20, () => {});
        throw failure;
      }
      await expect(storage.write("chk-1/part", failing())).rejects.toBe(failure);
      expect(await storage.read("chk-1/part")).toBeUndefined();
      expect(await pathsOf(storage, "")).toEqual([]);
    });

    it("keeps the older object when the body that overwrites it throws", async () => {
      await storage.write("a", chunksOf("older"));
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield bytes("new");
        throw new Error("no more");
      }
      await expect(storage.write("a", failing())).rejects.toThrow("no more");
      expect(await textOf(storage, "a")).toBe("older");
    });

    it("shows nothing of an object while it is being written", async () => {
      const seen: (string | undefined)[] = [];
      async function* watching(): AsyncGenerator<Uint8Array> {
        yield* mebibytes(9, () => {});
        seen.push(await textOf(place.reopened, "a"), ...(await pathsOf(place.reopened, "")));
        yield bytes("end");
      }
      await storage.write("a", watching());
      expect(seen).toEqual([undefined]);
    });

    it("writes and reads 64 MB unchanged, in bounded memory", async () => {
      const before = heldBytes();
      let peak = 0;
      const written = createHash("sha256");
      let chunks = 0;
      const body = mebibytes(64, (chunk) => {
        written.update(chunk);
        chunks += 1;
        if (chunks % 4 === 0) peak = Math.max(peak, heldBytes() - before);
      });
      expect(await storage.write("large", body)).toEqual({ bytes: 64 * MIB });
      const object = await storage.read("large");
      const read = createHash("sha256");
      let readBytes = 0;
      let sampled = 0;
      for await (const chunk of object?.body ?? []) {
        read.update(chunk);
        readBytes += chunk.byteLength;
        if (readBytes - sampled >= 4 * MIB) {
          sampled = readBytes;
          peak = Math.max(peak, heldBytes() - before);
        }
      }
      expect(object?.bytes).toBe(64 * MIB);
      expect(read.digest("hex")).toBe(written.digest("hex"));
      if (traits.heldBytesMax !== undefined) expect(peak).toBeLessThan(traits.heldBytesMax);
    });

    it("gives up a large body in the middle without harm to the next read", async () => {
      await storage.write(
        "large",
        mebibytes(2, () => {}),
      );
      for (let n = 0; n < 60; n += 1) expect(await sizeOf(storage, "large")).toBe(2 * MIB);
      expect((await textOf(storage, "large"))?.length).toBeGreaterThan(0);
    });

    it("lists by prefix, in the order of the paths, with sizes", async () => {
      for (const path of ["chk-2/b", "chk-1/manifest.json", "chk-10/a", "chk-1/part-0", "other", "chk-1.txt"]) {
        await storage.write(path, chunksOf(path));
      }
      expect(await pathsOf(storage, "chk-1/")).toEqual(["chk-1/manifest.json", "chk-1/part-0"]);
      expect(await pathsOf(storage, "chk-1")).toEqual(["chk-1.txt", "chk-1/manifest.json", "chk-1/part-0", "chk-10/a"]);
      expect(await pathsOf(storage, "chk-1/p")).toEqual(["chk-1/part-0"]);
      expect(await pathsOf(storage, "chk-3")).toEqual([]);
      expect(await pathsOf(storage, "no/such/folder/")).toEqual([]);
      expect((await pathsOf(storage, "")).length).toBe(6);
      for await (const { path, bytes: size } of storage.list("")) expect(size).toBe(path.length);
    });

    if (traits.listsInCodeOrder) {
      it("lists upper case before lower case, as codes are ordered, and a folder where its slash stands", async () => {
        const paths = ["a", "B", "b/z", "b.json", "b-1", "b0", "b/A", "_x", "Z/1"];
        for (const path of paths) await storage.write(path, chunksOf("x"));
        expect(await pathsOf(storage, "")).toEqual([...paths].sort());
      });
    }

    it("lists more objects than one page holds, each once and in order", async () => {
      const paths = Array.from({ length: 1050 }, (_, n) => `chk-0000000001/part-${String(n).padStart(5, "0")}`);
      await pMap(paths, (path) => storage.write(path, chunksOf("x")), { concurrency: 16 });
      expect(await pathsOf(storage, "chk-0000000001/")).toEqual(paths);
    });

    it("removes an object, and again without an error", async () => {
      await storage.write("folder/a", chunksOf("x"));
      await storage.write("folder/b", chunksOf("y"));
      await storage.remove("folder/a");
      await storage.remove("folder/a");
      await storage.remove("no/such/folder/a");
      expect(await storage.read("folder/a")).toBeUndefined();
      expect(await pathsOf(storage, "")).toEqual(["folder/b"]);
    });

    it("creates again what was removed", async () => {
      await storage.createExclusively("a", bytes("first"));
      await storage.remove("a");
      expect(await storage.createExclusively("a", bytes("second"))).toBe("created");
      expect(await textOf(storage, "a")).toBe("second");
    });

    if (traits.conditionalWrites) conditionalCases();

    function conditionalCases(): void {
      it("creates exclusively once, and changes nothing the second time", async () => {
        expect(await storage.createExclusively("chk-1/manifest.json", bytes("mine"))).toBe("created");
        expect(await place.reopened.createExclusively("chk-1/manifest.json", bytes("theirs"))).toBe("exists");
        expect(await textOf(storage, "chk-1/manifest.json")).toBe("mine");
      });

      it("does not create exclusively what was written", async () => {
        await storage.write("a", chunksOf("written"));
        expect(await storage.createExclusively("a", bytes("created"))).toBe("exists");
        expect(await textOf(storage, "a")).toBe("written");
      });

      it("lets exactly one of 20 racers create an object", async () => {
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, n) =>
            (n % 2 === 0 ? storage : place.reopened).createExclusively("race", bytes(`racer ${n}`)),
          ),
        );
        expect(answers.filter((answer) => answer === "created").length).toBe(1);
        expect(await textOf(storage, "race")).toBe(`racer ${answers.indexOf("created")}`);
      });

      it("replaces the version it names", async () => {
        await storage.createExclusively("a", bytes("first"));
        const version = await versionOf(storage, "a");
        expect(await place.reopened.replace("a", bytes("second"), version)).toBe("replaced");
        expect(await textOf(storage, "a")).toBe("second");
        expect(await textOf(place.reopened, "a")).toBe("second");
      });

      it("changes nothing when the version named is no longer there", async () => {
        await storage.createExclusively("a", bytes("first"));
        const version = await versionOf(storage, "a");
        await storage.replace("a", bytes("second"), version);
        expect(await place.reopened.replace("a", bytes("third"), version)).toBe("changed");
        expect(await textOf(storage, "a")).toBe("second");
      });

      it("says that a removed object changed, and does not bring it back", async () => {
        await storage.createExclusively("a", bytes("first"));
        const version = await versionOf(storage, "a");
        await storage.remove("a");
        expect(await storage.replace("a", bytes("second"), version)).toBe("changed");
        expect(await storage.read("a")).toBeUndefined();
        expect(await pathsOf(storage, "")).toEqual([]);
      });

      it("says that an object written anew with other bytes changed", async () => {
        await storage.write("a", chunksOf("first"));
        const version = await versionOf(storage, "a");
        await storage.write("a", chunksOf("other"));
        expect(await storage.replace("a", bytes("third"), version)).toBe("changed");
        expect(await textOf(storage, "a")).toBe("other");
      });

      it("gives what was read and has since come back to its old bytes a replacement all the same", async () => {
        await storage.createExclusively("a", bytes("A"));
        await storage.replace("a", bytes("B"), await versionOf(storage, "a"));
        await storage.replace("a", bytes("A"), await versionOf(storage, "a"));
        expect(await storage.replace("a", bytes("C"), await versionOf(storage, "a"))).toBe("replaced");
        expect(await textOf(storage, "a")).toBe("C");
      });

      it("treats a replaced object like any other: one entry, its size, no second creation, writable, removable", async () => {
        await storage.createExclusively("chk-1/manifest.json", bytes("completed"));
        await storage.replace("chk-1/manifest.json", bytes("gone"), await versionOf(storage, "chk-1/manifest.json"));
        const listed: unknown[] = [];
        for await (const entry of storage.list("chk-1/")) listed.push(entry);
        expect(listed).toEqual([{ path: "chk-1/manifest.json", bytes: 4 }]);
        expect(await place.reopened.createExclusively("chk-1/manifest.json", bytes("completed"))).toBe("exists");
        await storage.write("chk-1/manifest.json", chunksOf("written"));
        expect(await textOf(place.reopened, "chk-1/manifest.json")).toBe("written");
        await storage.remove("chk-1/manifest.json");
        await storage.remove("chk-1/manifest.json");
        expect(await place.reopened.read("chk-1/manifest.json")).toBeUndefined();
        expect(await pathsOf(storage, "")).toEqual([]);
        expect(await storage.createExclusively("chk-1/manifest.json", bytes("completed"))).toBe("created");
        expect(await textOf(storage, "chk-1/manifest.json")).toBe("completed");
        expect(await pathsOf(storage, "")).toEqual(["chk-1/manifest.json"]);
      });

      it("lets exactly one of 20 racers replace a version", async () => {
        await storage.createExclusively("race", bytes("first"));
        const version = await versionOf(storage, "race");
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, n) =>
            (n % 2 === 0 ? storage : place.reopened).replace("race", bytes(`racer ${n}`), version),
          ),
        );
        expect(answers.filter((answer) => answer === "replaced").length).toBe(1);
        expect(await textOf(storage, "race")).toBe(`racer ${answers.indexOf("replaced")}`);
      });

      it("loses no increment of four writers that read, add one and replace", async () => {
        await storage.createExclusively("counter", bytes("0"));
        const writer = async (own: CheckpointStorage): Promise<void> => {
          for (let done = 0; done < 5; ) {
            const seen = await readWhole(own, "counter");
            const next = bytes(String(Number(seen?.text) + 1));
            if ((await own.replace("counter", next, seen?.version ?? "")) === "replaced") done += 1;
          }
        };
        await Promise.all([storage, place.reopened, storage, place.reopened].map(writer));
        expect(await textOf(storage, "counter")).toBe("20");
      });
    }
  });
}
