import type { Clock } from "../../environment.ts";
import type { Source } from "../source.ts";
import { fileEvents } from "./file-events.ts";
import { FileReader } from "./file-reader.ts";
import { FileSplits } from "./file-splits.ts";

export interface FileSourceOptions {
  /** A file, a folder, or a path whose last parts hold `*`: `flights.jsonl`, `data`, `data/*.parquet`. */
  readonly pattern: string;
  /** Where relative paths begin. */
  readonly baseFolder: string;
  /**
   * Tails files of JSON lines: what is appended is read, the splits never end.
   * @default false - a file ends at its end; what is appended later, a later reading goes on with
   */
  readonly follow?: boolean;
  readonly clock: Clock;
}

/**
 * Files as a source: each file is a split, its records for ever there. JSON lines, also gzipped, and Parquet are told by their
 * first bytes.
 * @throws TidemarkError `fix-configuration` when there is no such file or folder, or it is a file that cannot be read
 */
export async function openFileSource({
  pattern,
  baseFolder,
  follow = false,
  clock,
}: FileSourceOptions): Promise<Source> {
  const splits = await FileSplits.open(pattern, baseFolder);
  return {
    events: fileEvents,
    reader: new FileReader({ splits, tails: follow, clock }),
    retentionMs: async () => undefined,
  };
}
