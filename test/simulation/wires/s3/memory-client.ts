import { S3Client } from "@aws-sdk/client-s3";
import type { MemoryS3 } from "./memory-s3.ts";

/**
 * The SDK's paginator wants an instance of its client, and lib-storage that client's configuration; neither touches the
 * network. One real client is made, as making it takes a while, and every other stands on it.
 */
const real = new S3Client({
  endpoint: "http://s3.invalid",
  region: "us-east-1",
  forcePathStyle: true,
  credentials: { accessKeyId: "memory", secretAccessKey: "memory" },
});

/** A client whose commands `send` answers. */
export function clientOf(send: (command: object) => Promise<object>): S3Client {
  return Object.create(real, { send: { value: send }, destroy: { value: () => {} } }) as S3Client;
}

/** Every answer comes later, as from a real one. */
export function memoryClient(s3: MemoryS3): S3Client {
  return clientOf(async (command) => {
    await null;
    return s3.answer(command);
  });
}
