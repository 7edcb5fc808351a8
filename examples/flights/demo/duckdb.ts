/** DuckDB, which deals the flights and is the judge at the end: nothing of Tidemark computes what it computes. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { importOptional } from "../../../local/optional-package.ts";

export interface DuckDBOptions {
  /** Where DuckDB puts what outgrows its memory. */
  readonly temporaryFolder: string;
  /** @default 2 */
  readonly threads?: number;
}

const MEMORY_MAX = "384MB";

/** Runs `work` on a database of its own, in memory and bounded; nothing of it is left afterwards. */
export async function withDuckDB<Result>(
  options: DuckDBOptions,
  work: (connection: DuckDBConnection) => Promise<Result>,
): Promise<Result> {
  const { DuckDBInstance } = await importOptional<typeof import("@duckdb/node-api")>("@duckdb/node-api", "The demo");
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: MEMORY_MAX,
    temp_directory: options.temporaryFolder,
    threads: String(options.threads ?? 2),
  });
  try {
    const connection = await instance.connect();
    try {
      return await work(connection);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

/** A text as SQL writes it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Rows of two texts, a key and JSON, one by one. */
export async function* keyedJson(
  connection: DuckDBConnection,
  sql: string,
): AsyncGenerator<readonly [key: string, json: string]> {
  for await (const rows of (await connection.stream(sql)).yieldRows()) {
    for (const [key, json] of rows) yield [String(key), String(json)];
  }
}
