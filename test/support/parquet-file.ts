import { DuckDBInstance } from "@duckdb/node-api";

/** Writes the rows of an SQL query to a Parquet file; `options` are those of DuckDB's COPY. */
export async function writeParquet(file: string, query: string, options = ""): Promise<void> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  try {
    await connection.run(`COPY (${query}) TO '${file}' (FORMAT parquet${options})`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
