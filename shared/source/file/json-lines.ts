/**
 * Reads JSON lines, a buffer at a time: no stream, promise or callback per line.
 *
 * Invariants:
 * - A record is a line that is not blank. Its position is where its text ends, whether the line's end is written or not,
 *   of one byte or two: it stays the same while the file grows.
 * - A last line without an end is a record once it is one JSON value that nothing can prolong; until then it is unread.
 * - Text is what is UTF-8. A line that is not is handed out as its bytes.
 * - What a position was read from is still there: the line ends there, or the file was changed.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { TidemarkError } from "../../errors.ts";
import type { SourceRecord } from "../source.ts";
import { type FileBytes, LOOK_BEHIND_BYTES } from "./file-bytes.ts";
import { type LineEnd, LinePositions } from "./file-position.ts";

const NEWLINE = 10;
const BUFFER_BYTES = 1024 * 1024;
/** A longer line is no record of any event source; reading it on would fill the memory. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
/** Tools that join files leave their byte order marks in the middle. */
const BYTE_ORDER_MARK = Buffer.from("\uFEFF");

export interface LinesRequest {
  readonly bytes: FileBytes;
  /** For messages. */
  readonly file: string;
  /** How many records lie before. @default 0 */
  readonly row?: number;
  /** Where to begin, as {@link lineAfter} says. @default 0 */
  readonly offset?: number;
  readonly recordsMax: number;
  /** @default 1 MiB; doubled as often as a line needs */
  readonly bufferBytes?: number;
}

/** A last line that is no record yet. */
export interface UnfinishedLine {
  /** Which record it will be. */
  readonly row: number;
  /** Where it begins. */
  readonly offset: number;
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
  #utf8 = true;
  /** Bytes of the buffer that were made records of. */
  #used = 0;
  /** Where the buffer begins in the file. */
  #offset: number;
  #row: number;
  #unfinished: UnfinishedLine | undefined;

  constructor(request: LinesRequest) {
    this.#request = request;
    this.#buffer = Buffer.allocUnsafe(request.bufferBytes ?? BUFFER_BYTES);
    this.#offset = request.offset ?? 0;
    this.#row = request.row ?? 0;
  }

  /** What the last page left unread at the file's end; undefined: nothing. */
  get unfinished(): UnfinishedLine | undefined {
    return this.#unfinished;
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
      let from = this.#used;
      const newline = this.#ascii ? this.#text.indexOf("\n", from) : this.#buffer.indexOf(NEWLINE, from);
      const end = newline === -1 || newline > this.#whole ? this.#whole : newline;
      this.#used = Math.min(end + 1, this.#whole);
      if (!this.#ascii) from = afterMarks(this.#buffer, from, end);
      const textEnd = endOfText(this.#buffer, from, end);
      if (textEnd === from) continue;
      const position = this.#positions.at(++this.#row, this.#offset + textEnd + 1);
      const payload = this.#ascii ? this.#text.slice(from, end) : this.#textOrBytes(from, end);
      records.push({ position, itemIdentifier: position, payload });
    }
  }

  #textOrBytes(from: number, end: number): string | Buffer {
    const line = this.#buffer.subarray(from, end);
    // Nearly always all the buffer is text.
    return this.#utf8 || isUtf8(line) ? line.toString("utf8") : Buffer.from(line);
  }

  /** Reads until there is another whole line. @returns false at the end of the file */
  async #fill(): Promise<boolean> {
    const { bytes } = this.#request;
    this.#dropUsed();
    this.#unfinished = undefined;
    for (;;) {
      if (this.#filled === this.#buffer.length) this.#grow();
      const room = this.#buffer.length - this.#filled;
      const bytesRead = await bytes.read(this.#buffer, this.#filled, room, this.#offset + this.#filled);
      const scanned = this.#filled;
      this.#filled += bytesRead;
      // The bytes scanned before hold no newline: they are the beginning of one line.
      const lastNewline = this.#buffer.subarray(scanned, this.#filled).lastIndexOf(NEWLINE);
      if (lastNewline !== -1) this.#whole = scanned + lastNewline + 1;
      else if (bytesRead === 0 && isWholeRecord(this.#buffer.subarray(0, this.#filled))) this.#whole = this.#filled;
      if (this.#whole > 0) {
        const lines = this.#buffer.subarray(0, this.#whole);
        this.#ascii = isAscii(lines);
        this.#utf8 = this.#ascii || isUtf8(lines);
        this.#text = this.#ascii ? lines.toString("latin1") : "";
        return true;
      }
      if (bytesRead === 0) {
        const from = afterMarks(this.#buffer, 0, this.#filled);
        if (endOfText(this.#buffer, from, this.#filled) > from) {
          this.#unfinished = { row: this.#row + 1, offset: this.#offset };
        }
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

/** The white space of JSON, newlines included. A line of any other is a record that is no JSON: refused, not passed over. */
function isJsonSpace(byte: number | undefined): boolean {
  return byte === 32 || byte === 13 || byte === 9 || byte === NEWLINE;
}

/** Behind the last byte that is no white space; `from` when there is none. */
function endOfText(buffer: Buffer, from: number, end: number): number {
  let textEnd = end;
  while (textEnd > from && isJsonSpace(buffer[textEnd - 1])) textEnd--;
  return textEnd;
}

/** Behind the byte order marks that a line begins with. */
function afterMarks(buffer: Buffer, from: number, end: number): number {
  let start = from;
  while (
    buffer[start] === BYTE_ORDER_MARK[0] &&
    end - start >= BYTE_ORDER_MARK.length &&
    buffer.compare(BYTE_ORDER_MARK, 0, BYTE_ORDER_MARK.length, start, start + BYTE_ORDER_MARK.length) === 0
  ) {
    start += BYTE_ORDER_MARK.length;
  }
  return start;
}

/** Whether a line without its end is one JSON value all the same. Digits may go on: 123 is also the beginning of 12345. */
function isWholeRecord(line: Buffer): boolean {
  const from = afterMarks(line, 0, line.length);
  const text = line.subarray(from, endOfText(line, from, line.length));
  if (text.length === 0 || !isUtf8(text)) return false;
  const value = text.toString("utf8").trimStart();
  if (/^[-\d]/.test(value)) return false;
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}

/** Where reading goes on after a position, or why it cannot, in a clause. */
export type LineAfter = { readonly offset: number } | { readonly changed: string };

/**
 * Looks at the bytes around a position. That a line ends there does not prove that the file is the same; it finds nearly
 * all that are not. What was appended to a last line that was a record already is the next line: the record stays one.
 */
export async function lineAfter(bytes: FileBytes, { row, offset }: LineEnd): Promise<LineAfter> {
  if (offset === 0) return { offset: 0 };
  const end = offset - 1;
  const last = Buffer.alloc(1);
  if (end === 0 || (await bytes.read(last, 0, 1, end - 1)) === 0) {
    return {
      changed: `it was truncated or replaced: it has ${bytes.size} bytes, and row ${row} had ended at byte ${offset}`,
    };
  }
  const changed = {
    changed: `it was changed or replaced: row ${row} had ended at byte ${offset}, and no line ends there now`,
  };
  if (isJsonSpace(last[0])) return changed;
  const following = Buffer.alloc(1);
  for (let at = end; ; at++) {
    if ((await bytes.read(following, 0, 1, at)) === 0 || following[0] === NEWLINE) return { offset: end };
    if (!isJsonSpace(following[0]) || at - end >= LOOK_BEHIND_BYTES / 2) break;
  }
  return (await wasWholeRecord(bytes, end)) ? { offset: end } : changed;
}

/** Whether what stands on the line before `end` is a record that needs no line's end. */
async function wasWholeRecord(bytes: FileBytes, end: number): Promise<boolean> {
  const from = Math.max(0, end - LOOK_BEHIND_BYTES / 2);
  const before = Buffer.alloc(end - from);
  for (let filled = 0; filled < before.length; ) {
    const bytesRead = await bytes.read(before, filled, before.length - filled, from + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  const newline = before.lastIndexOf(NEWLINE);
  return (newline !== -1 || from === 0) && isWholeRecord(before.subarray(newline + 1));
}
