/**
 * The reader half of redriven records. They are numbered without gaps, so the next one is found, or found missing, by
 * one GET; the split is never ended.
 */
import type { Clock } from "../environment.ts";
import { pause } from "../source/pause.ts";
import { laterOf } from "../source/position.ts";
import type { ReadPage, SourceReader, SourceRecord } from "../source/source.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { REDRIVE_SPLIT, readRedriven, redriveNumber, redrivePosition } from "./redrive-letter.ts";

/** How long a follow read rests once it has read all. Letters are put back by hand. */
const FOLLOW_POLL_MS = 5_000;

/** Cost: one GET a record, one more to know that it has read all; a look is one GET. */
export function redriveReader(storage: CheckpointStorage, functionName: string, clock: Clock): SourceReader {
  async function recordAt(number: number): Promise<SourceRecord | undefined> {
    const redriven = await readRedriven(storage, functionName, number);
    if (redriven === undefined) return undefined;
    const position = redrivePosition(number);
    const arrivalTimeMs = Date.parse(redriven.redrivenAt);
    return { position, itemIdentifier: position, arrivalTimeMs, payload: redriven.letter };
  }

  return {
    async *splits() {
      yield { split: REDRIVE_SPLIT, parents: [] };
    },

    async *read({ after, pageRecords, follow, signal }): AsyncGenerator<ReadPage> {
      const aborted = (): boolean => signal?.aborted === true;
      let number = redriveNumber(after);
      while (!aborted()) {
        const records: SourceRecord[] = [];
        while (records.length < pageRecords && !aborted()) {
          const record = await recordAt(number + 1);
          if (record === undefined) break;
          records.push(record);
          number++;
        }
        if (aborted()) return;
        const caughtUp = records.length < pageRecords;
        yield { records, ended: false, caughtUp };
        if (caughtUp && !follow) return;
        if (caughtUp) await pause(clock, FOLLOW_POLL_MS, signal);
      }
    },

    async look(_split, after) {
      const first = await recordAt(redriveNumber(after) + 1);
      if (first?.arrivalTimeMs === undefined) return { holdsRecords: first !== undefined, ended: false };
      return { holdsRecords: true, ended: false, firstArrivalTimeMs: first.arrivalTimeMs };
    },

    async holdsAny(_split, { after, to }) {
      return to > after && (await recordAt(redriveNumber(after) + 1)) !== undefined;
    },

    async missingAfter({ after: cut, to = cut }) {
      // Numbers have no gaps: whoever has the last one has those before it.
      const after = laterOf(cut, to);
      const number = redriveNumber(after);
      if (number === 0 || (await recordAt(number)) !== undefined) return undefined;
      return `the redriven record ${after} is no longer in ${storage.url}, and those after it may be gone as well`;
    },
  };
}
