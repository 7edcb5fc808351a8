/** Opens a file of a split: what is no file, cannot be opened or is of no kind that can be read is refused by name. */
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { describeThrown, TidemarkError } from "../../errors.ts";
import { type FileBytes, GzipBytes, plainBytes } from "./file-bytes.ts";
import { type FileFormat, type FileKind, HEAD_BYTES, kindOf, type NotRead } from "./file-kind.ts";
import { notReadable } from "./unreadable.ts";

export interface OpenedFile {
  readonly handle: FileHandle;
  readonly format: FileFormat;
  readonly gzip: boolean;
  /** As stored. */
  readonly size: number;
  readonly stamp: FileStamp;
  /** Its content, from the beginning on. */
  readonly bytes: FileBytes;
  close(): Promise<void>;
}

/** Which file it is, and in which state: as long as both are the same, so is its content. */
export interface FileStamp {
  readonly file: string;
  readonly state: string;
}

export function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileStamp {
  return { file: `${dev}:${ino}`, state: `${size}:${mtimeNs}:${ctimeNs}` };
}

export const isSameStamp = (a: FileStamp, b: FileStamp): boolean => a.file === b.file && a.state === b.state;

/** Undefined: there is no file of that name now, or nobody may know. */
export async function stampAt(file: string): Promise<FileStamp | undefined> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  return found && stampOf(found);
}

/** @throws TidemarkError `fix-configuration` */
export async function openFile(file: string): Promise<OpenedFile> {
  const handle = await openRegular(file).catch((cause: unknown) => {
    if (cause instanceof TidemarkError) throw cause;
    throw new TidemarkError(
      "fix-configuration",
      `${file} cannot be opened: ${describeThrown(cause)}. A file has to stay where it is until a run has read it to its end; put it back.`,
      { cause },
    );
  });
  try {
    const found = await handle.stat({ bigint: true });
    const kind = kindOf(file, await headOf(handle));
    if ("reason" in kind) throw notReadable(file, kind.reason);
    const size = Number(found.size);
    const bytes = kind.gzip ? new GzipBytes(handle, file) : plainBytes(handle, size);
    return {
      handle,
      ...kind,
      size,
      stamp: stampOf(found),
      bytes,
      async close() {
        bytes.close();
        await handle.close();
      },
    };
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

/** What a file is, without reading on. @param judge `kindOf`, or `kindByContent` where its name says nothing */
export async function recognise(
  file: string,
  judge: (name: string, head: Buffer) => FileKind | NotRead,
): Promise<FileKind | NotRead> {
  let handle: FileHandle | undefined;
  try {
    handle = await openRegular(file);
    return judge(file, await headOf(handle));
  } catch (thrown) {
    return { reason: thrown instanceof NotAFile ? thrown.reason : `it cannot be opened (${describeThrown(thrown)})` };
  } finally {
    await handle?.close();
  }
}

class NotAFile extends TidemarkError {
  readonly reason: string;
  constructor(file: string, reason: string) {
    super("fix-configuration", `${file} cannot be read: ${reason}. Bind files, a folder of them, or a stream.`);
    this.reason = reason;
  }
}

/** A pipe that nobody writes to would be waited for, and not opened, if waiting were not refused. */
async function openRegular(file: string): Promise<FileHandle> {
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const what = notAFile(await handle.stat());
    if (what !== undefined) throw new NotAFile(file, what);
    return handle;
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

interface KindOfEntry {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

/** What an entry of a folder is that is no file; undefined: it is one. */
export function notAFile(entry: KindOfEntry): string | undefined {
  if (entry.isFile()) return undefined;
  if (entry.isDirectory()) return "it is a folder";
  if (entry.isFIFO()) return "it is a named pipe, which cannot be read again";
  return entry.isSocket() ? "it is a socket" : "it is a device";
}

async function headOf(handle: FileHandle): Promise<Buffer> {
  const head = Buffer.alloc(HEAD_BYTES);
  let filled = 0;
  while (filled < head.length) {
    const { bytesRead } = await handle.read(head, filled, head.length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return head.subarray(0, filled);
}
