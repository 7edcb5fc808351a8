/**
 * Invariant: whatever sequence of requests of checkpoint storage's kind is sent, S3 in memory answers each as the S3 at
 * `AWS_ENDPOINT_URL` does. Without one there is nothing to hold it against (fauxqs ignores conditions): then its
 * contract suite is what speaks for it.
 */
import { CreateBucketCommand, DeleteBucketCommand, DeleteObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { systemRandomness } from "../../../../shared/environment.ts";
import { s3Answer } from "../../../../shared/storage/s3/explain-s3-error.ts";
import fc from "../../../support/properties.ts";
import { MemoryS3 } from "./memory-s3.ts";
import { type Known, type Request, sequences } from "./requests.ts";

type Send = (command: object) => Promise<object>;

interface Answer {
  readonly Body?: AsyncIterable<Uint8Array>;
  readonly ETag?: string;
  readonly ContentLength?: number;
  readonly UploadId?: string;
  readonly Contents?: readonly { readonly Key?: string; readonly Size?: number; readonly ETag?: string }[];
  readonly IsTruncated?: boolean;
  readonly KeyCount?: number;
  readonly NextContinuationToken?: string;
}

/** What checkpoint storage, lib-storage and the paginator can tell of an answer. */
async function outcome(send: Send, known: Known, request: Request, bucket: string): Promise<object> {
  const command = request.on(bucket, known) as { input: { Key?: string; PartNumber?: number } };
  try {
    const answer = (await send(command)) as Answer;
    remember(known, request, command.input, answer);
    const { ETag, Contents, IsTruncated, KeyCount, NextContinuationToken } = answer;
    const chunks: Uint8Array[] = [];
    for await (const chunk of answer.Body ?? []) chunks.push(chunk);
    return {
      ...{ ETag, KeyCount, IsTruncated, body: answer.Body && Buffer.concat(chunks).toString() },
      ...(answer.Body && { bytes: answer.ContentLength }),
      contents: (Contents ?? []).map(({ Key, Size, ETag: etag }) => ({ Key, Size, etag })),
      goesOn: NextContinuationToken !== undefined,
    };
  } catch (error) {
    const { name, status } = s3Answer(error);
    if (status === undefined) throw error;
    return { name, status };
  }
}

function remember(
  known: Known,
  { text }: Request,
  { Key = "", PartNumber = 0 }: { Key?: string; PartNumber?: number },
  answer: Answer,
) {
  if (text.startsWith("begin")) {
    known.upload = { Key, UploadId: answer.UploadId ?? "" };
    known.parts.length = 0;
  } else if (text.startsWith("upload part")) {
    const at = known.parts.findIndex((part) => part.PartNumber >= PartNumber);
    const same = known.parts[at]?.PartNumber === PartNumber ? 1 : 0;
    known.parts.splice(at < 0 ? known.parts.length : at, same, { PartNumber, ETag: answer.ETag ?? "" });
  } else if (answer.ETag !== undefined) {
    known.etags.set(Key, answer.ETag);
  }
}

const newKnown = (): Known => ({ etags: new Map(), upload: undefined, parts: [] });

const endpoint = process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL;

describe.runIf(endpoint !== undefined)("S3 in memory and AWS_ENDPOINT_URL", () => {
  it("answer every sequence of requests alike", { timeout: 300_000 }, async () => {
    const credentials = { accessKeyId: "test", secretAccessKey: "test" };
    const client = new S3Client({
      ...{ endpoint, region: "us-east-1", forcePathStyle: true, credentials },
      // It warns on the console of every body whose length it is not told.
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    } as object);
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const bucket = `tidemark-${systemRandomness
          .token()
          .toLowerCase()
          .replace(/[^a-z0-9]/g, "")}`;
        const memory = new MemoryS3();
        memory.createBucket(bucket);
        await client.send(new CreateBucketCommand({ Bucket: bucket }));
        const [here, there] = [newKnown(), newKnown()];
        for (const request of sequence) {
          const ours = await outcome(async (command) => memory.answer(command), here, request, bucket);
          const theirs = await outcome((command) => client.send(command as never), there, request, bucket);
          expect(ours, request.text).toEqual(theirs);
          seen.add("name" in ours ? String(ours.name) : (request.text.split(" ")[0] ?? ""));
        }
        for (const Key of memory.bucket(bucket).objects.keys()) {
          await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
        }
        await client.send(new DeleteBucketCommand({ Bucket: bucket })).catch(() => undefined);
      }),
      { numRuns: 25, ...(process.env.SEED !== undefined && { seed: Number(process.env.SEED) }) },
    );
    client.destroy();
    // Of each request and each refusal there were some: else agreement would say little.
    const wanted = ["put", "create", "replace", "get", "remove", "list", "begin", "upload", "complete", "abort"];
    const refusals = ["NoSuchKey", "PreconditionFailed", "NoSuchUpload", "EntityTooSmall"];
    expect([...wanted, ...refusals].filter((one) => !seen.has(one))).toEqual([]);
  });
});
