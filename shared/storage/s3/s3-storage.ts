/**
 * Checkpoint storage in an S3 bucket.
 *
 * A condition's answer can be lost: then the SDK's own retry meets the object that the first request made, and
 * `createExclusively` says `exists` (or `replace` says `changed`) although it was this very call that did it. Callers
 * read and follow what is there, so both answers lead to the same outcome; the other way round never happens.
 */
import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  paginateListObjectsV2,
  type S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import type { Clock, Randomness } from "../../environment.ts";
import type { TidemarkError } from "../../errors.ts";
import type { CheckpointStorage, StoredObject } from "../checkpoint-storage.ts";
import { MeasuredBody } from "../measured-body.ts";
import { probePath } from "../object-paths.ts";
import { explainS3Error, s3Answer } from "./explain-s3-error.ts";
import { probeConditionalWrites } from "./probe-conditional-writes.ts";

export interface S3StorageOptions {
  readonly bucket: string;
  /** Before every object's path, without slashes at its ends; "" for the whole bucket. */
  readonly prefix: string;
  /** The URL it was opened by, for messages. */
  readonly url: string;
  readonly client: S3Client;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** @default false - `close` leaves the client to whoever made it */
  readonly ownsClient?: boolean;
  /** For tests alone, on emulators without conditional writes: checkpoints are NOT safe there. @default false */
  readonly unsafelyAllowUnconditionalWrites?: boolean;
}

/** Two parts in flight and one being filled: about 32 MB a write, and objects up to 80 GB. */
const PART_BYTES = 8 * 1024 * 1024;
const PARTS_IN_FLIGHT = 2;

const CONFLICT_TRIES_MAX = 8;
const CONFLICT_BACKOFF_MS = 50;
const CONFLICT_BACKOFF_MS_MAX = 5_000;

const WRITING = "s3:PutObject (and s3:AbortMultipartUpload)";
const READING = "s3:GetObject and s3:ListBucket";

/**
 * Checkpoint storage in an S3 bucket, or any store that speaks S3 and honours conditional writes. Durable once answered.
 * A write is 1 request up to 8 MB, else 2 and one for each 8 MB; a process that dies in it leaves parts that nobody
 * sees but that cost storage: let a lifecycle rule abort incomplete multipart uploads after a day.
 * @throws TidemarkError `retry` when the SDK's own retries (of the client given) ran out; `fix-configuration` when the
 *   bucket, its region, its key or a permission is at fault.
 */
export class S3CheckpointStorage implements CheckpointStorage {
  readonly url: string;
  readonly #options: S3StorageOptions;

  constructor(options: S3StorageOptions) {
    this.url = options.url;
    this.#options = options;
  }

  async probe(): Promise<void> {
    // A branch, not an early return: bundlers leave out what only a branch that is never taken uses.
    if (typeof TIDEMARK_CHECKED === "undefined") {
      const path = probePath(this.#options.randomness.token());
      if (this.#options.unsafelyAllowUnconditionalWrites !== true) return probeConditionalWrites(this, path);
      await this.createExclusively(path, Buffer.from("unsafe\n"));
      await this.remove(path);
    }
  }

  async write(path: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number }> {
    const measured = new MeasuredBody(body);
    const upload = new Upload({
      client: this.#options.client,
      partSize: PART_BYTES,
      queueSize: PARTS_IN_FLIGHT,
      // One chunk ahead: the bound on memory is the parts', whatever size the body's chunks have.
      params: { ...this.#place(path), ChecksumAlgorithm: "CRC32", Body: Readable.from(measured, { highWaterMark: 1 }) },
    });
    try {
      await upload.done();
    } catch (thrown) {
      measured.throwOwnFailure();
      throw this.#explain(thrown, "write", WRITING, path);
    }
    return { bytes: measured.bytes };
  }

  async createExclusively(path: string, body: Uint8Array): Promise<"created" | "exists"> {
    const done = await this.#putIf({ ...this.#place(path), Body: body, IfNoneMatch: "*" }, "create", path);
    return done ? "created" : "exists";
  }

  async replace(path: string, body: Uint8Array, version: string): Promise<"replaced" | "changed"> {
    const done = await this.#putIf({ ...this.#place(path), Body: body, IfMatch: version }, "replace", path);
    return done ? "replaced" : "changed";
  }

  /** One request. Holds a connection until the body was read to the end or given up. */
  async read(path: string): Promise<StoredObject | undefined> {
    try {
      const command = new GetObjectCommand({ ...this.#place(path), ChecksumMode: "ENABLED" });
      const { Body, ETag, ContentLength } = await this.#options.client.send(command);
      const stream = Body as Readable;
      // A connection may break before anybody reads: then the reader gets the error, and if there is none, nobody does.
      stream.on("error", () => {});
      return { body: this.#explained(stream, path), version: ETag ?? "", bytes: ContentLength ?? 0 };
    } catch (thrown) {
      // What has a key that no object can have is not there either.
      if (/^(NoSuchKey|KeyTooLongError)$/.test(s3Answer(thrown).name)) return undefined;
      throw this.#explain(thrown, "read", READING, path);
    }
  }

  /** One request for each 1000 objects. */
  async *list(prefix: string): AsyncGenerator<{ readonly path: string; readonly bytes: number }> {
    const { client, bucket } = this.#options;
    const root = this.#key("");
    try {
      for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: root + prefix })) {
        for (const { Key, Size } of page.Contents ?? []) {
          if (Key !== undefined) yield { path: Key.slice(root.length), bytes: Size ?? 0 };
        }
      }
    } catch (thrown) {
      throw this.#explain(thrown, "list", "s3:ListBucket", prefix);
    }
  }

  async remove(path: string): Promise<void> {
    try {
      await this.#options.client.send(new DeleteObjectCommand(this.#place(path)));
    } catch (thrown) {
      throw this.#explain(thrown, "remove", "s3:DeleteObject", path);
    }
  }

  async close(): Promise<void> {
    if (this.#options.ownsClient === true) this.#options.client.destroy();
  }

  /** Whether the condition held. S3 answers 409 when another write of the object is under way: then nobody knows yet. */
  async #putIf(
    input: PutObjectCommandInput & { readonly Body: Uint8Array },
    action: string,
    path: string,
  ): Promise<boolean> {
    const { client, clock, randomness } = this.#options;
    const command = { ...input, ContentLength: input.Body.byteLength, ChecksumAlgorithm: "CRC32" as const };
    for (let tries = 1; ; tries += 1) {
      try {
        await client.send(new PutObjectCommand(command));
        return true;
      } catch (thrown) {
        const { name, status } = s3Answer(thrown);
        if (status === 412) return false;
        // If-Match on an object that was removed.
        if (status === 404 && name !== "NoSuchBucket" && input.IfMatch !== undefined) return false;
        if (status !== 409 || tries === CONFLICT_TRIES_MAX) throw this.#explain(thrown, action, WRITING, path);
      }
      const backoffMs = Math.min(CONFLICT_BACKOFF_MS_MAX, CONFLICT_BACKOFF_MS * 2 ** (tries - 1));
      await clock.sleep(randomness.fraction() * backoffMs);
    }
  }

  #key(path: string): string {
    return this.#options.prefix === "" ? path : `${this.#options.prefix}/${path}`;
  }

  #place(path: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#key(path) };
  }

  async *#explained(body: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (thrown) {
      throw this.#explain(thrown, "read", READING, path);
    }
  }

  #explain(thrown: unknown, action: string, permissions: string, path: string): TidemarkError {
    return explainS3Error(thrown, { action, permissions, url: this.url, path });
  }
}
