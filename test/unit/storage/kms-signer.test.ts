import { KMSClient } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { manifestPath } from "../../../shared/storage/object-paths.ts";
import { kmsSigner } from "../../../shared/storage/signed/kms-signer.ts";
import { SignedStorage } from "../../../shared/storage/signed/signed-storage.ts";
import { type KmsApi, startKmsApi } from "../../support/kms-api.ts";

const MESSAGE = Buffer.from("message");

describe("a signer by a key of KMS", () => {
  let api: KmsApi;
  let key: string;
  beforeAll(async () => {
    api = await startKmsApi();
    key = await api.makeKey();
  });
  afterAll(() => api.close());

  it.each(["ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"])(
    "says that %s passes by itself",
    async (name) => {
      api.failures.push(name, name);
      await expect(kmsSigner(api.client, key).sign(MESSAGE)).rejects.toMatchObject({ kind: "retry" });
      await expect(kmsSigner(api.client, key).verify(MESSAGE, "AAAA")).rejects.toMatchObject({ kind: "retry" });
    },
  );

  it.each(["AccessDeniedException", "DisabledException", "NotFoundException", "InvalidKeyUsageException"])(
    "says of %s which permission and key it takes",
    async (name) => {
      api.failures.push(name, name);
      const told = (permission: string) => ({
        kind: "fix-configuration",
        message: expect.stringMatching(new RegExp(`${key}.*HMAC_256.*${permission}.*said by a test: ${name}`, "s")),
      });
      await expect(kmsSigner(api.client, key).sign(MESSAGE)).rejects.toMatchObject(told("kms:GenerateMac"));
      await expect(kmsSigner(api.client, key).verify(MESSAGE, "AAAA")).rejects.toMatchObject(told("kms:VerifyMac"));
    },
  );

  it("says that a KMS which is not there may come back", async () => {
    const credentials = { accessKeyId: "test", secretAccessKey: "test" };
    const nobody = new KMSClient({ endpoint: "http://127.0.0.1:9", region: "us-east-1", credentials, maxAttempts: 1 });
    await expect(kmsSigner(nobody, key).sign(MESSAGE)).rejects.toMatchObject({ kind: "retry" });
    nobody.destroy();
  });

  it("is asked once for an object that was read before", async () => {
    const storage = new SignedStorage(new MemoryCheckpointStorage(), { signer: kmsSigner(api.client, key), app: "a" });
    await storage.createExclusively(manifestPath(1), Buffer.from('{"checkpoint":1}'));
    const before = api.asked.get("VerifyMac") ?? 0;
    for (let read = 0; read < 3; read++) await storage.read(manifestPath(1));
    expect((api.asked.get("VerifyMac") ?? 0) - before).toBe(1);
  });
});
