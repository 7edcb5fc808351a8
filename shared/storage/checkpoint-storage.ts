/**
 * The checkpoint storage port: durable bytes under paths (Flink's "checkpoint storage").
 *
 * Invariants every adapter keeps:
 * - An object exists whole or not at all: a crash while writing leaves nothing under its path.
 * - An object that was answered as written survives the crash of every process (for `memory:` of none).
 * - `createExclusively` is atomic: of any number of concurrent calls for a path exactly one creates it.
 * - `replace` is atomic and replaces exactly the version it names.
 *
 * Paths are relative, `/`-separated, made by `object-paths.ts` alone; an adapter never sees `..` or a leading `/`.
 */
export interface StoredObject {
  /** Begin to read it, even if only to break off: an open file or a connection may hang on it. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Names this version of the object; for {@link CheckpointStorage.replace}. */
  readonly version: string;
  readonly bytes: number;
}

export interface CheckpointStorage {
  /** The URL it was opened by, for messages and reports. */
  readonly url: string;
  /** Refuses a place that cannot keep the invariants (unwritable folder, missing bucket, conditional writes ignored). */
  probe(): Promise<void>;
  /** Writes, in bounded memory, an object whose path no other writer uses (it carries a writer's token). Overwrites. */
  write(path: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number }>;
  /** `created`, or `exists` and nothing was changed. For small objects. */
  createExclusively(path: string, body: Uint8Array): Promise<"created" | "exists">;
  /** `replaced`, or `changed`: the object is no longer the version named, and nothing was changed. For small objects. */
  replace(path: string, body: Uint8Array, version: string): Promise<"replaced" | "changed">;
  /** Undefined: there is no such object. */
  read(path: string): Promise<StoredObject | undefined>;
  /** Every object whose path starts with `prefix`, in the order of their paths. */
  list(prefix: string): AsyncIterable<{ readonly path: string; readonly bytes: number }>;
  /** Removes an object; removing what is not there is no error. */
  remove(path: string): Promise<void>;
  close(): Promise<void>;
}

/** A small object whole, for manifests, markers and dead letters. Bytes that are no UTF-8 are U+FFFD in `text`. */
export async function readWhole(
  storage: CheckpointStorage,
  path: string,
): Promise<{ readonly text: string; readonly bytes: Buffer; readonly version: string } | undefined> {
  const object = await storage.read(path);
  if (object === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of object.body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  return { text: bytes.toString("utf8"), bytes, version: object.version };
}
