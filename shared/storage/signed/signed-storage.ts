/**
 * Checkpoint storage whose manifests and generation records are signed: whoever can write to the bucket, and cannot use the
 * key, can make none that a restore takes.
 *
 * Invariants:
 * - What is written at the address of a manifest, of a marker or of a generation record carries a `mac` over the app, the
 *   path and the checksum of its content.
 * - What is read there has such a `mac`, or is refused. Parts need none: a manifest names their checksums.
 * - A signature says who wrote, never when: an older object of the same path, put back, still holds. The address of a
 *   checkpoint is written once and then replaced by a marker at most, so that an older one is this very checkpoint.
 *
 * Cost: one request to the signer for each such object that is written, and one for each that this process has not seen before.
 */
import { TidemarkError } from "../../errors.ts";
import { type CheckpointStorage, readWhole, type StoredObject } from "../checkpoint-storage.ts";
import { isCommitPath } from "../object-paths.ts";
import { checksumOf, formatSealed, type Seal, sealJson, takeOffSeal } from "../sealed-json.ts";

/** Makes and checks message authentication codes with a key that it alone can use. */
export interface Signer {
  /** What the key is called, for messages. */
  readonly key: string;
  /** @throws TidemarkError `retry` when the key is out of reach, `fix-configuration` when it may not be used. */
  sign(message: Uint8Array): Promise<string>;
  /** Whether {@link Signer.sign} made `mac` of the message. @throws as it does */
  verify(message: Uint8Array, mac: string): Promise<boolean>;
}

/** How many verified objects a process remembers, by path, checksum and code: some 200 bytes each. */
const REMEMBERED_MAX = 1_000;

export class SignedStorage implements CheckpointStorage {
  readonly #storage: CheckpointStorage;
  readonly #signer: Signer;
  readonly #app: string;
  readonly #verified = new Set<string>();

  constructor(storage: CheckpointStorage, options: { readonly signer: Signer; readonly app: string }) {
    this.#storage = storage;
    this.#signer = options.signer;
    this.#app = options.app;
  }

  get url(): string {
    return this.#storage.url;
  }

  probe(): Promise<void> {
    return this.#storage.probe();
  }

  write(path: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number }> {
    return this.#storage.write(path, body);
  }

  async createExclusively(path: string, body: Uint8Array): Promise<"created" | "exists"> {
    return this.#storage.createExclusively(path, await this.#signed(path, body));
  }

  async replace(path: string, body: Uint8Array, version: string): Promise<"replaced" | "changed"> {
    return this.#storage.replace(path, await this.#signed(path, body), version);
  }

  async read(path: string): Promise<StoredObject | undefined> {
    if (!isCommitPath(path)) return this.#storage.read(path);
    const found = await readWhole(this.#storage, path);
    if (found === undefined) return undefined;
    await this.#verify(path, found.text);
    const bytes = Buffer.from(found.text, "utf8");
    return { body: once(bytes), version: found.version, bytes: bytes.byteLength };
  }

  list(prefix: string): AsyncIterable<{ readonly path: string; readonly bytes: number }> {
    return this.#storage.list(prefix);
  }

  remove(path: string): Promise<void> {
    return this.#storage.remove(path);
  }

  close(): Promise<void> {
    return this.#storage.close();
  }

  async #signed(path: string, body: Uint8Array): Promise<Uint8Array> {
    if (!isCommitPath(path)) return body;
    const sealed = JSON.parse(sealJson(JSON.parse(Buffer.from(body).toString("utf8")) as object)) as Required<Seal>;
    const mac = await this.#signer.sign(this.#message(path, sealed.sha256));
    return Buffer.from(formatSealed({ ...sealed, mac }), "utf8");
  }

  async #verify(path: string, text: string): Promise<void> {
    const seal = sealOf(text);
    if (seal === undefined) throw this.#refusal(path, "it carries no signature");
    const { sha256, mac } = seal;
    const known = `${path}\n${sha256}\n${mac}`;
    if (this.#verified.has(known)) return;
    if (!(await this.#signer.verify(this.#message(path, sha256), mac))) {
      throw this.#refusal(path, "its signature was not made with that key, for this app and this path");
    }
    if (this.#verified.size >= REMEMBERED_MAX) this.#verified.clear();
    this.#verified.add(known);
  }

  #message(path: string, sha256: string): Uint8Array {
    return Buffer.from(`tidemark\n${this.#app}\n${path}\n${sha256}`, "utf8");
  }

  #refusal(path: string, why: string): TidemarkError {
    return new TidemarkError(
      "choose-another-checkpoint",
      `${path} in ${this.url} cannot be used: this deployment takes what is signed with the key ${this.#signer.key} alone, and ${why}. ` +
        "It was forged or altered, or is from before checkpoints were signed. Choose another checkpoint, or take one now.",
    );
  }
}

/** The seal of an object whose checksum holds; undefined: it has none, or another. */
function sealOf(text: string): Required<Seal> | undefined {
  let sealed: unknown;
  try {
    sealed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof sealed !== "object" || sealed === null) return undefined;
  const { members, seal } = takeOffSeal<object>(sealed);
  const { sha256, mac } = seal;
  return typeof mac === "string" && sha256 === checksumOf(members) ? { sha256, mac } : undefined;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
