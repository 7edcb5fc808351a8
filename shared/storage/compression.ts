/**
 * How parts are compressed: passed in, since the machine's compressor runs on threads of its own, and a simulated
 * history must be decided by its seed alone.
 *
 * Invariant: neither direction ever holds the whole: what is given is taken as fast as the result is read.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";

export interface Compression {
  /** A failure of `lines` is thrown as it is. */
  compress(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array, void>;
  /** Throws where `body` does, and where `body` is not what {@link Compression.compress} made. */
  decompress(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void>;
}

export const gzip: Compression = {
  compress: (lines) => through(createGzip({ level: 6 }), lines),
  decompress: (body) => through(createGunzip(), body),
};

/** A high-water mark of one: the next piece is asked for only when the compressor took the last one. */
async function* through(
  compressor: NodeJS.ReadWriteStream & AsyncIterable<Uint8Array>,
  given: AsyncIterable<string | Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const feeding = pipeline(Readable.from(given, { highWaterMark: 1 }), compressor);
  // The reader of the compressor sees the same failure; a reader that stops early makes it fail for nobody.
  feeding.catch(() => {});
  yield* compressor;
  await feeding;
}
