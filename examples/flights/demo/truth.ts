/** What `on-time` has to come to, by DuckDB's GROUP BY, and what a checkpoint's files say, read by DuckDB. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { DuckDBConnection } from "@duckdb/node-api";
import { fromAttribute } from "../../../shared/json/attribute-value.ts";
import type { JsonValue } from "../../../shared/json/json-value.ts";
import { type DataSet, type DealtSplit, originalFlights } from "./data.ts";
import { keyedJson, quoted, withDuckDB } from "./duckdb.ts";

/** A state for each airport. There are some hundreds of airports, however many flights. */
export type States = Map<string, JsonValue>;

/** Where a split was cut: the flights at or before it. */
export interface CutSplit extends DealtSplit {
  readonly rows: number;
}

/** The state of every airport, from the original file alone. */
export function truthOfOriginal(name: DataSet, temporaryFolder: string): Promise<States> {
  return withDuckDB({ temporaryFolder }, (connection) => statesOf(connection, groupByAirport(originalFlights(name))));
}

/** The state of every airport at a cut, from the flights at or before each split's position and no other. */
export function truthAtCut(splits: readonly CutSplit[], temporaryFolder: string): Promise<States> {
  const flights = splits.map(
    ({ file, rows }) => `SELECT * FROM (
      SELECT *, row_number() OVER () AS line
      FROM read_json(${quoted(file)}, format = 'newline_delimited', columns = {date: 'VARCHAR', delay: 'BIGINT', distance: 'BIGINT', origin: 'VARCHAR', destination: 'VARCHAR'})
    ) WHERE line <= ${rows}`,
  );
  // One thread: lines are numbered in the order of the file.
  return withDuckDB({ temporaryFolder, threads: 1 }, (connection) =>
    statesOf(connection, groupByAirport(flights.join(" UNION ALL "))),
  );
}

/** The states of `on-time` in a checkpoint, by the statement with which anybody can read them. */
export async function onTimeOfCheckpoint(files: readonly string[], temporaryFolder: string): Promise<States> {
  // One of no state at all has no parts, and DuckDB reads no empty list.
  if (files.length === 0) return new Map();
  return withDuckDB({ temporaryFolder }, (connection) =>
    statesOf(
      connection,
      `SELECT Item->>'$.key.S', to_json({
        flights: (Item->>'$.state.M.flights.N')::BIGINT,
        delayed: (Item->>'$.state.M.delayed.N')::BIGINT,
        totalDelay: (Item->>'$.state.M.totalDelay.N')::BIGINT,
        worstDelay: (Item->>'$.state.M.worstDelay.N')::BIGINT,
        worstDate: Item->>'$.state.M.worstDate.S',
        destinations: Item->>'$.state.M.destinations.L[*].S'
      }) FROM ${parts(files)}`,
    ),
  );
}

/** The states of any function in a checkpoint. */
export async function statesOfCheckpoint(files: readonly string[], temporaryFolder: string): Promise<States> {
  const states: States = new Map();
  if (files.length === 0) return states;
  await withDuckDB({ temporaryFolder }, async (connection) => {
    const sql = `SELECT Item->>'$.key.S', Item->'$.state' FROM ${parts(files)}`;
    for await (const [key, json] of keyedJson(connection, sql)) states.set(key, fromAttribute(JSON.parse(json)));
  });
  return states;
}

/** The paths of a checkpoint's parts; the demo's storage is a folder. */
export function partFiles(storageUrl: string, folder: string, names: readonly string[]): string[] {
  return names.map((name) => path.join(fileURLToPath(storageUrl), folder, name));
}

const parts = (files: readonly string[]): string =>
  `read_json([${files.map(quoted).join(", ")}], format = 'newline_delimited', columns = {Item: 'JSON'})`;

const groupByAirport = (flights: string): string => `
  SELECT origin, to_json({
    flights: count(*),
    delayed: count(*) FILTER (WHERE delay > 15),
    totalDelay: sum(delay)::BIGINT,
    worstDelay: max(delay),
    worstDate: min({early: -delay, date: replace(replace(date, '/', '-'), ' ', 'T')[:16]}).date,
    destinations: list_sort(list(DISTINCT destination))
  }) FROM (${flights}) GROUP BY origin`;

async function statesOf(connection: DuckDBConnection, sql: string): Promise<States> {
  const states: States = new Map();
  for await (const [key, json] of keyedJson(connection, sql)) states.set(key, JSON.parse(json) as JsonValue);
  return states;
}
