/**
 * The bytes of a file that is open, as its lines count them: as they are, or unpacked.
 *
 * Invariant: unpacked bytes are read onwards; only what was read just before may be read again.
 */
import type { FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream";
import { createGunzip, type Gunzip } from "node:zlib";
import { describeThrown, invariant } from "../../errors.ts";
import { unreadable } from "./unreadable.ts";

/** How far behind the furthest read byte may be read again. */
export const LOOK_BEHIND_BYTES = 64 * 1024;
const CHUNK_BYTES = 128 * 1024;

export interface FileBytes {
  /** Reads into `buffer` from `at` on, at most `length` bytes. @returns how many; 0 at the end of what there is now */
  read(buffer: Buffer, at: number, length: number, offset: number): Promise<number>;
  /** How many bytes there are; known once a read came to the end. */
  readonly size: number;
  close(): void;
}

export function plainBytes(handle: FileHandle, size: number): FileBytes {
  return {
    read: async (buffer, at, length, offset) => (await handle.read(buffer, at, length, offset)).bytesRead,
    size,
    close() {},
  };
}

/** A gzip file's content, of all its members, a chunk at a time: whatever it grows to, no more than that is in memory. */
export class GzipBytes implements FileBytes {
  readonly #handle: FileHandle;
  readonly #file: string;
  /** Bytes that were read of the file as it is stored. */
  #packedRead = 0;
  readonly #gunzip: Gunzip;
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  /** Where the chunk begins. */
  #offset = 0;
  #behind: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(handle: FileHandle, file: string) {
    this.#handle = handle;
    this.#file = file;
    this.#gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
    // The iterator throws what the pipeline ends with. A stream of the handle would close it.
    pipeline(this.#packed(), this.#gunzip, () => {});
    this.#chunks = this.#gunzip[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  get size(): number {
    return this.#offset + this.#chunk.length;
  }

  async read(buffer: Buffer, at: number, length: number, offset: number): Promise<number> {
    if (offset < this.#offset) {
      const from = this.#behind.length - (this.#offset - offset);
      invariant(from >= 0, "unpacked bytes are read onwards");
      return this.#behind.copy(buffer, at, from, from + length);
    }
    while (offset >= this.#offset + this.#chunk.length) if (!(await this.#next())) return 0;
    const from = offset - this.#offset;
    return this.#chunk.copy(buffer, at, from, from + length);
  }

  close(): void {
    this.#gunzip.destroy();
  }

  async *#packed(): AsyncGenerator<Buffer> {
    for (;;) {
      const { buffer, bytesRead } = await this.#handle.read(
        Buffer.allocUnsafe(CHUNK_BYTES),
        0,
        CHUNK_BYTES,
        this.#packedRead,
      );
      if (bytesRead === 0) return;
      this.#packedRead += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async #next(): Promise<boolean> {
    if (this.#ended) return false;
    let next: IteratorResult<Buffer>;
    try {
      next = await this.#chunks.next();
    } catch (thrown) {
      throw unreadable(this.#file, this.#broken(thrown));
    }
    if (next.done === true) {
      this.#ended = true;
      await this.#refuseMore(this.#gunzip.bytesWritten);
      return false;
    }
    const behind = this.#chunk.length < LOOK_BEHIND_BYTES ? Buffer.concat([this.#behind, this.#chunk]) : this.#chunk;
    this.#behind = behind.subarray(-CHUNK_BYTES);
    this.#offset += this.#chunk.length;
    this.#chunk = next.value;
    return true;
  }

  /** Zeros behind the data are padding, as for gzip itself. */
  async #refuseMore(end: number): Promise<void> {
    const buffer = Buffer.alloc(LOOK_BEHIND_BYTES);
    for (let offset = end; ; ) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, offset);
      if (bytesRead === 0) return;
      if (buffer.subarray(0, bytesRead).some((byte) => byte !== 0)) {
        throw unreadable(this.#file, `its gzip data ends at byte ${end}, and bytes follow that are no gzip data`);
      }
      offset += bytesRead;
    }
  }

  #broken(thrown: unknown): string {
    const { code } = thrown as { readonly code?: unknown };
    if (code === "Z_BUF_ERROR") {
      return `its gzip data breaks off at byte ${this.#packedRead}: it was cut, or is still being written`;
    }
    return `its gzip data is broken before byte ${this.#packedRead}, or bytes follow it that are no gzip data (${describeThrown(thrown)})`;
  }
}
