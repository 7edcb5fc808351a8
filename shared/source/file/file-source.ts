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
   * @default false - a file ends at its end
   */
  readonly follow?: boolean;
  readonly clock: Clock;
}

/**
 * Files as a source: each file is a split, its records for ever there.
 * @throws TidemarkError `fix-configuration` when there is no such file or folder
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
