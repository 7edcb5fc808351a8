import type { CheckpointStorage, StoredObject } from "../checkpoint-storage.ts";

interface KeptObject {
  readonly body: Uint8Array;
  readonly version: string;
}

/**
 * Checkpoint storage in this process's memory: for tests and for trying things out. It ends with the process, and
 * holds every object whole, so it is not for state that is larger than memory.
 */
export class MemoryCheckpointStorage implements CheckpointStorage {
  readonly url: string;
  readonly #objects = new Map<string, KeptObject>();
  #versions = 0;

  constructor(url = "memory:") {
    this.url = url;
  }

  async probe(): Promise<void> {}

  async write(path: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number }> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(new Uint8Array(chunk));
    const whole = Buffer.concat(chunks);
    this.#keep(path, whole);
    return { bytes: whole.byteLength };
  }

  async createExclusively(path: string, body: Uint8Array): Promise<"created" | "exists"> {
    if (this.#objects.has(path)) return "exists";
    this.#keep(path, new Uint8Array(body));
    return "created";
  }

  async replace(path: string, body: Uint8Array, version: string): Promise<"replaced" | "changed"> {
    if (this.#objects.get(path)?.version !== version) return "changed";
    this.#keep(path, new Uint8Array(body));
    return "replaced";
  }

  async read(path: string): Promise<StoredObject | undefined> {
    const object = this.#objects.get(path);
    if (object === undefined) return undefined;
    return { body: copyOf(object.body), version: object.version, bytes: object.body.byteLength };
  }

  async *list(prefix: string): AsyncGenerator<{ readonly path: string; readonly bytes: number }> {
    const paths = [...this.#objects.keys()].filter((path) => path.startsWith(prefix)).sort();
    for (const path of paths) {
      const object = this.#objects.get(path);
      if (object !== undefined) yield { path, bytes: object.body.byteLength };
    }
  }

  async remove(path: string): Promise<void> {
    this.#objects.delete(path);
  }

  async close(): Promise<void> {}

  #keep(path: string, body: Uint8Array): void {
    this.#versions += 1;
    this.#objects.set(path, { body, version: String(this.#versions) });
  }
}

/** A reader may change the bytes it was given; the object must not change with them. */
async function* copyOf(body: Uint8Array): AsyncGenerator<Uint8Array> {
  if (body.byteLength > 0) yield new Uint8Array(body);
}
