import { crc32 } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import type { Clock, Randomness } from "../../../shared/environment.ts";
import { readWhole } from "../../../shared/storage/checkpoint-storage.ts";
import { S3CheckpointStorage } from "../../../shared/storage/s3/s3-storage.ts";
import { type ScriptedAnswer, type ScriptedS3, startScriptedS3 } from "./scripted-s3-server.ts";

const OK: ScriptedAnswer = { status: 200, headers: { etag: '"one"' } };
const CONFLICT: ScriptedAnswer = { status: 409, code: "ConditionalRequestConflict" };
const FAILED: ScriptedAnswer = { status: 412, code: "PreconditionFailed" };
const BODY = Buffer.from("body");

describe("S3 checkpoint storage, answered by S3 itself", () => {
  let s3: ScriptedS3 | undefined;
  let slept: number[] = [];
  afterEach(() => s3?.stop());

  async function storageOn(answers: readonly ScriptedAnswer[], maxAttempts?: number): Promise<S3CheckpointStorage> {
    s3 = await startScriptedS3(answers, maxAttempts);
    slept = [];
    const clock: Clock = { now: () => 0, sleep: async (ms) => void slept.push(ms) };
    const randomness: Randomness = { fraction: () => 0.5, token: () => "token" };
    return new S3CheckpointStorage({
      bucket: "bucket",
      prefix: "apps/one",
      url: "s3://bucket/apps/one",
      client: s3.client,
      clock,
      randomness,
    });
  }

  it("sends a small object in one request with its length, its checksum and its condition", async () => {
    const storage = await storageOn([OK]);
    expect(await storage.createExclusively("a", BODY)).toBe("created");
    expect(s3?.seen).toMatchObject([
      {
        method: "PUT",
        url: "/bucket/apps/one/a?x-id=PutObject",
        headers: { "if-none-match": "*", "content-length": "4", "x-amz-checksum-crc32": expect.any(String) },
      },
    ]);
  });

  it("names the version it replaces as S3 gave it", async () => {
    const storage = await storageOn([OK]);
    expect(await storage.replace("a", BODY, '"one"')).toBe("replaced");
    expect(s3?.seen[0]?.headers["if-match"]).toBe('"one"');
  });

  it("says exists, or changed, when the condition failed", async () => {
    const storage = await storageOn([FAILED]);
    expect(await storage.createExclusively("a", BODY)).toBe("exists");
    expect(await storage.replace("a", BODY, '"one"')).toBe("changed");
    expect(s3?.seen.length).toBe(2);
  });

  it("says changed when the object to replace was removed", async () => {
    const storage = await storageOn([{ status: 404, code: "NoSuchKey" }]);
    expect(await storage.replace("a", BODY, '"one"')).toBe("changed");
  });

  it("asks again, with growing jittered pauses, while another write of the object is under way", async () => {
    const storage = await storageOn([CONFLICT, CONFLICT, CONFLICT, OK]);
    expect(await storage.createExclusively("a", BODY)).toBe("created");
    expect(slept).toEqual([25, 50, 100]);
    expect(s3?.seen.length).toBe(4);
  });

  it("gives up on an object whose writes conflict without end, with an error to retry", async () => {
    const storage = await storageOn([CONFLICT]);
    await expect(storage.replace("a", BODY, '"one"')).rejects.toMatchObject({ kind: "retry" });
    expect(s3?.seen.length).toBe(8);
  });

  it("says exists when the first answer was lost and the SDK asked again", async () => {
    const storage = await storageOn([{ status: 200, breaksAfterBytes: 0 }, FAILED], 3);
    expect(await storage.createExclusively("a", BODY)).toBe("exists");
    expect(s3?.seen.length).toBe(2);
  });

  const refusals: readonly (readonly [string, ScriptedAnswer, "retry" | "fix-configuration", RegExp])[] = [
    ["no bucket", { status: 404, code: "NoSuchBucket" }, "fix-configuration", /no such bucket\. Create it/],
    ["no access", { status: 403, code: "AccessDenied" }, "fix-configuration", /Allow s3:PutObject/],
    [
      "a key it may not use",
      { status: 403, code: "AccessDenied", message: "not authorized to perform: kms:GenerateDataKey" },
      "fix-configuration",
      /allow kms:GenerateDataKey and kms:Decrypt/,
    ],
    ["a disabled key", { status: 400, code: "KMS.DisabledException" }, "fix-configuration", /Enable the key/],
    [
      "another region",
      { status: 301, code: "PermanentRedirect", headers: { "x-amz-bucket-region": "us-west-2" } },
      "fix-configuration",
      /in the region us-west-2.*AWS_REGION/,
    ],
    ["an expired token", { status: 400, code: "ExpiredToken" }, "fix-configuration", /expired\. Renew them/],
    ["a wrong clock", { status: 403, code: "RequestTimeTooSkewed" }, "fix-configuration", /clock is more than 15/],
    ["no conditional writes", { status: 501, code: "NotImplemented" }, "fix-configuration", /conditional writes/],
    ["any other refusal", { status: 400, code: "InvalidRequest" }, "fix-configuration", /InvalidRequest.*status 400/],
    ["throttling", { status: 503, code: "SlowDown" }, "retry", /try again/],
    ["a failure of its own", { status: 500, code: "InternalError" }, "retry", /try again/],
    ["a broken connection", { status: 200, breaksAfterBytes: 0 }, "retry", /try again/],
  ];

  it("takes an object whose key no object can have for one that is not there, and refuses to write it", async () => {
    const storage = await storageOn([{ status: 400, code: "KeyTooLongError" }]);
    expect(await storage.read("a")).toBeUndefined();
    await expect(storage.createExclusively("a", BODY)).rejects.toMatchObject({ kind: "fix-configuration" });
  });

  it.each(refusals)("explains %s, whatever was asked", async (_, answer, kind, message) => {
    const storage = await storageOn([answer]);
    const refused = { kind, message: expect.stringMatching(message) };
    await expect(storage.createExclusively("a", BODY)).rejects.toMatchObject(refused);
    async function* body(): AsyncGenerator<Uint8Array> {
      yield BODY;
    }
    await expect(storage.write("a", body())).rejects.toMatchObject(refused);
    await expect(storage.read("a")).rejects.toMatchObject({ kind, message: expect.stringContaining("read a in") });
    await expect(storage.remove("a")).rejects.toMatchObject({ kind, message: expect.stringContaining("remove a in") });
    await expect(pathsOf(storage)).rejects.toMatchObject({ kind, message: expect.stringContaining("list a in") });
    expect(slept, "no refusal but a conflict is tried again here").toEqual([]);
  });

  async function pathsOf(storage: S3CheckpointStorage): Promise<string[]> {
    const paths: string[] = [];
    for await (const { path } of storage.list("a")) paths.push(path);
    return paths;
  }

  it("asks for a retry when nothing listens at the endpoint", async () => {
    const storage = await storageOn([OK]);
    await s3?.stop();
    const stopped = s3;
    s3 = undefined;
    expect(stopped).toBeDefined();
    await expect(storage.createExclusively("a", BODY)).rejects.toMatchObject({
      kind: "retry",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  it("asks for a retry when a body breaks off", async () => {
    const storage = await storageOn([{ status: 200, body: "half of it", breaksAfterBytes: 4 }]);
    await expect(readWhole(storage, "a")).rejects.toMatchObject({ kind: "retry" });
  });

  it("survives a connection that breaks under a body nobody reads", async () => {
    const headers = { etag: '"one"', "x-amz-checksum-crc32": "AAAAAA==" };
    const storage = await storageOn([{ status: 200, body: "half of it", headers, breaksAfterBytes: 4 }]);
    const uncaught: unknown[] = [];
    const listener = (thrown: unknown): void => void uncaught.push(thrown);
    process.on("uncaughtException", listener);
    const object = await storage.read("a");
    await new Promise((resolve) => setTimeout(resolve, 50));
    process.off("uncaughtException", listener);
    expect(uncaught).toEqual([]);
    await expect(object?.body[Symbol.asyncIterator]().next()).rejects.toMatchObject({ kind: "retry" });
  });

  it("asks for a retry when a body is not what its checksum says, and reads it when it is", async () => {
    const checksumOf = (body: string): string => {
      const sum = Buffer.alloc(4);
      sum.writeUInt32BE(crc32(body));
      return sum.toString("base64");
    };
    const headers = { etag: '"one"', "x-amz-checksum-crc32": checksumOf("whole") };
    const storage = await storageOn([
      { status: 200, body: "whale", headers },
      { status: 200, body: "whole", headers },
    ]);
    await expect(readWhole(storage, "a")).rejects.toMatchObject({ kind: "retry" });
    expect(await readWhole(storage, "a")).toMatchObject({ text: "whole", version: '"one"' });
    expect(s3?.seen[0]?.headers["x-amz-checksum-mode"]).toBe("ENABLED");
  });

  it("gives the probe's first refusal, not that of its cleaning up", async () => {
    const storage = await storageOn([OK, OK, { status: 403, code: "AccessDenied" }]);
    await expect(storage.probe()).rejects.toMatchObject({ message: expect.stringContaining("ignores If-None-Match") });
    expect(s3?.seen.map(({ method }) => method)).toEqual(["PUT", "PUT", "DELETE"]);
  });

  it("refuses, when probed, an endpoint that ignores If-Match", async () => {
    const storage = await storageOn([OK, FAILED, { ...OK, body: "first\n" }, OK, OK, { status: 204 }]);
    await expect(storage.probe()).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining("ignores If-Match"),
    });
  });

  it("tells, when probed, which permission is missing to list or to remove", async () => {
    const denied = { status: 403, code: "AccessDenied" };
    const first = { ...OK, body: "first\n" };
    const list = await storageOn([OK, FAILED, first, OK, FAILED, denied]);
    await expect(list.probe()).rejects.toMatchObject({ message: expect.stringContaining("Allow s3:ListBucket") });
    await s3?.stop();
    const listed = { status: 200, body: "<ListBucketResult></ListBucketResult>" };
    const remove = await storageOn([OK, FAILED, first, OK, FAILED, listed, denied]);
    await expect(remove.probe()).rejects.toMatchObject({ message: expect.stringContaining("Allow s3:DeleteObject") });
  });
});
