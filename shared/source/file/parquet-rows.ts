/** Reads the rows of a Parquet file, a row group at a time, as JSON values. */
import type { FileHandle } from "node:fs/promises";
import type { AsyncBuffer, DecodedArray, FileMetaData } from "hyparquet";
import { describeThrown, TidemarkError } from "../../errors.ts";
import type { JsonValue } from "../../json/json-value.ts";
import type { SourceRecord } from "../source.ts";
import { parquetPosition } from "./file-position.ts";

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

export class ParquetRows {
  readonly #file: string;
  readonly #buffer: AsyncBuffer;
  readonly #libraries: Awaited<ReturnType<typeof loadLibraries>>;
  readonly #metadata: FileMetaData;
  readonly rowCount: number;

  private constructor(
    file: string,
    buffer: AsyncBuffer,
    libraries: Awaited<ReturnType<typeof loadLibraries>>,
    metadata: FileMetaData,
  ) {
    this.#file = file;
    this.#buffer = buffer;
    this.#libraries = libraries;
    this.#metadata = metadata;
    this.rowCount = Number(metadata.num_rows);
  }

  /**
   * Reads the file's footer.
   * @throws TidemarkError `fix-configuration` when it is no Parquet file
   */
  static async open(handle: FileHandle, file: string): Promise<ParquetRows> {
    const libraries = await loadLibraries();
    const buffer = await bufferOf(handle);
    const metadata = await libraries.parquetMetadataAsync(buffer).catch((cause: unknown) => {
      throw unreadable(file, cause);
    });
    return new ParquetRows(file, buffer, libraries, metadata);
  }

  /** Pages of records after a row. One row group's columns are in memory at a time, and one page of rows. */
  async *pages(afterRow: number, pageRecords: number): AsyncGenerator<SourceRecord[]> {
    const { parquetSchema } = this.#libraries;
    const names = parquetSchema(this.#metadata).children.map((child) => child.element.name);
    let groupStart = 0;
    for (const group of this.#metadata.row_groups) {
      const groupEnd = groupStart + Number(group.num_rows);
      const from = Math.max(groupStart, afterRow);
      if (from < groupEnd) {
        const columns = await this.#columns(names, from, groupEnd);
        for (let row = from; row < groupEnd; row += pageRecords) {
          const page: SourceRecord[] = [];
          for (let index = row; index < Math.min(row + pageRecords, groupEnd); index++) {
            const position = parquetPosition(index + 1);
            page.push({ position, itemIdentifier: position, payload: rowAt(names, columns, index - from) });
          }
          yield page;
        }
      }
      groupStart = groupEnd;
    }
  }

  async #columns(names: readonly string[], rowStart: number, rowEnd: number): Promise<DecodedArray[]> {
    const { parquetScan, compressors } = this.#libraries;
    try {
      const scan = await parquetScan({
        file: this.#buffer,
        metadata: this.#metadata,
        compressors,
        rowStart,
        rowEnd,
      });
      return await Promise.all(names.map((column) => scan.readColumn({ column, rowStart, rowEnd })));
    } catch (cause) {
      throw unreadable(this.#file, cause);
    }
  }
}

function rowAt(names: readonly string[], columns: readonly DecodedArray[], index: number): JsonValue {
  const row: Record<string, JsonValue> = {};
  for (let column = 0; column < names.length; column++) {
    row[names[column] as string] = jsonOf((columns[column] as DecodedArray)[index]);
  }
  return row;
}

/**
 * A decoded Parquet value as JSON: integers that a number cannot hold become strings, times ISO strings, bytes base64,
 * and what JSON has no word for (NaN, infinities, missing) null.
 */
export function jsonOf(value: unknown): JsonValue {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : null;
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
    case "object": {
      if (value === null) return null;
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
      if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
      if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as Iterable<unknown>, jsonOf);
      return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, jsonOf(member)]));
    }
    default:
      return null;
  }
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

function unreadable(file: string, cause: unknown): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `${file} cannot be read as Parquet: ${describeThrown(cause)}. Its name says Parquet: write it again, or give it the ending of what it holds.`,
    { cause },
  );
}
