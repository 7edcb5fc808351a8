import type { S3Client } from "@aws-sdk/client-s3";
import type { Clock, Randomness } from "../../environment.ts";
import type { CheckpointStorage } from "../checkpoint-storage.ts";
import { OBJECT_PATH_BYTES_MAX, S3_KEY_BYTES_MAX } from "../object-paths.ts";
import { refuseUrl } from "../refuse-url.ts";
import { S3CheckpointStorage } from "./s3-storage.ts";

export interface S3Dependencies {
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** A client stays its maker's; what a function makes belongs to the storage, whose `close` destroys it. */
  readonly s3Client?: S3Client | (() => S3Client | Promise<S3Client>);
  /** For tests alone, on S3 emulators without conditional writes: checkpoints are NOT safe there. @default false */
  readonly unsafelyAllowUnconditionalWrites?: boolean;
}

/** What an object path may leave of a key. */
const PREFIX_BYTES_MAX = S3_KEY_BYTES_MAX - OBJECT_PATH_BYTES_MAX;

/**
 * Opens the storage of an `s3:` URL without a probe, and so without a request: for a place that is known to honour
 * conditional writes.
 * @throws TidemarkError `fix-configuration` when the URL names no bucket
 */
export async function openS3Storage(url: string, dependencies: S3Dependencies): Promise<CheckpointStorage> {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([^?#]*))?$/.exec(url);
  if (match === null) throw refuseUrl(url, "it names no bucket (lower-case letters, digits, dots and hyphens)");
  const prefix = (match[2] ?? "").replace(/\/+$/, "");
  if (prefix.split("/").some((segment) => [".", ".."].includes(segment)) || /^\/|\/\//.test(prefix)) {
    throw refuseUrl(url, "its prefix has an empty segment or one of dots");
  }
  if (Buffer.byteLength(prefix) > PREFIX_BYTES_MAX) {
    throw refuseUrl(url, `its prefix has more than ${PREFIX_BYTES_MAX} bytes, of 1,024 that S3 takes for a key`);
  }
  const { s3Client, clock, randomness } = dependencies;
  if (s3Client === undefined) throw refuseUrl(url, "there is no S3 client here to open it with");
  const ownsClient = typeof s3Client === "function";
  const client = ownsClient ? await s3Client() : s3Client;
  const unsafelyAllowUnconditionalWrites = dependencies.unsafelyAllowUnconditionalWrites === true;
  const options = { url, prefix, client, ownsClient, clock, randomness, unsafelyAllowUnconditionalWrites };
  return new S3CheckpointStorage({ bucket: match[1] as string, ...options });
}
