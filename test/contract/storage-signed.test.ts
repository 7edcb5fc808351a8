/**
 * Signed storage over the wire: the contract of every storage, and what only it promises. The keys are those of the KMS at
 * AWS_ENDPOINT_URL where that is set (LocalStack), else of a server that makes the same codes.
 */
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readGenerationRecord, writeGenerationRecord } from "../../shared/checkpoint/lineage.ts";
import { encodeManifest, type Manifest } from "../../shared/checkpoint/manifest.ts";
import { readManifest } from "../../shared/checkpoint/parse-manifest.ts";
import { type CheckpointStorage, readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { generationPath, manifestPath } from "../../shared/storage/object-paths.ts";
import { sealJson } from "../../shared/storage/sealed-json.ts";
import { kmsSigner } from "../../shared/storage/signed/kms-signer.ts";
import { SignedStorage } from "../../shared/storage/signed/signed-storage.ts";
import { startKmsApi } from "../support/kms-api.ts";
import { storageContract } from "./storage-contract.ts";

interface Keys {
  readonly client: KMSClient;
  makeKey(): Promise<string>;
  close(): Promise<void>;
}

async function startKeys(): Promise<Keys> {
  const endpoint = process.env.AWS_ENDPOINT_URL;
  if (endpoint === undefined) return startKmsApi();
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const client = new KMSClient({ endpoint, region: "us-east-1", credentials });
  return {
    client,
    async makeKey() {
      const made = await client.send(new CreateKeyCommand({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" }));
      return made.KeyMetadata?.KeyId ?? "";
    },
    close: async () => client.destroy(),
  };
}

let keys: Keys;
let key: string;
beforeAll(async () => {
  keys = await startKeys();
  key = await keys.makeKey();
});
afterAll(() => keys.close());

const signed = (storage: CheckpointStorage, of = { key, app: "shop" }): SignedStorage =>
  new SignedStorage(storage, { signer: kmsSigner(keys.client, of.key), app: of.app });

storageContract(
  "signed",
  async () => {
    const storage = new MemoryCheckpointStorage();
    return { storage: signed(storage), reopened: signed(storage), dispose: async () => {} };
  },
  { conditionalWrites: true, listsInCodeOrder: true, heldBytesMax: undefined },
);

const AT = "2026-01-02T03:04:05.006Z";
const PLACE = { app: "shop", n: 7 };

function manifestAt(position: string, n = PLACE.n): Manifest {
  const split = { split: "s", position, freshAt: AT, ended: false, holes: [] };
  return {
    ...{ format: "tidemark-checkpoint", formatVersion: 1, kind: "manifest", app: "shop", checkpoint: n, token: "t" },
    ...{ generation: 1, mode: "exactly-once", triggeredAt: AT, completedAt: AT, files: [] },
    functions: [{ name: "visits", stateVersion: 1, source: "visits", keys: 0, splits: [split] }],
  };
}

async function committed(storage: MemoryCheckpointStorage, n = PLACE.n): Promise<string> {
  await signed(storage).createExclusively(manifestPath(n), encodeManifest(manifestAt("002", n)));
  return (await readWhole(storage, manifestPath(n)))?.text ?? "";
}

/** Puts bytes there as somebody does who can write to the bucket, and cannot use the key. */
async function forge(storage: MemoryCheckpointStorage, path: string, text: string): Promise<void> {
  await storage.remove(path);
  await storage.createExclusively(path, Buffer.from(text));
}

const refused = (why: string) => ({
  kind: "choose-another-checkpoint",
  message: expect.stringContaining(why),
});

describe("a signed manifest", () => {
  it("is read back as it was, by whoever has the key and by those who do not ask for one", async () => {
    const storage = new MemoryCheckpointStorage();
    await committed(storage);
    expect(await readManifest(signed(storage), PLACE)).toEqual(manifestAt("002"));
    expect(await readManifest(storage, PLACE)).toEqual(manifestAt("002"));
  });

  it("that was forged without a signature is refused", async () => {
    const storage = new MemoryCheckpointStorage();
    await forge(storage, manifestPath(7), sealJson(manifestAt("009")));
    await expect(readManifest(signed(storage), PLACE)).rejects.toMatchObject(refused("it carries no signature"));
  });

  it("that was altered, and given a checksum that fits, is refused", async () => {
    const storage = new MemoryCheckpointStorage();
    const { mac } = JSON.parse(await committed(storage));
    await forge(storage, manifestPath(7), JSON.stringify({ ...JSON.parse(sealJson(manifestAt("009"))), mac }));
    await expect(readManifest(signed(storage), PLACE)).rejects.toMatchObject(refused("its signature was not made"));
  });

  it("that was altered and left with its old checksum is refused", async () => {
    const storage = new MemoryCheckpointStorage();
    await forge(storage, manifestPath(7), (await committed(storage)).replace('"002"', '"009"'));
    await expect(readManifest(signed(storage), PLACE)).rejects.toMatchObject(refused("it carries no signature"));
  });

  it("that was copied to another path is refused", async () => {
    const storage = new MemoryCheckpointStorage();
    await forge(storage, manifestPath(8), await committed(storage));
    await expect(readManifest(signed(storage), { app: "shop", n: 8 })).rejects.toMatchObject(
      refused("for this app and this path"),
    );
  });

  it("that another key or another app signed is refused", async () => {
    const storage = new MemoryCheckpointStorage();
    await committed(storage);
    for (const of of [
      { key: await keys.makeKey(), app: "shop" },
      { key, app: "other" },
    ]) {
      await expect(readManifest(signed(storage, of), PLACE)).rejects.toMatchObject(refused("was not made"));
    }
  });

  it.each(["", "{", "[]", "null", '{"mac":7}', '{"mac":""}'])("that is %j is refused", async (text) => {
    const storage = new MemoryCheckpointStorage();
    await forge(storage, manifestPath(7), text);
    await expect(readManifest(signed(storage), PLACE)).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
  });

  it("with an empty or a malformed code is refused", async () => {
    const storage = new MemoryCheckpointStorage();
    const sealed = JSON.parse(sealJson(manifestAt("002")));
    for (const mac of ["", "!", Buffer.alloc(8).toString("base64"), Buffer.alloc(32).toString("base64")]) {
      await forge(storage, manifestPath(7), JSON.stringify({ ...sealed, mac }));
      await expect(readManifest(signed(storage), PLACE), mac).rejects.toMatchObject(refused("was not made"));
    }
  });
});

it("a generation record is signed as well", async () => {
  const storage = new MemoryCheckpointStorage();
  const record = { generation: 2, restoredFrom: { generation: 1, checkpoint: 7 }, at: AT };
  await writeGenerationRecord(signed(storage), record);
  expect(await readGenerationRecord(signed(storage), 2)).toMatchObject(record);
  const altered = (await readWhole(storage, generationPath(2)))?.text.replace('"checkpoint": 7', '"checkpoint": 3');
  await forge(storage, generationPath(2), altered ?? "");
  await expect(readGenerationRecord(signed(storage), 2)).rejects.toMatchObject(refused("carries no signature"));
});

it("what is no manifest and no generation record is stored as it is", async () => {
  const storage = new MemoryCheckpointStorage();
  for (const path of ["chk-0000000007/part-0.json.gz", "dead-letters/f/s/1.json", "generations/x", "other"]) {
    await signed(storage).createExclusively(path, Buffer.from("as it is"));
    expect((await readWhole(storage, path))?.text).toBe("as it is");
  }
});
