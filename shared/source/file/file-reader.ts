/**
 * The reader half of files.
 *
 * Invariants:
 * - A file ends at its end as it stands, unless its last line is unfinished. What is appended is read from where reading
 *   had ended. A tailed file is never ended. Parquet files are never tailed: their footer is written last.
 * - A file that is gone, shorter than a position, or not the one it was, is an error and never an end.
 * - Who reads to follow a file holds it open only while there is something to read; so many at a time.
 * - What is said without reading (`look`, `holdsAny`) was learnt from the file in the very state that it is in.
 */
import type { Clock } from "../../environment.ts";
import { describeThrown, TidemarkError } from "../../errors.ts";
import { BEGINNING, type Position } from "../position.ts";
import { Slots } from "../slots.ts";
import type { LeftOut, ReadPage, SourceReader, SplitDescription, SplitLook } from "../source.ts";
import { parquetPosition, parseLinePosition, parseParquetPosition, rowOfPosition } from "./file-position.ts";
import type { FileSplits } from "./file-splits.ts";
import { JsonLines, lineAfter, type UnfinishedLine } from "./json-lines.ts";
import { KnownFiles } from "./known-files.ts";
import { type FileStamp, isSameStamp, type OpenedFile, openFile, stampAt } from "./open-file.ts";
import { ParquetRows } from "./parquet-rows.ts";
import { unreadable } from "./unreadable.ts";

/** How long a tailed file rests once its end is reached. */
const TAIL_POLL_MS = 250;
/** No more looks a second than this, however many files are tailed. */
const TAIL_LOOKS_PER_MS_MAX = 20;
/** An unfinished line of a tailed file is said when nobody has finished it for so long. */
const UNFINISHED_SAID_MS = 2_000;
/** Enough for a look at the next line, and for the files that many small ones are. */
const SMALL_BUFFER_BYTES = 64 * 1024;
const SCAN_PAGE_RECORDS = 10_000;
/** Files that are read to follow them, at a time: each has a buffer and a handle. */
const FOLLOWED_AT_ONCE = 64;

type ReadRequest = Parameters<SourceReader["read"]>[0];
type MissingRequest = Pick<Parameters<SourceReader["missingAfter"]>[0], "split" | "after" | "to">;

export interface FileReaderOptions {
  readonly splits: FileSplits;
  /** Tails files of JSON lines: they are never ended. */
  readonly tails: boolean;
  readonly clock: Clock;
}

export class FileReader implements SourceReader {
  readonly #splits: FileSplits;
  readonly #tails: boolean;
  readonly #clock: Clock;
  readonly #slots = new Slots(FOLLOWED_AT_ONCE);
  readonly #known = new KnownFiles();
  /** Files that are tailed and at rest. */
  #resting = 0;
  #napping: Promise<void> | undefined;

  constructor({ splits, tails, clock }: FileReaderOptions) {
    this.#splits = splits;
    this.#tails = tails;
    this.#clock = clock;
  }

  async *splits(): AsyncGenerator<SplitDescription> {
    for await (const split of this.#splits.names()) yield { split, parents: [] };
  }

  leftOut(): LeftOut {
    return this.#splits.leftOut;
  }

  async *read(request: ReadRequest): AsyncGenerator<ReadPage> {
    const { split, follow, signal } = request;
    const file = this.#splits.pathOf(split);
    let after = request.after;
    let before: FileStamp | undefined;
    for (;;) {
      // A replay waits for nobody: those who hold the slots may be waiting for it.
      const giveBack = follow ? await this.#slots.take(signal) : undefined;
      let unfinished: string | undefined;
      try {
        if (signal?.aborted === true) return;
        const opened = await openFile(file);
        try {
          if (before !== undefined && before.file !== opened.stamp.file) throw unreadable(file, TAKEN_AWAY);
          before = opened.stamp;
          for await (const { unfinished: left, ...page } of this.#pages(opened, { ...request, after })) {
            after = page.records.at(-1)?.position ?? after;
            unfinished = left;
            // A line in writing is nothing to speak of, as long as somebody may be at it.
            yield this.#tails && follow ? page : { ...page, ...unfinishedPart(left) };
            if (page.ended) return;
          }
        } finally {
          await opened.close();
        }
      } finally {
        giveBack?.();
      }
      if (!this.#tails || !follow) return;
      yield* this.#rest(file, before, unfinished, signal);
    }
  }

  /** Until the file is no longer as it was when it was opened. */
  async *#rest(
    file: string,
    before: FileStamp,
    unfinished: string | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ReadPage> {
    const restsSinceMs = this.#clock.now();
    let said = unfinished === undefined;
    this.#resting += 1;
    try {
      for (;;) {
        const naps = Math.ceil(this.#resting / TAIL_LOOKS_PER_MS_MAX / TAIL_POLL_MS);
        for (let nap = 0; nap < Math.max(1, naps); nap++) {
          await this.#nap();
          if (signal?.aborted === true) return;
        }
        const now = await stampAt(file);
        if (now === undefined) throw unreadable(file, TAKEN_AWAY);
        if (!isSameStamp(now, before)) return;
        if (said || this.#clock.now() - restsSinceMs < UNFINISHED_SAID_MS) continue;
        said = true;
        yield { records: [], ended: false, caughtUp: true, ...unfinishedPart(unfinished) };
      }
    } finally {
      this.#resting -= 1;
    }
  }

  /** One for all that rest, a hundred thousand perhaps: each timer and each listener of its own would cost too much. */
  #nap(): Promise<void> {
    this.#napping ??= this.#clock.sleep(TAIL_POLL_MS).finally(() => {
      this.#napping = undefined;
    });
    return this.#napping;
  }

  #pages(opened: OpenedFile, request: ReadRequest): AsyncGenerator<ReadPage> {
    return opened.format === "parquet" ? this.#pagesOfRows(opened, request) : this.#pagesOfLines(opened, request);
  }

  async *#pagesOfLines(opened: OpenedFile, request: ReadRequest): AsyncGenerator<ReadPage> {
    const { split, after, pageRecords, signal } = request;
    const file = this.#splits.pathOf(split);
    const lines = await linesAfter(opened, file, after, { recordsMax: pageRecords });
    const known = this.#known.reading(split, opened.stamp, after);
    try {
      while (signal?.aborted !== true) {
        const records = await lines.page();
        const caughtUp = records.length < pageRecords;
        const left = caughtUp ? lines.unfinished : undefined;
        known.page(records.at(-1)?.position, caughtUp ? { unfinished: left !== undefined } : undefined);
        const ended = caughtUp && !this.#tails && left === undefined;
        yield { records, caughtUp, ended, ...unfinishedPart(left && inWords(file, left)) };
        if (caughtUp) return;
      }
    } finally {
      known.close();
    }
  }

  async *#pagesOfRows(opened: OpenedFile, request: ReadRequest): AsyncGenerator<ReadPage> {
    const { split, after, pageRecords, signal } = request;
    const file = this.#splits.pathOf(split);
    const afterRow = parseParquetPosition(after, file);
    const rows = await ParquetRows.open(opened.handle, file);
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
  }

  async look(split: string, after: Position): Promise<SplitLook> {
    const { holdsRecords, ended } = await this.#look(split, after);
    return { holdsRecords, ended };
  }

  async holdsAny(split: string, { after, to }: { readonly after: Position; readonly to: Position }): Promise<boolean> {
    if (to <= after) return false;
    const file = this.#splits.pathOf(split);
    const stamp = await stampAt(file);
    if (stamp !== undefined && this.#known.wasRead(split, stamp, { after, to })) return true;
    const { first } = await this.#look(split, after, { first: true });
    if (first !== undefined && first <= to) return true;
    // Records of a file never expire: what was read and is not there is a file that was cut, which people can put back.
    const missing = await missingIn(file, after, to);
    if (missing !== undefined) throw unreadable(file, missing);
    return false;
  }

  /** Nothing is read where the file is as it was when that was learnt. @param needs.first which record comes first as well */
  async #look(
    split: string,
    after: Position,
    needs: { readonly first?: boolean } = {},
  ): Promise<SplitLook & { readonly first?: Position | undefined }> {
    const file = this.#splits.pathOf(split);
    const now = await stampAt(file);
    const known = now && this.#known.after(split, now, after);
    if (known !== undefined && (needs.first !== true || !known.holdsRecords || known.first !== undefined)) {
      return { ...known, ended: known.atEnd && (!this.#tails || known.bounded) };
    }
    const opened = await openFile(file);
    try {
      const bounded = opened.format === "parquet";
      const found = bounded ? await firstRowAfter(opened, file, after) : await firstLineAfter(opened, file, after);
      const holdsRecords = found.first !== undefined;
      const atEnd = !holdsRecords && found.unfinished === undefined;
      this.#known.looked(split, opened.stamp, after, { ...found, holdsRecords, atEnd, bounded });
      return {
        holdsRecords,
        ended: atEnd && (!this.#tails || bounded),
        first: found.first,
      };
    } finally {
      await opened.close();
    }
  }

  async missingAfter({ split, after, to = after }: MissingRequest): Promise<string | undefined> {
    const file = this.#splits.pathOf(split);
    try {
      const reason = await missingIn(file, after, to);
      return reason === undefined ? undefined : `the file ${file} is not what was read: ${reason}`;
    } catch (thrown) {
      if (thrown instanceof TidemarkError && thrown.kind === "fix-configuration")
        return thrown.message.replace(/\.$/, "");
      return `the file ${file} cannot be read (${describeThrown(thrown)})`;
    }
  }
}

const TAKEN_AWAY = "another file took its place, or none did: a tailed file must be appended to, never rotated";

const unfinishedPart = (unfinished: string | undefined): { readonly unfinished?: string } =>
  unfinished === undefined ? {} : { unfinished };

function inWords(file: string, { row, offset }: UnfinishedLine): string {
  return `${file} ends in an unfinished line: record ${row}, which begins at byte ${offset}, has no line's end, and is no whole JSON value yet. It was left unread; once it is finished, reading goes on there.`;
}

/** The lines after a position. @throws TidemarkError `fix-configuration` when it is none of the file's */
async function linesAfter(
  opened: OpenedFile,
  file: string,
  after: Position,
  request: { readonly recordsMax: number; readonly bufferBytes?: number },
): Promise<JsonLines> {
  const place = parseLinePosition(after, file);
  const start = await lineAfter(opened.bytes, place);
  if ("changed" in start) throw unreadable(file, start.changed);
  const small = !opened.gzip && opened.size - start.offset < SMALL_BUFFER_BYTES;
  return new JsonLines({
    bytes: opened.bytes,
    file,
    row: place.row,
    offset: start.offset,
    ...(small ? { bufferBytes: SMALL_BUFFER_BYTES } : {}),
    ...request,
  });
}

async function firstLineAfter(
  opened: OpenedFile,
  file: string,
  after: Position,
): Promise<{ readonly first: Position | undefined; readonly unfinished: UnfinishedLine | undefined }> {
  const lines = await linesAfter(opened, file, after, { recordsMax: 1, bufferBytes: SMALL_BUFFER_BYTES });
  const [first] = await lines.page();
  return { first: first?.position, unfinished: lines.unfinished };
}

/** The footer counts the rows: none is decoded. */
async function firstRowAfter(
  opened: OpenedFile,
  file: string,
  after: Position,
): Promise<{ readonly first: Position | undefined; readonly unfinished: undefined }> {
  const afterRow = parseParquetPosition(after, file);
  const { rowCount } = await ParquetRows.open(opened.handle, file);
  const missing = missingRows(rowCount, afterRow);
  if (missing !== undefined) throw unreadable(file, missing);
  return { first: afterRow < rowCount ? parquetPosition(afterRow + 1) : undefined, unfinished: undefined };
}

/** The file is read through up to `to` by the code that a replay reads with. @throws as a replay would */
async function missingIn(file: string, after: Position, to: Position): Promise<string | undefined> {
  const opened = await openFile(file);
  try {
    if (opened.format === "json-lines") return await missingInLines(opened, file, after, to);
    return await missingInRows(
      opened,
      file,
      Math.max(parseParquetPosition(after, file), parseParquetPosition(to, file)),
    );
  } finally {
    await opened.close();
  }
}

async function missingInRows(opened: OpenedFile, file: string, row: number): Promise<string | undefined> {
  return missingRows((await ParquetRows.open(opened.handle, file)).rowCount, row);
}

function missingRows(rowCount: number, row: number): string | undefined {
  if (row <= rowCount) return undefined;
  return `it was cut or replaced: it has ${rowCount} rows, and row ${row} had been read`;
}

async function missingInLines(
  opened: OpenedFile,
  file: string,
  after: Position,
  to: Position,
): Promise<string | undefined> {
  const end = parseLinePosition(to, file);
  const lines = await linesAfter(opened, file, after, { recordsMax: SCAN_PAGE_RECORDS });
  if (to <= after) return undefined;
  let last = after;
  for (;;) {
    const records = await lines.page();
    if (records.some(({ position }) => position === to)) return undefined;
    last = records.at(-1)?.position ?? last;
    if (records.length < SCAN_PAGE_RECORDS || last > to) break;
  }
  return `it was cut, shrunk, changed or replaced: row ${end.row} had ended at byte ${end.offset}, and no such row ends there now (${
    last === BEGINNING ? "there is no record" : `it was read up to row ${rowOfPosition(last)}`
  })`;
}
