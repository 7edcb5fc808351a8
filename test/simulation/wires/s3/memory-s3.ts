/**
 * S3 in memory: answers the commands of the SDK that checkpoint storage sends (some of them by lib-storage's `Upload`
 * and the SDK's paginator), each in one step, without HTTP.
 *
 * What it knows it does as S3 does it: conditional puts, ETags, multipart uploads with their smallest part, listings in
 * the order of the keys' bytes, page by page. What it does not know it refuses as {@link UnknownToTheWire}.
 * `differential.test.ts` holds it against LocalStack, command by command.
 */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  type AbortMultipartUploadCommandInput,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateBucketCommand,
  type CreateBucketCommandInput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  type DeleteObjectCommandInput,
  GetObjectCommand,
  type GetObjectCommandInput,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  PutObjectCommand,
  type PutObjectCommandInput,
  UploadPartCommand,
  type UploadPartCommandInput,
} from "@aws-sdk/client-s3";
import { compareText } from "../dynamodb/attribute-rules.ts";
import {
  invalidPart,
  invalidPartOrder,
  noBucket,
  noKey,
  noUpload,
  partTooSmall,
  preconditionFailed,
  UnknownToTheWire,
} from "./failures.ts";

/** What S3 may do with a request besides carrying it out whole; each as it does it for real. */
export interface S3Leeway {
  /** Objects that a page of a listing names. */
  readonly pageMax?: number;
  /** The connection breaks after so many bytes of the body were read. */
  readonly breakAfterBytes?: number;
}

interface StoredBytes {
  readonly body: Uint8Array;
  readonly etag: string;
}

interface MultipartUpload {
  readonly key: string;
  readonly parts: Map<number, StoredBytes>;
}

interface Bucket {
  readonly objects: Map<string, StoredBytes>;
  readonly uploads: Map<string, MultipartUpload>;
}

const PAGE_MAX = 1_000;
const PART_BYTES_MIN = 5 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

export class MemoryS3 {
  readonly #buckets = new Map<string, Bucket>();
  #uploads = 0;

  /**
   * The command's output.
   * @throws S3ServiceException as S3 would
   * @throws UnknownToTheWire for what this S3 does not know
   */
  answer(command: object, leeway: S3Leeway = {}): object {
    const { input } = command as { readonly input: Readonly<Record<string, unknown>> };
    const known = COMMANDS.get(command.constructor);
    if (known === undefined) throw new UnknownToTheWire(`the command ${command.constructor.name}`);
    for (const name in input) {
      if (input[name] !== undefined && !known.members.has(name)) {
        throw new UnknownToTheWire(`${name} of ${command.constructor.name}`);
      }
    }
    const metadata = { $metadata: { httpStatusCode: 200, attempts: 1, totalRetryDelay: 0 } };
    return { ...metadata, ...known.answer(this, input as never, leeway) };
  }

  bucket(name: string | undefined): Bucket {
    const bucket = this.#buckets.get(name ?? "");
    if (bucket === undefined) throw noBucket();
    return bucket;
  }

  createBucket(name: string): void {
    if (this.#buckets.has(name)) throw new UnknownToTheWire("a bucket created twice");
    this.#buckets.set(name, { objects: new Map(), uploads: new Map() });
  }

  newUploadId(): string {
    this.#uploads += 1;
    return `upload-${this.#uploads}`;
  }
}

interface KnownCommand {
  readonly members: ReadonlySet<string>;
  readonly answer: (s3: MemoryS3, input: never, leeway: S3Leeway) => object;
}

const COMMANDS = new Map<unknown, KnownCommand>();

function known<Input extends object>(
  command: abstract new (...given: never[]) => unknown,
  members: readonly (keyof Input & string)[],
  answer: (s3: MemoryS3, input: Input, leeway: S3Leeway) => object,
): void {
  COMMANDS.set(command, { members: new Set(members), answer });
}

known<CreateBucketCommandInput>(CreateBucketCommand, ["Bucket"], (s3, { Bucket }) => {
  s3.createBucket(Bucket ?? "");
  return {};
});

known<PutObjectCommandInput>(
  PutObjectCommand,
  ["Bucket", "Key", "Body", "ContentLength", "ChecksumAlgorithm", "IfMatch", "IfNoneMatch"],
  (s3, { Bucket, Key = "", Body, ContentLength, IfMatch, IfNoneMatch }) => {
    const stored = store(Body);
    if (ContentLength !== undefined && ContentLength !== stored.body.byteLength) {
      throw new UnknownToTheWire("a body of another length than announced");
    }
    if (IfNoneMatch !== undefined && IfNoneMatch !== "*") throw new UnknownToTheWire("If-None-Match of a version");
    const { objects } = s3.bucket(Bucket);
    const there = objects.get(Key);
    if (IfNoneMatch === "*" && there !== undefined) throw preconditionFailed();
    if (IfMatch !== undefined && there === undefined) throw noKey();
    if (IfMatch !== undefined && there?.etag !== IfMatch) throw preconditionFailed();
    objects.set(Key, stored);
    return { ETag: stored.etag };
  },
);

known<GetObjectCommandInput>(
  GetObjectCommand,
  ["Bucket", "Key", "ChecksumMode"],
  (s3, { Bucket, Key = "" }, { breakAfterBytes }) => {
    const stored = s3.bucket(Bucket).objects.get(Key);
    if (stored === undefined) throw noKey();
    const Body = Readable.from(chunksOf(stored.body, breakAfterBytes), { highWaterMark: 1 });
    return { Body, ETag: stored.etag, ContentLength: stored.body.byteLength };
  },
);

known<DeleteObjectCommandInput>(DeleteObjectCommand, ["Bucket", "Key"], (s3, { Bucket, Key = "" }) => {
  s3.bucket(Bucket).objects.delete(Key);
  return {};
});

/** The token is the last key of the page before, so that what is written or deleted meanwhile moves nothing. */
known<ListObjectsV2CommandInput>(
  ListObjectsV2Command,
  ["Bucket", "Prefix", "MaxKeys", "ContinuationToken"],
  (s3, { Bucket, Prefix = "", MaxKeys = PAGE_MAX, ContinuationToken }, { pageMax = PAGE_MAX }) => {
    const { objects } = s3.bucket(Bucket);
    const after = ContinuationToken === undefined ? undefined : Buffer.from(ContinuationToken, "base64url").toString();
    const keys = [...objects.keys()].filter((key) => key.startsWith(Prefix)).sort(compareText);
    const left = after === undefined ? keys : keys.filter((key) => compareText(key, after) > 0);
    const page = left.slice(0, Math.min(MaxKeys, PAGE_MAX, pageMax));
    const IsTruncated = page.length < left.length;
    const token = Buffer.from(page.at(-1) ?? "").toString("base64url");
    return {
      ...{ Name: Bucket, Prefix, MaxKeys, KeyCount: page.length, IsTruncated },
      ...(page.length > 0 && {
        Contents: page.map((Key) => {
          const { body, etag } = objects.get(Key) as StoredBytes;
          return { Key, Size: body.byteLength, ETag: etag };
        }),
      }),
      ...(IsTruncated && { NextContinuationToken: token }),
    };
  },
);

known<CreateMultipartUploadCommandInput>(
  CreateMultipartUploadCommand,
  ["Bucket", "Key", "ChecksumAlgorithm"],
  (s3, { Bucket, Key = "" }) => {
    const { uploads } = s3.bucket(Bucket);
    const UploadId = s3.newUploadId();
    uploads.set(UploadId, { key: Key, parts: new Map() });
    return { Bucket, Key, UploadId };
  },
);

known<UploadPartCommandInput>(
  UploadPartCommand,
  ["Bucket", "Key", "UploadId", "PartNumber", "Body", "ContentLength", "ChecksumAlgorithm"],
  (s3, input) => {
    const { parts } = uploadOf(s3, input);
    const stored = store(input.Body);
    parts.set(input.PartNumber ?? 0, stored);
    return { ETag: stored.etag };
  },
);

known<CompleteMultipartUploadCommandInput>(
  CompleteMultipartUploadCommand,
  // lib-storage sends the object's parameters along with every command; the SDK leaves out what this one has not.
  ["Bucket", "Key", "UploadId", "MultipartUpload", "ChecksumAlgorithm" as never],
  (s3, input) => {
    const upload = uploadOf(s3, input);
    const parts = (input.MultipartUpload?.Parts ?? []).map(({ PartNumber = 0, ETag }) => {
      const part = upload.parts.get(PartNumber);
      if (part === undefined || part.etag !== ETag) throw invalidPart();
      return { number: PartNumber, ...part };
    });
    if (parts.length === 0) throw invalidPart();
    for (const [i, part] of parts.slice(1).entries()) {
      if (part.number <= (parts[i]?.number ?? 0)) throw invalidPartOrder();
    }
    if (parts.slice(0, -1).some(({ body }) => body.byteLength < PART_BYTES_MIN)) throw partTooSmall();
    const hash = createHash("md5");
    for (const { etag } of parts) hash.update(Buffer.from(etag.slice(1, -1), "hex"));
    const etag = `"${hash.digest("hex")}-${parts.length}"`;
    const { objects, uploads } = s3.bucket(input.Bucket);
    objects.set(upload.key, { body: Buffer.concat(parts.map(({ body }) => body)), etag });
    uploads.delete(input.UploadId ?? "");
    return { Bucket: input.Bucket, Key: upload.key, ETag: etag };
  },
);

known<AbortMultipartUploadCommandInput>(AbortMultipartUploadCommand, ["Bucket", "Key", "UploadId"], (s3, input) => {
  uploadOf(s3, input);
  s3.bucket(input.Bucket).uploads.delete(input.UploadId ?? "");
  return {};
});

function uploadOf(s3: MemoryS3, place: UploadPlace): MultipartUpload {
  const upload = s3.bucket(place.Bucket).uploads.get(place.UploadId ?? "");
  if (upload === undefined || upload.key !== place.Key) throw noUpload();
  return upload;
}

type UploadPlace = Pick<AbortMultipartUploadCommandInput, "Bucket" | "Key" | "UploadId">;

/** A copy of what was sent: whoever sent it can change it without harm. Streams are read by lib-storage, not here. */
function store(body: unknown): StoredBytes {
  if (!(body instanceof Uint8Array) && typeof body !== "string") throw new UnknownToTheWire("a body that is a stream");
  // Not a Buffer, whose slices are views: every reader is given bytes of its own.
  const bytes = new Uint8Array(Buffer.from(body as Uint8Array));
  return { body: bytes, etag: `"${createHash("md5").update(bytes).digest("hex")}"` };
}

/** @param breakAfterBytes - where the connection breaks, as Node's client says it */
function* chunksOf(body: Uint8Array, breakAfterBytes = Number.POSITIVE_INFINITY): Generator<Uint8Array> {
  for (let at = 0; at < body.byteLength; at += CHUNK_BYTES) {
    const chunk = body.slice(at, Math.min(at + CHUNK_BYTES, breakAfterBytes));
    if (chunk.byteLength > 0) yield chunk;
    if (at + CHUNK_BYTES > breakAfterBytes) break;
  }
  if (breakAfterBytes !== Number.POSITIVE_INFINITY) throw Object.assign(new Error("aborted"), { code: "ECONNRESET" });
}
