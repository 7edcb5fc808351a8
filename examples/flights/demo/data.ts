/**
 * Real flights, and how they become splits (four in the demo): the k-th flight of an airport goes to split k mod 4, so
 * that every airport is in all four as far as it has four flights. Order within a split is that of the original file.
 */
import { mkdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { TidemarkError } from "../../../shared/errors.ts";
import { quoted, withDuckDB } from "./duckdb.ts";

/** Rows of the original, from the first; all of them where there is no number. */
const DATA_SETS = {
  "2k": { file: "flights-2k.json" },
  "20k": { file: "flights-20k.json" },
  // flights-200k.json has neither airports nor dates.
  "200k": { file: "flights-3m.parquet", rows: 200_000 },
  "3m": { file: "flights-3m.parquet" },
} as const;

export type DataSet = keyof typeof DATA_SETS;
export const DATA_SET_NAMES = Object.keys(DATA_SETS) as readonly DataSet[];

export const SPLITS = 4;

export interface DealtSplit {
  /** The split's name, which is its file's. */
  readonly split: string;
  readonly file: string;
  readonly flights: number;
}

/**
 * A query of the original file, with columns `row`, `date` (text), `delay`, `distance`, `origin` and `destination`.
 * @throws TidemarkError `fix-configuration` when vega-datasets is not installed
 */
export function originalFlights(name: DataSet): string {
  const { file, rows } = { rows: undefined, ...DATA_SETS[name] };
  const original = quoted(path.join(datasetsFolder(), file));
  if (file.endsWith(".parquet")) {
    return `SELECT file_row_number AS row, strftime(date, '%Y-%m-%dT%H:%M') AS date, delay, distance, origin, destination
      FROM read_parquet(${original}, file_row_number = true)${rows === undefined ? "" : ` WHERE file_row_number < ${rows}`}`;
  }
  return `SELECT row_number() OVER () AS row, date, delay, distance, origin, destination
    FROM read_json(${original}, format = 'array', columns = {date: 'VARCHAR', delay: 'BIGINT', distance: 'BIGINT', origin: 'VARCHAR', destination: 'VARCHAR'})`;
}

/** Deals the flights into files of JSON lines in `folder`, in bounded memory. */
export async function dealFlights(name: DataSet, folder: string, splits = SPLITS): Promise<readonly DealtSplit[]> {
  await mkdir(folder, { recursive: true });
  const dealt: DealtSplit[] = [];
  await withDuckDB({ temporaryFolder: path.join(folder, "duckdb") }, async (connection) => {
    await connection.run(`CREATE TEMP TABLE dealt AS
      SELECT *, (row_number() OVER (PARTITION BY origin ORDER BY row) % ${splits})::TINYINT AS split
      FROM (${originalFlights(name)})`);
    for (let index = 0; index < splits; index++) {
      const split = `flights-${index}.jsonl`;
      const file = path.join(folder, split);
      const copied = await connection.run(
        `COPY (SELECT date, delay, distance, origin, destination FROM dealt WHERE split = ${index} ORDER BY row)
          TO ${quoted(file)} (FORMAT JSON)`,
      );
      dealt.push({ split, file, flights: copied.rowsChanged });
      // DuckDB has answered when the file is whole; a missing one would show only as flights that never come.
      await stat(file);
    }
  });
  return dealt;
}

function datasetsFolder(): string {
  try {
    return path.resolve(path.dirname(createRequire(import.meta.url).resolve("vega-datasets")), "../data");
  } catch (cause) {
    throw new TidemarkError(
      "fix-configuration",
      "The demo needs the package vega-datasets, which is not installed: npm install --save-dev vega-datasets",
      { cause },
    );
  }
}
