/**
 * Reads JSON lines, a buffer at a time: no stream, promise or callback per line.
 *
 * Invariants:
 * - A record is a line that is not blank; its position ends behind its newline.
 * - A last line without a newline is a record only of a bounded file: a tailed one may still be in writing.
 * - What a position was read from is still there: the byte before its offset ends a line, or the file was changed.
 */
import { isAscii } from "node:buffer";
import type { FileHandle } from "node:fs/promises";
import { TidemarkError } from "../../errors.ts";
import type { SourceRecord } from "../source.ts";
import { type LineEnd, LinePositions } from "./file-position.ts";

const NEWLINE = 10;
const BUFFER_BYTES = 1024 * 1024;
/** A longer line is no record of any event source; reading it on would fill the memory. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
const BYTE_ORDER_MARK = "\uFEFF";

export interface LinesRequest {
  readonly handle: FileHandle;
  /** For messages. */
  readonly file: string;
  readonly after: LineEnd;
  readonly recordsMax: number;
  readonly bounded: boolean;
  /** @default 1 MiB; doubled as often as a line needs */
  readonly bufferBytes?: number;
}

/** Reads lines of one file on and on; each page starts where the one before ended. */
export class JsonLines {
  readonly #request: LinesRequest;
  readonly #positions = new LinePositions();
  #buffer: Buffer;
  /** Bytes of the file in the buffer. */
  #filled = 0;
  /** Bytes of the buffer that make whole lines; `#text` holds them. */
  #whole = 0;
  #text = "";
  /** In ASCII text the offset of a character is the offset of its byte. */
  #ascii = true;
  /** Bytes of the buffer that were made records of. */
  #used = 0;
  /** Where the buffer begins in the file. */
  #offset: number;
  #row: number;

  constructor(request: LinesRequest) {
    this.#request = request;
    this.#buffer = Buffer.allocUnsafe(request.bufferBytes ?? BUFFER_BYTES);
    this.#offset = request.after.offset;
    this.#row = request.after.row;
  }

  /** How far the file was read: everything before was made records of. */
  get offset(): number {
    return this.#offset + this.#used;
  }

  /** How many records were read, those before `after` included. */
  get row(): number {
    return this.#row;
  }

  /** The next records, fewer than `recordsMax` only at the end of what the file holds now. */
  async page(): Promise<SourceRecord[]> {
    const records: SourceRecord[] = [];
    for (;;) {
      this.#takeLines(records);
      if (records.length >= this.#request.recordsMax) return records;
      if (!(await this.#fill())) return records;
    }
  }

  #takeLines(records: SourceRecord[]): void {
    const { recordsMax } = this.#request;
    while (this.#used < this.#whole && records.length < recordsMax) {
      const from = this.#used;
      const newline = this.#ascii ? this.#text.indexOf("\n", from) : this.#buffer.indexOf(NEWLINE, from);
      const end = newline === -1 || newline > this.#whole ? this.#whole : newline;
      const line = this.#ascii ? this.#text.slice(from, end) : this.#buffer.toString("utf8", from, end);
      this.#used = Math.min(end + 1, this.#whole);
      if (isBlank(line)) continue;
      const position = this.#positions.at(++this.#row, this.#offset + this.#used);
      const payload = this.#offset === 0 && from === 0 && line.startsWith(BYTE_ORDER_MARK) ? line.slice(1) : line;
      records.push({ position, itemIdentifier: position, payload });
    }
  }

  /** Reads until there is another whole line. @returns false at the end of the file */
  async #fill(): Promise<boolean> {
    this.#dropUsed();
    for (;;) {
      if (this.#filled === this.#buffer.length) this.#grow();
      const room = this.#buffer.length - this.#filled;
      const { bytesRead } = await this.#request.handle.read(
        this.#buffer,
        this.#filled,
        room,
        this.#offset + this.#filled,
      );
      const scanned = this.#filled;
      this.#filled += bytesRead;
      const atEnd = bytesRead === 0;
      // The bytes scanned before hold no newline: they are the beginning of one line.
      const lastNewline = this.#buffer.subarray(scanned, this.#filled).lastIndexOf(NEWLINE);
      if (lastNewline !== -1) this.#whole = scanned + lastNewline + 1;
      else if (atEnd && this.#request.bounded) this.#whole = this.#filled;
      if (this.#whole > 0) {
        const lines = this.#buffer.subarray(0, this.#whole);
        this.#ascii = isAscii(lines);
        this.#text = this.#ascii ? lines.toString("latin1") : "";
        return true;
      }
      if (atEnd) {
        // A line in writing is read again as a whole: its writer may yet take it back.
        this.#filled = 0;
        return false;
      }
    }
  }

  #dropUsed(): void {
    this.#buffer.copyWithin(0, this.#used, this.#filled);
    this.#filled -= this.#used;
    this.#offset += this.#used;
    this.#used = 0;
    this.#whole = 0;
  }

  #grow(): void {
    if (this.#buffer.length >= LINE_BYTES_MAX) {
      throw new TidemarkError(
        "fix-configuration",
        `The line behind row ${this.#row} of ${this.#request.file} (byte ${this.#offset}) is longer than ${LINE_BYTES_MAX} bytes. JSON lines hold one record a line: is the file of another format?`,
      );
    }
    const larger = Buffer.allocUnsafe(this.#buffer.length * 2);
    this.#buffer.copy(larger, 0, 0, this.#filled);
    this.#buffer = larger;
  }
}

/** The white space of JSON. A line of any other is a record that is no JSON: refused, not passed over. */
const JSON_BLANK = /^[ \t\r]*$/;

function isBlank(line: string): boolean {
  return line.length === 0 || (line.charCodeAt(0) <= 32 && JSON_BLANK.test(line));
}

/**
 * Why a file can no longer be read after a position, in a clause; undefined when it can. Reads one byte.
 * That the byte before the offset ends a line does not prove that the file is the same; it finds nearly all that are not.
 */
export async function changedBefore(handle: FileHandle, after: LineEnd, bounded: boolean): Promise<string | undefined> {
  const { size } = await handle.stat();
  if (size < after.offset) {
    return `it was truncated or replaced: it has ${size} bytes, and row ${after.row} had ended at byte ${after.offset}`;
  }
  if (after.offset === 0) return undefined;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, after.offset - 1);
  if (buffer[0] === NEWLINE || (bounded && after.offset === size)) return undefined;
  return `it was changed or replaced: row ${after.row} had ended at byte ${after.offset}, and no line ends there now`;
}
