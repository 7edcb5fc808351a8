/**
 * The reader half of files.
 *
 * Invariants:
 * - A bounded file is ended at its end; it must not grow after that.
 * - A tailed file is never ended. Parquet files are always bounded: their footer is written last.
 * - A file that is gone, shorter than a position, or not the one it was, is an error and never an end.
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Clock } from "../../environment.ts";
import { describeThrown, TidemarkError } from "../../errors.ts";
import { pause } from "../pause.ts";
import type { Position } from "../position.ts";
import type { ReadPage, SourceReader, SplitDescription, SplitLook } from "../source.ts";
import { parquetPosition, parseLinePosition, parseParquetPosition } from "./file-position.ts";
import { type FileSplits, formatOf } from "./file-splits.ts";
import { changedBefore, JsonLines } from "./json-lines.ts";
import { ParquetRows } from "./parquet-rows.ts";

/** How long a tailed file rests once its end is reached. */
const TAIL_POLL_MS = 250;
/** Enough for a look at the next line. */
const LOOK_BUFFER_BYTES = 64 * 1024;

type ReadRequest = Parameters<SourceReader["read"]>[0];

export interface FileReaderOptions {
  readonly splits: FileSplits;
  /** Tails files of JSON lines: they are never ended, and a last line waits for its newline. */
  readonly tails: boolean;
  readonly clock: Clock;
}

export class FileReader implements SourceReader {
  readonly #splits: FileSplits;
  readonly #tails: boolean;
  readonly #clock: Clock;

  constructor({ splits, tails, clock }: FileReaderOptions) {
    this.#splits = splits;
    this.#tails = tails;
    this.#clock = clock;
  }

  async *splits(): AsyncGenerator<SplitDescription> {
    for await (const split of this.#splits.names()) yield { split, parents: [] };
  }

  read(request: ReadRequest): AsyncGenerator<ReadPage> {
    return formatOf(request.split) === "parquet" ? this.#readParquet(request) : this.#readLines(request);
  }

  async *#readLines(
    { split, after, pageRecords, follow, signal }: ReadRequest,
    bufferBytes?: number,
  ): AsyncGenerator<ReadPage> {
    const file = this.#splits.pathOf(split);
    const handle = await openFile(file);
    try {
      const start = parseLinePosition(after, file);
      const changed = await changedBefore(handle, start, !this.#tails);
      if (changed !== undefined) throw unreadable(file, changed);
      if (file.toLowerCase().endsWith(".json")) await refuseArray(handle, file);
      const lines = new JsonLines({
        handle,
        file,
        after: start,
        recordsMax: pageRecords,
        bounded: !this.#tails,
        ...(bufferBytes === undefined ? {} : { bufferBytes }),
      });
      while (signal?.aborted !== true) {
        const records = await lines.page();
        const caughtUp = records.length < pageRecords;
        yield { records, caughtUp, ended: caughtUp && !this.#tails };
        if (!caughtUp) continue;
        if (!this.#tails || !follow) return;
        await pause(this.#clock, TAIL_POLL_MS, signal);
        const read = { row: lines.row, offset: lines.offset };
        const reason = (await changedBefore(handle, read, false)) ?? (await replaced(handle, file));
        if (reason !== undefined) throw unreadable(file, reason);
      }
    } finally {
      await handle.close();
    }
  }

  async *#readParquet({ split, after, pageRecords, signal }: ReadRequest): AsyncGenerator<ReadPage> {
    const file = this.#splits.pathOf(split);
    const handle = await openFile(file);
    try {
      const afterRow = parseParquetPosition(after, file);
      const rows = await ParquetRows.open(handle, file);
      const missing = missingRows(rows.rowCount, afterRow);
      if (missing !== undefined) throw unreadable(file, missing);
      let read = afterRow;
      for await (const records of rows.pages(afterRow, pageRecords)) {
        if (signal?.aborted === true) return;
        read += records.length;
        const ended = read >= rows.rowCount;
        yield { records, ended, caughtUp: ended };
      }
      if (afterRow >= rows.rowCount) yield { records: [], ended: true, caughtUp: true };
    } finally {
      await handle.close();
    }
  }

  async look(split: string, after: Position): Promise<SplitLook> {
    const first = await this.#firstAfter(split, after);
    const bounded = !this.#tails || formatOf(split) === "parquet";
    return { holdsRecords: first !== undefined, ended: bounded && first === undefined };
  }

  async holdsAny(split: string, { after, to }: { readonly after: Position; readonly to: Position }): Promise<boolean> {
    if (to <= after) return false;
    const first = await this.#firstAfter(split, after);
    return first !== undefined && first <= to;
  }

  async missingAfter({
    split,
    after,
  }: {
    readonly split: string;
    readonly after: Position;
  }): Promise<string | undefined> {
    const file = this.#splits.pathOf(split);
    let handle: FileHandle;
    try {
      handle = await open(file);
    } catch (error) {
      return `the file ${file} cannot be opened (${describeThrown(error)})`;
    }
    try {
      const reason =
        formatOf(file) === "parquet"
          ? missingRows((await ParquetRows.open(handle, file)).rowCount, parseParquetPosition(after, file))
          : await changedBefore(handle, parseLinePosition(after, file), !this.#tails);
      return reason === undefined ? undefined : `the file ${file} is not what was read: ${reason}`;
    } finally {
      await handle.close();
    }
  }

  async #firstAfter(split: string, after: Position): Promise<Position | undefined> {
    if (formatOf(split) === "parquet") return await this.#firstRowAfter(split, after);
    const request = { split, after, pageRecords: 1, follow: false };
    for await (const page of this.#readLines(request, LOOK_BUFFER_BYTES)) return page.records[0]?.position;
    return undefined;
  }

  /** The footer counts the rows: none is decoded. */
  async #firstRowAfter(split: string, after: Position): Promise<Position | undefined> {
    const file = this.#splits.pathOf(split);
    const afterRow = parseParquetPosition(after, file);
    const handle = await openFile(file);
    try {
      const { rowCount } = await ParquetRows.open(handle, file);
      const missing = missingRows(rowCount, afterRow);
      if (missing !== undefined) throw unreadable(file, missing);
      return afterRow < rowCount ? parquetPosition(afterRow + 1) : undefined;
    } finally {
      await handle.close();
    }
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file);
  } catch (cause) {
    throw new TidemarkError(
      "fix-configuration",
      `${file} cannot be opened: ${describeThrown(cause)}. A file that is being read has to stay where it is; put it back.`,
      { cause },
    );
  }
}

function missingRows(rowCount: number, afterRow: number): string | undefined {
  if (afterRow <= rowCount) return undefined;
  return `it was replaced: it has ${rowCount} rows, and row ${afterRow} had been read`;
}

async function replaced(handle: FileHandle, file: string): Promise<string | undefined> {
  const [opened, named] = await Promise.all([handle.stat(), stat(file).catch(() => undefined)]);
  if (named !== undefined && named.ino === opened.ino && named.dev === opened.dev) return undefined;
  return "another file took its place, or none did: a tailed file must be appended to, never rotated";
}

/** A JSON document is the likeliest mistake behind `.json`, and each of its lines would become a dead letter. */
async function refuseArray(handle: FileHandle, file: string): Promise<void> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0);
  const start = buffer.toString("utf8", 0, bytesRead).trimStart();
  if (!/^\[\s*(?:\{|$)/.test(start)) return;
  throw unreadable(file, 'it begins with "[", so it is one JSON array, and JSON lines hold one record a line');
}

function unreadable(file: string, reason: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `${file} cannot be read on: ${reason}. Put back the file that was read before, or bind the function to a file that is right.`,
  );
}
