/** What a benchmark found out, for people and as JSON. */
import Table from "cli-table3";
import type { JsonValue } from "../shared/json/json-value.ts";

/** A bound that a figure has to keep: the benchmark fails when it does not. */
export interface Expectation {
  readonly what: string;
  readonly actual: number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Report {
  readonly benchmark: string;
  /** What was compared, in sentences. */
  readonly about: readonly string[];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly expectations: readonly Expectation[];
  /** All that was measured. */
  readonly figures: { readonly [name: string]: JsonValue };
}

export function isMet({ actual, atLeast, atMost }: Expectation): boolean {
  return actual >= (atLeast ?? Number.NEGATIVE_INFINITY) && actual <= (atMost ?? Number.POSITIVE_INFINITY);
}

export function describeExpectation(expectation: Expectation): string {
  const { what, actual, atLeast, atMost } = expectation;
  const bounds = [atLeast === undefined ? "" : `at least ${atLeast}`, atMost === undefined ? "" : `at most ${atMost}`];
  return `${isMet(expectation) ? "met   " : "MISSED"}  ${what}: ${toPrecision(actual)} (${bounds.filter(Boolean).join(", ")})`;
}

export function printReport(report: Report): void {
  const table = new Table({ head: [...report.columns], style: { head: [], border: [] } });
  for (const row of report.rows) table.push([...row]);
  const lines = ["", report.benchmark, ...report.about.map((line) => `  ${line}`), table.toString()];
  for (const expectation of report.expectations) lines.push(describeExpectation(expectation));
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** Progress for people; never on stdout. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Three digits that count: no figure here is steadier than that. */
export function toPrecision(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(3));
}

export function inThousands(value: number): string {
  return toPrecision(value).toLocaleString("en-US");
}
