/**
 * The S3 adapter over the wire. Always against fauxqs, which ignores conditions; whatever is conditional as well where
 * AWS_ENDPOINT_URL points at an S3 that honours them (LocalStack). `test/unit/storage/` has single answers of S3.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  paginateListObjectsV2,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import type { CheckpointStorage } from "../../shared/storage/checkpoint-storage.ts";
import { openCheckpointStorage } from "../../shared/storage/open-storage.ts";
import { storageContract } from "./storage-contract.ts";

const HELD_BYTES_MAX = 48 * 1024 * 1024;

// In a thread of its own, so that the objects it keeps do not count as memory that the adapter holds.
const FAUXQS = `
  const { parentPort } = require("node:worker_threads");
  import("fauxqs").then(async ({ startFauxqs }) => {
    const server = await startFauxqs({ port: 0, logger: false });
    parentPort.postMessage(server.port);
  });
`;

function clientOf(endpoint: string): S3Client {
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  return new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
}

async function emptyBucket(client: S3Client, Bucket: string): Promise<void> {
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) {
    const Objects = Contents.map(({ Key }) => ({ Key }));
    if (Objects.length > 0) await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  }
}

interface Endpoint {
  readonly start: () => Promise<string>;
  readonly stop: () => Promise<void>;
  readonly unsafely: boolean;
}

function contractOn(name: string, { start, stop, unsafely }: Endpoint): void {
  describe(name, () => {
    const bucket = `tidemark-${randomBytes(6).toString("hex")}`;
    let client: S3Client;

    beforeAll(async () => {
      client = clientOf(await start());
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
    });
    afterAll(async () => {
      await emptyBucket(client, bucket);
      // Refused if a failed write had left an unfinished upload behind.
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
      client.destroy();
      await stop();
    });

    const open = (prefix: string): Promise<CheckpointStorage> =>
      openCheckpointStorage(`s3://${bucket}/${prefix}`, {
        clock: systemClock,
        randomness: systemRandomness,
        s3Client: client,
        unsafelyAllowUnconditionalWrites: unsafely,
      });

    storageContract(
      `${name}: s3`,
      async () => {
        const prefix = `apps/${randomBytes(6).toString("hex")}`;
        return { storage: await open(prefix), reopened: await open(prefix), dispose: async () => {} };
      },
      { conditionalWrites: !unsafely, listsInCodeOrder: !unsafely, heldBytesMax: HELD_BYTES_MAX },
    );

    it("says which bucket is missing", async () => {
      const dependencies = { clock: systemClock, randomness: systemRandomness, s3Client: client };
      await expect(openCheckpointStorage("s3://tidemark-no-such-bucket/x", dependencies)).rejects.toMatchObject({
        kind: "fix-configuration",
        message: expect.stringMatching(/s3:\/\/tidemark-no-such-bucket\/x.*There is no such bucket/),
      });
    });

    if (unsafely) {
      it("refuses, when probed without the override, an endpoint that ignores If-None-Match", async () => {
        const dependencies = { clock: systemClock, randomness: systemRandomness, s3Client: client };
        const opening = openCheckpointStorage(`s3://${bucket}/refused`, dependencies);
        await expect(opening).rejects.toMatchObject({
          kind: "fix-configuration",
          message: expect.stringContaining("ignores If-None-Match"),
        });
        const storage = await open("refused");
        for await (const { path } of storage.list("")) expect.unreachable(`the probe left ${path}`);
      });
    }
  });
}

let fauxqs: Worker;
contractOn("fauxqs", {
  start: async () => {
    fauxqs = new Worker(FAUXQS, { eval: true });
    const [port] = (await once(fauxqs, "message")) as [number];
    return `http://127.0.0.1:${port}`;
  },
  stop: async () => {
    await fauxqs.terminate();
  },
  unsafely: true,
});

const endpoint = process.env.AWS_ENDPOINT_URL;
if (endpoint !== undefined) {
  contractOn("AWS_ENDPOINT_URL", { start: async () => endpoint, stop: async () => {}, unsafely: false });
}
