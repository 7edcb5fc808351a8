/** The flights that benchmarks run on: real ones, from the npm package vega-datasets. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";

/** Where the package keeps its files: it exports none of them. */
function fileOf(name: string): string {
  const entry = createRequire(import.meta.url).resolve("vega-datasets");
  const marker = `${path.sep}vega-datasets${path.sep}`;
  return path.join(entry.slice(0, entry.lastIndexOf(marker) + marker.length), "data", name);
}

/** The 5,000 flights of flights-5k.json, in their order. */
export async function fiveThousandFlights(): Promise<readonly { readonly [name: string]: unknown }[]> {
  return JSON.parse(await readFile(fileOf("flights-5k.json"), "utf8")) as { readonly [name: string]: unknown }[];
}

export const THREE_MILLION = 3_000_000;

/** Writes the 3,000,000 flights of flights-3m.parquet as a file that the contenders can stream; some seconds. */
export async function writeThreeMillionFlights(file: string, format: "json-lines" | "csv"): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const how = format === "csv" ? "FORMAT csv, HEADER" : "FORMAT json";
  await connection.run(
    `COPY (SELECT date, delay, distance, origin, destination FROM ${text(fileOf("flights-3m.parquet"))}) TO ${text(file)} (${how})`,
  );
  connection.closeSync();
  instance.closeSync();
}
