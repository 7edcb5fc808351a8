/**
 * Positions in files: numbers of fixed width, so that they are ordered as text.
 *
 * - JSON lines: `<row, 12 digits>-<byte offset behind the record's text and one byte more, 16 digits>`: behind the newline, as
 *   a rule, and the same before one is written, or where it is of two bytes. The offset makes going on O(1), the row tells
 *   people where it is. Of a gzip file it counts unpacked bytes.
 * - Parquet: `<row, 12 digits>`.
 *
 * Rows count records from 1; blank lines are none.
 */
import { TidemarkError } from "../../errors.ts";
import { BEGINNING, type Position } from "../position.ts";

const ROW_DIGITS = 12;
const OFFSET_DIGITS = 16;
const JSON_LINES_POSITION = /^\d{12}-\d{16}$/;
const PARQUET_POSITION = /^\d{12}$/;

export interface LineEnd {
  /** How many records there are up to here. */
  readonly row: number;
  /** Behind the record's text and one byte of its line's end, in bytes; 0 for the beginning. */
  readonly offset: number;
}

/** The number of the record at a position of a file, counted from 1; 0 for the beginning. */
export function rowOfPosition(position: Position): number {
  return position === BEGINNING ? 0 : Number(position.slice(0, ROW_DIGITS));
}

export function parquetPosition(row: number): Position {
  return String(row).padStart(ROW_DIGITS, "0");
}

/** @throws TidemarkError `fix-configuration` when the position is not one of a Parquet file */
export function parseParquetPosition(position: Position, file: string): number {
  if (position !== BEGINNING && !PARQUET_POSITION.test(position)) throw foreignPosition(position, file, "Parquet");
  return rowOfPosition(position);
}

/** @throws TidemarkError `fix-configuration` when the position is not one of a file of JSON lines */
export function parseLinePosition(position: Position, file: string): LineEnd {
  if (position === BEGINNING) return { row: 0, offset: 0 };
  if (!JSON_LINES_POSITION.test(position)) throw foreignPosition(position, file, "JSON-lines");
  return { row: rowOfPosition(position), offset: Number(position.slice(ROW_DIGITS + 1)) };
}

function foreignPosition(position: Position, file: string, format: string): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `${JSON.stringify(position)} is not a position in ${file}, which is read as a ${format} file. The split belonged to a file of another kind or to another source: bind the source that it was read from.`,
  );
}

/**
 * Makes positions of lines by writing digits into one buffer: a third of the time of padding strings, and each position
 * is a flat string of its own, which keeps no larger text alive.
 */
export class LinePositions {
  readonly #text = Buffer.alloc(ROW_DIGITS + 1 + OFFSET_DIGITS, "0");

  constructor() {
    this.#text.write("-", ROW_DIGITS);
  }

  at(row: number, offset: number): Position {
    this.#writeDigits(row, ROW_DIGITS - 1);
    this.#writeDigits(offset, ROW_DIGITS + OFFSET_DIGITS);
    return this.#text.toString("latin1");
  }

  /** Both numbers only grow, so digits in front never need clearing. */
  #writeDigits(value: number, last: number): void {
    let rest = value;
    for (let index = last; rest > 0; index--) {
      const quotient = Math.floor(rest / 10);
      this.#text[index] = 48 + rest - quotient * 10;
      rest = quotient;
    }
  }
}
