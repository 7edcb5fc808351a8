/**
 * A function's source together with its redriven dead letters: one more split beside the source's own, which exists as
 * soon as a letter was put back.
 */
import { BEGINNING } from "../source/position.ts";
import type { LeftOut, Source, SourceEvents, SourceReader, SourceRecord } from "../source/source.ts";
import { isRedriveEvent } from "./redrive-events.ts";
import { REDRIVE_SPLIT, type RedriveLetter } from "./redrive-letter.ts";

/** Tells a redriven record from any payload that the function's own source may have. */
class Redriven {
  readonly letter: RedriveLetter;
  constructor(letter: RedriveLetter) {
    this.letter = letter;
  }
}

/** The letter of a redriven record; undefined: the record is the source's own. */
export function redrivenLetter(record: SourceRecord): RedriveLetter | undefined {
  return record.payload instanceof Redriven ? record.payload.letter : undefined;
}

const wrap = (record: SourceRecord): SourceRecord => ({
  ...record,
  payload: new Redriven(record.payload as RedriveLetter),
});

const isRedriven = ({ payload }: SourceRecord): boolean => payload instanceof Redriven;

function unwrap(record: SourceRecord): SourceRecord {
  const letter = redrivenLetter(record);
  return letter === undefined ? record : { ...record, payload: letter };
}

export function withRedrive(source: Source, redrive: Source): Source {
  return {
    events: bothEvents(source.events, redrive.events),
    reader: bothReaders(source.reader, redrive.reader),
    retentionMs: () => source.retentionMs(),
  };
}

function bothEvents(source: SourceEvents, redrive: SourceEvents): SourceEvents {
  return {
    parse(event) {
      if (!isRedriveEvent(event)) return source.parse(event);
      const { split, records } = redrive.parse(event);
      return { split, records: records.map(wrap) };
    },
    decode: (record, decoding) =>
      isRedriven(record) ? redrive.decode(unwrap(record), decoding) : source.decode(record, decoding),
    bytes: (record) => (isRedriven(record) ? redrive.bytes(unwrap(record)) : source.bytes(record)),
    dump: (record) => (isRedriven(record) ? redrive.dump(unwrap(record)) : source.dump(record)),
    undump: (dumped) => source.undump(dumped),
    toEvent: ({ split, records }) =>
      split === REDRIVE_SPLIT
        ? redrive.toEvent({ split, records: records.map(unwrap) })
        : source.toEvent({ split, records }),
  };
}

function bothReaders(source: SourceReader, redrive: SourceReader): SourceReader {
  const of = (split: string): SourceReader => (split === REDRIVE_SPLIT ? redrive : source);
  return {
    async *splits() {
      yield* source.splits();
      if ((await redrive.look(REDRIVE_SPLIT, BEGINNING)).holdsRecords) yield* redrive.splits();
    },
    ...(source.leftOut === undefined ? {} : { leftOut: () => source.leftOut?.() as LeftOut }),
    async *read(request) {
      if (request.split !== REDRIVE_SPLIT) {
        yield* source.read(request);
        return;
      }
      for await (const page of redrive.read(request)) yield { ...page, records: page.records.map(wrap) };
    },
    look: (split, after) => of(split).look(split, after),
    holdsAny: (split, range) => of(split).holdsAny(split, range),
    missingAfter: (request) => of(request.split).missingAfter(request),
  };
}
