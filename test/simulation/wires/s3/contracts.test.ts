/** The S3 adapter keeps its port's contract on the S3 in memory, as on a real one. */
import { expect, it } from "vitest";
import { systemClock, systemRandomness } from "../../../../shared/environment.ts";
import { openCheckpointStorage } from "../../../../shared/storage/open-storage.ts";
import { storageContract } from "../../../contract/storage-contract.ts";
import { memoryClient } from "./memory-client.ts";
import { MemoryS3 } from "./memory-s3.ts";

const open = (s3: MemoryS3) =>
  openCheckpointStorage("s3://bucket/apps/one", {
    clock: systemClock,
    randomness: systemRandomness,
    s3Client: memoryClient(s3),
  });

function newS3(): MemoryS3 {
  const s3 = new MemoryS3();
  s3.createBucket("bucket");
  return s3;
}

storageContract(
  "S3 in memory",
  async () => {
    const s3 = newS3();
    return {
      storage: await open(s3),
      reopened: await open(s3),
      async dispose() {
        // Refused by a real S3, too: an upload that a failed write had left unfinished.
        expect(s3.bucket("bucket").uploads.size).toBe(0);
      },
    };
  },
  // What a write holds is held by the S3, in this very process.
  { conditionalWrites: true, listsInCodeOrder: true, heldBytesMax: undefined },
);

it("says which bucket is missing", async () => {
  await expect(open(new MemoryS3())).rejects.toMatchObject({
    kind: "fix-configuration",
    message: expect.stringContaining("There is no such bucket"),
  });
});
