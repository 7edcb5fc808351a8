/** Counts a body's bytes as a storage reads it, and keeps the body's own failure apart from the storage's. */
export class MeasuredBody implements AsyncIterable<Uint8Array> {
  readonly #body: AsyncIterable<Uint8Array>;
  #bytes = 0;
  #failure: { readonly thrown: unknown } | undefined;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.#body) {
        this.#bytes += chunk.byteLength;
        yield chunk;
      }
    } catch (thrown) {
      this.#failure = { thrown };
      throw thrown;
    }
  }

  /** Throws what the body itself threw, as it is: no storage's explanation fits it. */
  throwOwnFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }
}
