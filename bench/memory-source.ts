/** Records that are in memory already, as a source of one split that ends: what is measured then is Tidemark alone. */
import { fileEvents } from "../shared/source/file/file-events.ts";
import { BEGINNING, type Position } from "../shared/source/position.ts";
import type { ReadPage, Source, SourceRecord } from "../shared/source/source.ts";

const POSITION_DIGITS = 12;

/** The record number `row`, counted from 1, of a split. */
export function memoryRecord(row: number, event: unknown): SourceRecord {
  const position = String(row).padStart(POSITION_DIGITS, "0");
  return { position, itemIdentifier: position, payload: event };
}

export function memorySource(split: string, records: readonly SourceRecord[]): Source {
  const rowAfter = (position: Position): number => (position === BEGINNING ? 0 : Number(position));
  return {
    // Its payloads are values, as those of Parquet files are.
    events: fileEvents,
    reader: {
      async *splits() {
        yield { split, parents: [] };
      },
      async *read({ after, pageRecords }): AsyncGenerator<ReadPage> {
        for (let from = rowAfter(after); ; from += pageRecords) {
          const page = records.slice(from, from + pageRecords);
          const ended = from + page.length >= records.length;
          yield { records: page, ended, caughtUp: ended };
          if (ended) return;
        }
      },
      look: async (_split, after) => {
        const holdsRecords = rowAfter(after) < records.length;
        return { holdsRecords, ended: !holdsRecords };
      },
      holdsAny: async (_split, { after, to }) => to > after && rowAfter(after) < records.length,
      missingAfter: async () => undefined,
    },
    retentionMs: async () => undefined,
  };
}
