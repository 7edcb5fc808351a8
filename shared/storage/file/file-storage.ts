/**
 * Checkpoint storage in a folder. Each object is a plain file under its path; `file-versions.ts` says how one is
 * replaced. What a process leaves half done is in `.tmp/` alone: a file gets its final name, by one link or rename,
 * after its bytes are on the disk, and the call is answered after its name is. Names that start with a dot are no objects.
 *
 * Who may read a checkpoint is said by the folder's own mode: what is made in it gets that mode (files without the right
 * to be run), less the umask. A folder that is made here is its owner's alone.
 *
 * One thing it does not do: `remove` or `write` of a path must not race with `replace` of the same path. Tidemark
 * never does either: what is replaced (manifests) is created exclusively and never removed.
 */
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock, Randomness } from "../../environment.ts";
import { invariant } from "../../errors.ts";
import type { CheckpointStorage, StoredObject } from "../checkpoint-storage.ts";
import { MeasuredBody } from "../measured-body.ts";
import { ifThere, linkExclusively, makeFolder, makeFolderExclusively, syncFolder } from "./durable-files.ts";
import { explainFileError } from "./explain-file-error.ts";
import { headOf, identify, parseVersionFile, versionFile } from "./file-versions.ts";

export interface FileStorageOptions {
  /** Absolute path of the folder; it is made when it is not there. */
  readonly root: string;
  /** The URL it was opened by, for messages. */
  readonly url: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
}

/** A temporary file that nobody wrote to for so long belongs to a process that died. */
const STALE_MS = 24 * 60 * 60 * 1000;
const READ_BYTES = 256 * 1024;
const PRIVATE_MODE = 0o700;
/** What a file may have of a folder's mode. */
const FILE_MODE_MASK = 0o666;
const FOLDER_MODE_MASK = 0o777;

/**
 * Checkpoint storage in a folder of a file system with hard links, for one machine or for several that share it.
 * An answered write survives a crash of the process and, as far as the disk keeps what was synced, of the machine.
 * @throws TidemarkError `fix-configuration` when the folder, its permissions or the disk's room are at fault.
 */
export class FileCheckpointStorage implements CheckpointStorage {
  readonly url: string;
  readonly #root: string;
  readonly #temporaries: string;
  readonly #clock: Clock;
  readonly #randomness: Randomness;
  #mode = PRIVATE_MODE;

  constructor({ root, url, clock, randomness }: FileStorageOptions) {
    this.url = url;
    this.#root = root;
    this.#temporaries = join(root, ".tmp");
    this.#clock = clock;
    this.#randomness = randomness;
  }

  /** Makes the folder, checks that it can be written and that hard links are exclusive, and clears what dead processes left. */
  async probe(): Promise<void> {
    await this.#explaining("write", undefined, async () => {
      await makeFolder(this.#root, PRIVATE_MODE);
      this.#mode = (await stat(this.#root)).mode & FOLDER_MODE_MASK;
      await this.#removeStaleTemporaries();
      await this.#withTemporary([Buffer.from("probe")], async (temporary) => {
        const name = `${temporary}.linked`;
        try {
          const links = [await linkExclusively(temporary, name), await linkExclusively(temporary, name)];
          invariant(links[0] === true && links[1] === false, "of two hard links to one name exactly one succeeds");
        } finally {
          await rm(name, { force: true });
        }
      });
    });
  }

  async write(path: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number }> {
    const target = this.#target(path);
    const measured = new MeasuredBody(body);
    const step = async (): Promise<void> => {
      await makeFolder(dirname(target), this.#mode);
      await this.#withTemporary(measured, async (temporary) => {
        for (;;) {
          const { number, next } = await headOf(target);
          if (number === 0) break;
          if (await linkExclusively(temporary, versionFile(target, next))) break;
        }
        await this.#show(temporary, target);
      });
    };
    await this.#explaining("write", path, step, measured);
    return { bytes: measured.bytes };
  }

  async createExclusively(path: string, body: Uint8Array): Promise<"created" | "exists"> {
    const target = this.#target(path);
    return this.#explaining("create", path, async () => {
      await makeFolder(dirname(target), this.#mode);
      return this.#withTemporary([body], async (temporary) => {
        for (;;) {
          const { file, next } = await headOf(target);
          if (file !== undefined) {
            // Its creator may have died before it synced the folder, and the caller is about to follow what it finds.
            await syncFolder(dirname(target));
            return "exists";
          }
          if (!(await linkExclusively(temporary, versionFile(target, next)))) continue;
          if (next === 0) await syncFolder(dirname(target));
          else await this.#show(temporary, target);
          return "created";
        }
      });
    });
  }

  async replace(path: string, body: Uint8Array, version: string): Promise<"replaced" | "changed"> {
    const target = this.#target(path);
    return this.#explaining("replace", path, async () => {
      const { file, number, next } = await headOf(target);
      const handle = file === undefined ? undefined : await ifThere(open(file, "r"));
      if (handle === undefined) return "changed";
      try {
        if ((await identify(handle, number)).version !== version) return "changed";
      } finally {
        await handle.close();
      }
      return this.#withTemporary([body], async (temporary) => {
        if (!(await linkExclusively(temporary, versionFile(target, next)))) return "changed";
        await this.#show(temporary, target);
        return "replaced";
      });
    });
  }

  /** An object of more than 64 KB holds a file open until its body was read to the end or given up. */
  async read(path: string): Promise<StoredObject | undefined> {
    const target = this.#target(path);
    return this.#explaining("read", path, async () => {
      for (;;) {
        const { file, number, next } = await headOf(target);
        if (file === undefined) return undefined;
        const handle = await ifThere(open(file, "r"));
        if (handle === undefined) continue;
        let kept = false;
        try {
          const { version, start, bytes } = await identify(handle, number);
          // A replacement since then may have shown itself under version 0's name, which is not version 0 then.
          if (number === 0 && (await headOf(target)).next !== next) continue;
          kept = bytes > start.byteLength;
          const body = kept ? this.#bodyOf(handle, path) : one(start);
          return { body, version, bytes };
        } finally {
          if (!kept) await handle.close();
        }
      }
    });
  }

  /** Holds the names of one folder (and of those above it) at a time, since a file system lists them in no order. */
  async *list(prefix: string): AsyncGenerator<{ readonly path: string; readonly bytes: number }> {
    const base = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    yield* this.#listFolder(base, prefix);
  }

  async remove(path: string): Promise<void> {
    const target = this.#target(path);
    await this.#explaining("remove", path, async () => {
      for (;;) {
        const { file, number, next } = await headOf(target);
        if (file === undefined) return;
        // The version files of a replaced object stay, or a crash half-way would bring an older one back.
        if (number > 0 && !(await makeFolderExclusively(versionFile(target, next), this.#mode))) continue;
        await rm(target, { force: true });
        await syncFolder(dirname(target));
        return;
      }
    });
  }

  async close(): Promise<void> {}

  #target(path: string): string {
    const plain = path.split("/").every((segment) => segment !== "" && !segment.startsWith("."));
    invariant(
      plain,
      `an object path has no empty segment and none that starts with a dot, as ${JSON.stringify(path)} has`,
    );
    return join(this.#root, path);
  }

  async #explaining<T>(
    action: string,
    path: string | undefined,
    step: () => Promise<T>,
    body?: MeasuredBody,
  ): Promise<T> {
    try {
      return await step();
    } catch (thrown) {
      body?.throwOwnFailure();
      throw explainFileError(thrown, { action, root: this.#root, ...(path !== undefined && { path }) });
    }
  }

  /** Writes a body to a temporary file and syncs it; afterwards the temporary name is gone, whatever `use` did. */
  async #withTemporary<T>(
    body: AsyncIterable<Uint8Array> | readonly Uint8Array[],
    use: (temporary: string) => Promise<T>,
  ): Promise<T> {
    await mkdir(this.#temporaries, { recursive: true, mode: this.#mode });
    const temporary = join(this.#temporaries, this.#randomness.token());
    try {
      const handle = await open(temporary, "wx", this.#mode & FILE_MODE_MASK);
      try {
        await writeFile(handle, body);
        await handle.sync();
      } finally {
        await handle.close();
      }
      return await use(temporary);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Puts the newest content under the object's own name, and every new name of its folder on the disk. */
  async #show(temporary: string, target: string): Promise<void> {
    await rename(temporary, target);
    await syncFolder(dirname(target));
  }

  async *#bodyOf(handle: FileHandle, path: string): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; ; ) {
        const { bytesRead, buffer } = await handle.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, at);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } catch (thrown) {
      throw explainFileError(thrown, { action: "read", root: this.#root, path });
    } finally {
      await handle.close();
    }
  }

  async *#listFolder(base: string, prefix: string): AsyncGenerator<{ readonly path: string; readonly bytes: number }> {
    const folder = join(this.#root, base);
    const names = await this.#explaining("list", base, async () => {
      const found = new Set<string>();
      for (const entry of (await ifThere(readdir(folder, { withFileTypes: true }))) ?? []) {
        const name = entry.name.startsWith(".") ? parseVersionFile(entry.name)?.name : entry.name;
        if (name !== undefined) found.add(entry.isDirectory() && name === entry.name ? `${name}/` : name);
      }
      return [...found].filter((name) => (base + name).startsWith(prefix)).sort();
    });
    for (const name of names) {
      if (name.endsWith("/")) {
        yield* this.#listFolder(base + name, prefix);
        continue;
      }
      const path = base + name;
      const bytes = await this.#explaining("list", path, async () => {
        const { file } = await headOf(join(this.#root, path));
        return file === undefined ? undefined : (await ifThere(stat(file)))?.size;
      });
      if (bytes !== undefined) yield { path, bytes };
    }
  }

  async #removeStaleTemporaries(): Promise<void> {
    for (const name of (await ifThere(readdir(this.#temporaries))) ?? []) {
      const file = join(this.#temporaries, name);
      const modifiedMs = (await ifThere(stat(file)))?.mtimeMs;
      if (modifiedMs !== undefined && this.#clock.now() - modifiedMs > STALE_MS) await rm(file, { force: true });
    }
  }
}

async function* one(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  if (chunk.byteLength > 0) yield chunk;
}
