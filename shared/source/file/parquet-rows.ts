/** Reads the rows of a Parquet file, a row group at a time, as JSON values. */
import type { FileHandle } from "node:fs/promises";
import type { AsyncBuffer, DecodedArray, FileMetaData } from "hyparquet";
import { describeThrown, TidemarkError } from "../../errors.ts";
import type { JsonValue } from "../../json/json-value.ts";
import type { SourceRecord } from "../source.ts";
import { parquetPosition } from "./file-position.ts";
import {
  asFound,
  type Column,
  columnsOf,
  strictParsers,
  UnreadableValue,
  type UnreadColumn,
  unreadColumns,
  withoutConversions,
} from "./parquet-values.ts";
import { UnreadableRow } from "./unreadable-row.ts";

/** The packages are needed only where Parquet is read: they are loaded then, and may be missing elsewhere. */
async function loadLibraries() {
  try {
    const [parquet, { compressors }] = await Promise.all([import("hyparquet"), import("hyparquet-compressors")]);
    return { ...parquet, compressors };
  } catch (cause) {
    throw new TidemarkError(
      "fix-configuration",
      "Reading Parquet needs the packages hyparquet and hyparquet-compressors: npm install hyparquet hyparquet-compressors",
      { cause },
    );
  }
}

interface OpenedFile {
  readonly file: string;
  readonly buffer: AsyncBuffer;
  readonly libraries: Awaited<ReturnType<typeof loadLibraries>>;
  readonly metadata: FileMetaData;
  readonly columns: readonly Column[];
}

export class ParquetRows {
  readonly #opened: OpenedFile;
  readonly rowCount: number;

  private constructor(opened: OpenedFile) {
    this.#opened = opened;
    this.rowCount = Number(opened.metadata.num_rows);
  }

  /**
   * Reads the file's footer.
   * @throws TidemarkError `fix-configuration` when it is no Parquet file, or has a column that cannot be read
   */
  static async open(handle: FileHandle, file: string): Promise<ParquetRows> {
    const libraries = await loadLibraries();
    const buffer = await bufferOf(handle);
    const metadata = await libraries.parquetMetadataAsync(buffer).catch((cause: unknown) => {
      throw unreadable(file, cause);
    });
    const schema = libraries.parquetSchema(metadata);
    const unread = unreadColumns(schema);
    if (unread.length > 0) throw unreadColumn(file, unread);
    return new ParquetRows({
      file,
      buffer,
      libraries,
      metadata: withoutConversions(metadata),
      columns: columnsOf(schema),
    });
  }

  /** Pages of records after a row. One row group's columns are in memory at a time, and one page of rows. */
  async *pages(afterRow: number, pageRecords: number): AsyncGenerator<SourceRecord[]> {
    const { columns, metadata } = this.#opened;
    let groupStart = 0;
    for (const group of metadata.row_groups) {
      const groupEnd = groupStart + Number(group.num_rows);
      const from = Math.max(groupStart, afterRow);
      if (from < groupEnd) {
        const values = await this.#valuesOf(from, groupEnd);
        for (let row = from; row < groupEnd; row += pageRecords) {
          const page: SourceRecord[] = [];
          for (let index = row; index < Math.min(row + pageRecords, groupEnd); index++) {
            const position = parquetPosition(index + 1);
            page.push({ position, itemIdentifier: position, payload: rowAt(columns, values, index - from) });
          }
          yield page;
        }
      }
      groupStart = groupEnd;
    }
  }

  /** Of each column, the rows from `rowStart` to before `rowEnd`. */
  async #valuesOf(rowStart: number, rowEnd: number): Promise<DecodedArray[]> {
    const { file, buffer, libraries, metadata, columns } = this.#opened;
    const { parquetScan, compressors } = libraries;
    try {
      const options = { file: buffer, metadata, compressors, rowStart, rowEnd };
      const scan = await parquetScan({ ...options, parsers: strictParsers, utf8: false, geoparquet: false });
      return await Promise.all(columns.map(({ name }) => scan.readColumn({ column: name, rowStart, rowEnd })));
    } catch (cause) {
      throw unreadable(file, cause);
    }
  }
}

/** The row's values by their columns, or what keeps it from being read. */
function rowAt(columns: readonly Column[], values: readonly DecodedArray[], index: number): unknown {
  const row: Record<string, unknown> = {};
  for (let column = 0; column < columns.length; column++) {
    const { name, read } = columns[column] as Column;
    try {
      row[name] = read((values[column] as DecodedArray)[index]);
    } catch (thrown) {
      if (!(thrown instanceof UnreadableValue)) throw thrown;
      return unreadableRow(columns, values, index);
    }
  }
  return row;
}

function unreadableRow(columns: readonly Column[], values: readonly DecodedArray[], index: number): UnreadableRow {
  const row: Record<string, unknown> = {};
  let first: UnreadableValue | undefined;
  for (const [column, { name, read }] of columns.entries()) {
    const raw: unknown = (values[column] as DecodedArray)[index];
    try {
      row[name] = read(raw);
    } catch (thrown) {
      if (!(thrown instanceof UnreadableValue)) throw thrown;
      first ??= thrown;
      row[name] = asFound(raw);
    }
  }
  return new UnreadableRow((first as UnreadableValue).message, row as JsonValue);
}

async function bufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) throw new Error(`the file ends at byte ${start + filled}, its footer says more follows`);
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

function unreadColumn(file: string, unread: readonly UnreadColumn[]): TidemarkError {
  const which = unread.map(({ name, what }) => `the column ${JSON.stringify(name)} ${what}`).join("; ");
  return new TidemarkError(
    "fix-configuration",
    `${file} cannot be read: ${which}. Write the file without it, or with it as another type: DuckDB does by COPY (SELECT * EXCLUDE ("${unread[0]?.name}") FROM 'old.parquet') TO 'new.parquet'.`,
  );
}

function unreadable(file: string, cause: unknown): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `${file} cannot be read as Parquet: ${describeThrown(cause)}. Its name says Parquet: write it again, or give it the ending of what it holds.`,
    { cause },
  );
}
