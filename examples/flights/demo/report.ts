/** The demo's figures, for machines and for people. */
import Table from "cli-table3";
import { formatDuration } from "../../../cli/duration.ts";
import type { BackendName } from "../../../local/home.ts";
import type { DataSet } from "./data.ts";
import type { Told } from "./story.ts";
import type { Verdict } from "./verdict.ts";
import type { Watch } from "./watch.ts";

export interface DemoReport {
  readonly dataSet: DataSet;
  readonly backend: BackendName;
  readonly flights: number;
  readonly airports: number;
  /** Airports of which all is as it has to be: state and hash chains, at the end and in the restored checkpoint. */
  readonly identical: number;
  /** Of the same airports: those whose state at the end, state in the checkpoint, hash chains are. */
  readonly onTimeIdentical: number;
  readonly checkpointIdentical: number;
  readonly hashChainsIdentical: number;
  readonly hashChains: number;
  readonly checkpoints: number;
  readonly checkpointsWhileFlowing: number;
  readonly checkpointsAborted: number;
  readonly batches: number;
  /** Events folded by both functions, replays included; absent with heap. */
  readonly events?: number;
  /** DynamoDB, in all; 0 with heap. */
  readonly requests: number;
  readonly readUnits: number;
  readonly writeUnits: number;
  /** Of all completed checkpoints, as stored. */
  readonly bytes: number;
  readonly restoreSeconds: number;
  readonly seconds: number;
  readonly killedWorker: Told["crash"];
  readonly restoredCheckpoint: number;
  readonly newestBadCheckpoint: number;
  readonly badFlights: number;
  readonly deletedItems: number;
  readonly replayedFlights: number;
  readonly flightsToComeAtRestore: number;
}

export function reportOf(
  run: { readonly dataSet: DataSet; readonly backend: BackendName; readonly flights: number; readonly seconds: number },
  parts: { readonly told: Told; readonly verdict: Verdict; readonly watch: Watch },
): DemoReport {
  const { told, verdict, watch } = parts;
  const { comparisons: _differences, ...counts } = verdict;
  const requests = watch.progress?.requests;
  return {
    dataSet: run.dataSet,
    backend: run.backend,
    flights: run.flights,
    ...counts,
    checkpoints: watch.completed,
    checkpointsWhileFlowing: watch.completedWhileFlowing,
    checkpointsAborted: watch.aborted,
    batches: watch.batches,
    ...(requests === undefined ? {} : { events: watch.folded }),
    requests: requests?.requests ?? 0,
    readUnits: requests?.readUnits ?? 0,
    writeUnits: requests?.writeUnits ?? 0,
    bytes: watch.checkpointBytes,
    restoreSeconds: told.restored.seconds,
    seconds: run.seconds,
    killedWorker: told.crash,
    restoredCheckpoint: told.restored.checkpoint,
    newestBadCheckpoint: told.bad.lastBad,
    badFlights: told.bad.flights,
    deletedItems: told.bad.deletedItems,
    replayedFlights: told.restored.replayedFlights,
    flightsToComeAtRestore: told.restored.toCome,
  };
}

export function isIdentical({ identical, airports }: Pick<DemoReport, "identical" | "airports">): boolean {
  return airports > 0 && identical === airports;
}

const DIFFERENCES_SHOWN = 5;

/** What differs, a few of each kind; then the table; then the verdict, as the last line. */
export function inWords(report: DemoReport, { comparisons }: Pick<Verdict, "comparisons">): string {
  const lines = comparisons.flatMap(({ what, different }) => [
    ...[...different].slice(0, DIFFERENCES_SHOWN).map(([airport, how]) => `${what}: ${airport} ${how}`),
    ...(different.size > DIFFERENCES_SHOWN ? [`${what}: ${different.size - DIFFERENCES_SHOWN} more differ`] : []),
  ]);
  return [...lines, tableOf(report), `identical: ${report.identical} of ${report.airports} airports`].join("\n");
}

function tableOf(report: DemoReport): string {
  const { events, requests, readUnits, writeUnits, airports } = report;
  const perEvent = (count: number): string => (events === undefined ? "-" : (count / events).toFixed(3));
  const table = new Table({ style: { head: [], border: [] }, colAligns: ["left", "right"] });
  table.push(
    ["airports", airports],
    ["flights", report.flights],
    ["batches", report.batches],
    ["checkpoints", `${report.checkpoints} (${report.checkpointsWhileFlowing} while flights flowed)`],
    ["DynamoDB requests per event", perEvent(requests)],
    ["DynamoDB read units per event", perEvent(readUnits)],
    ["DynamoDB write units per event", perEvent(writeUnits)],
    ["bytes of checkpoints", report.bytes],
    ["seconds to restore", report.restoreSeconds.toFixed(1)],
    ["flights replayed", report.replayedFlights],
    ["in all", formatDuration(report.seconds * 1000)],
    ["state equal to DuckDB's GROUP BY", `${report.onTimeIdentical} of ${airports} airports`],
    ["restored checkpoint equal, too", `${report.checkpointIdentical} of ${airports} airports`],
    [`all ${report.hashChains} hash chains equal`, `${report.hashChainsIdentical} of ${airports} airports`],
  );
  return `\n${table.toString()}`;
}
