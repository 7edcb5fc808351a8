/**
 * A replayable source in memory for tests of the protocol: splits of JSON values at positions 1, 2, 3, …, which can be
 * trimmed, ended and extended.
 */
import type { JsonValue } from "../../shared/json/json-value.ts";
import type { Position } from "../../shared/source/position.ts";
import type { ReadPage, Source, SourceRecord } from "../../shared/source/source.ts";

const POSITION_DIGITS = 6;

export const at = (number: number): Position => String(number).padStart(POSITION_DIGITS, "0");
export const numberAt = (position: Position): number => (position === "" ? 0 : Number(position));

export interface ListSplit {
  readonly values: JsonValue[];
  /** Records at or before this number are gone. */
  trimmedTo: number;
  ended: boolean;
  parents: string[];
  arrivalTimeMs: (number: number) => number;
}

export class ListSource implements Source {
  readonly splits = new Map<string, ListSplit>();
  retention: number | undefined;

  add(split: string, values: readonly JsonValue[], more: Partial<ListSplit> = {}): ListSplit {
    const added: ListSplit = {
      values: [...values],
      trimmedTo: 0,
      ended: false,
      parents: [],
      arrivalTimeMs: (number) => number,
      ...more,
    };
    this.splits.set(split, added);
    return added;
  }

  retentionMs(): Promise<number | undefined> {
    return Promise.resolve(this.retention);
  }

  /** Records `from` to `to`, both included, as they would be delivered. */
  records(split: string, from: number, to: number): SourceRecord[] {
    const { values, trimmedTo, arrivalTimeMs } = this.split(split);
    const records: SourceRecord[] = [];
    for (let number = Math.max(from, trimmedTo + 1); number <= Math.min(to, values.length); number += 1) {
      const position = at(number);
      records.push({
        position,
        itemIdentifier: position,
        arrivalTimeMs: arrivalTimeMs(number),
        payload: JSON.stringify(values[number - 1]),
      });
    }
    return records;
  }

  readonly events: Source["events"] = {
    parse: (event) => event as { split: string; records: SourceRecord[] },
    decode: (record) => JSON.parse(record.payload as string),
    bytes: (record) => Buffer.from(record.payload as string),
    dump: (record) => record.payload as string,
    undump: (dumped) => dumped,
    toEvent: (batch) => batch,
  };

  readonly reader: Source["reader"] = {
    splits: () => this.describe(),
    read: (request) => this.read(request),
    look: async (split, after) => {
      const { values, ended } = this.split(split);
      const [first] = this.records(split, numberAt(after) + 1, values.length);
      return {
        holdsRecords: first !== undefined,
        ended: ended && first === undefined,
        ...(first?.arrivalTimeMs === undefined ? {} : { firstArrivalTimeMs: first.arrivalTimeMs }),
      };
    },
    holdsAny: async (split, { after, to }) => this.records(split, numberAt(after) + 1, numberAt(to)).length > 0,
    missingAfter: async ({ split, after }) =>
      this.split(split).trimmedTo > numberAt(after)
        ? `records up to ${at(this.split(split).trimmedTo)} have expired`
        : undefined,
  };

  private async *describe(): AsyncGenerator<{ split: string; parents: string[] }> {
    for (const [split, { parents }] of this.splits) yield { split, parents };
  }

  private async *read(request: Parameters<Source["reader"]["read"]>[0]): AsyncGenerator<ReadPage> {
    let number = numberAt(request.after);
    for (;;) {
      const { values, ended, trimmedTo } = this.split(request.split);
      number = Math.max(number, trimmedTo);
      const records = this.records(request.split, number + 1, number + request.pageRecords);
      number = numberAt(records.at(-1)?.position ?? at(number));
      const caughtUp = number >= values.length;
      yield { records, ended: caughtUp && ended, caughtUp };
      if (caughtUp) return;
    }
  }

  private split(name: string): ListSplit {
    const split = this.splits.get(name);
    if (split === undefined) throw new Error(`the test has no split ${name}`);
    return split;
  }
}
