import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TidemarkError } from "../../shared/errors.ts";
import { DEFAULT_DECODING } from "../../shared/source/decoding.ts";
import { BEGINNING } from "../../shared/source/position.ts";
import type { ReadPage, Source, SourceRecord } from "../../shared/source/source.ts";

export interface SourceUnderTest {
  readonly source: Source;
  /** The split that holds the records. */
  readonly split: string;
  /** Adds records to the split; undefined: the source cannot grow. */
  readonly append?: (texts: readonly string[]) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

export interface SourceTraits {
  /** Whether the split is ended once its last record is read. */
  readonly ends: boolean;
  /** Whether the source can hold records that are no JSON. */
  readonly holdsMalformed: boolean;
  /** Whether it says when it received a record. */
  readonly saysArrival: boolean;
}

/** Longer than one byte a character, of every kind of JSON, and one that a naive reader would cut. */
const VALUES: readonly unknown[] = [
  { n: 1 },
  { n: 2, s: "ñ" },
  { n: 3, s: "日本語 🛫" },
  { n: 4, s: "a\\nb" },
  { n: 5, nested: { list: [1, 2.5, null, true] } },
  { n: 6 },
  { n: 7, s: "" },
  { n: 8 },
];
const MALFORMED = '{"n": 9, "cut';
const HOUR_MS = 3_600_000;

/**
 * The suite of the source port.
 * @param open makes a source whose one split holds records of these texts, in this order
 */
export function sourceContract(
  name: string,
  open: (texts: readonly string[]) => Promise<SourceUnderTest>,
  traits: SourceTraits,
): void {
  describe(`source contract: ${name}`, () => {
    const texts = [...VALUES.map((value) => JSON.stringify(value)), ...(traits.holdsMalformed ? [MALFORMED] : [])];
    let under: SourceUnderTest;
    let records: readonly SourceRecord[];

    beforeAll(async () => {
      under = await open(texts);
      records = await readAll(under, BEGINNING);
    });
    afterAll(() => under?.dispose());

    test("lists the split", async () => {
      const splits = [];
      for await (const split of under.source.reader.splits()) splits.push(split);
      expect(splits).toEqual([{ split: under.split, parents: [] }]);
    });

    test("reads every record, in order, and positions are ordered as text, of one width, after the beginning", () => {
      expect(records.map((record) => decoded(under.source, record))).toEqual(expectedOf(texts));
      const positions = records.map((record) => record.position);
      expect(positions).toEqual([...new Set(positions)].sort());
      expect(new Set(positions.map((position) => position.length)).size).toBe(1);
      expect((positions[0] as string) > BEGINNING).toBe(true);
    });

    test("reads after every position exactly the rest, the same positions again", async () => {
      for (const [index, { position }] of records.entries()) {
        expect(await readAll(under, position)).toEqual(records.slice(index + 1));
      }
    });

    test.each([1, 2, 3, 1000])(
      "pages hold at most %i records, and the last one says that it is the last",
      async (pageRecords) => {
        const pages = await pagesOf(under, BEGINNING, { pageRecords });
        expect(pages.flatMap((page) => page.records)).toEqual(records);
        expect(Math.max(...pages.map((page) => page.records.length))).toBe(Math.min(pageRecords, records.length));
        for (const page of pages.slice(0, -1)) expect(page.ended).toBe(false);
        expect(pages.at(-1)).toMatchObject({ ended: traits.ends, caughtUp: true });
      },
    );

    test("two reads at once do not disturb each other", async () => {
      const [all, some] = await Promise.all([
        readAll(under, BEGINNING),
        readAll(under, (records[2] as SourceRecord).position),
      ]);
      expect(all).toEqual(records);
      expect(some).toEqual(records.slice(3));
    });

    test("an event made of read records is parsed to the same split, positions, identifiers, arrivals and payloads", () => {
      const { events } = under.source;
      const event = throughJson(events.toEvent({ split: under.split, records }));
      expect(events.parse(event)).toEqual({ split: under.split, records });
    });

    test("records say when they arrived, in ms, if the source says so at all", () => {
      for (const { arrivalTimeMs } of records) {
        if (!traits.saysArrival) expect(arrivalTimeMs).toBeUndefined();
        else expect(Math.abs(Date.now() - (arrivalTimeMs as number))).toBeLessThan(HOUR_MS);
      }
    });

    test("refuses events that are not its own, and those that mix splits", () => {
      const { events } = under.source;
      const foreign = [
        undefined,
        null,
        {},
        { Records: [] },
        { Records: [null] },
        { Records: [{ eventSource: "aws:sqs" }] },
      ];
      for (const event of foreign) {
        expect(() => events.parse(event), JSON.stringify(event)).toThrow(TidemarkError);
        expect(() => events.parse(event)).toThrow(/The event is none of/);
      }
      const [first, second] = records as [SourceRecord, SourceRecord];
      const one = events.toEvent({ split: under.split, records: [first] }) as { Records: unknown[] };
      const other = events.toEvent({ split: "another-split", records: [second] }) as { Records: unknown[] };
      expect(() => events.parse({ Records: [...one.Records, ...other.Records] })).toThrow(/mixes/);
    });

    test("a dumped payload survives JSON and decodes as before, malformed ones too", () => {
      const { events } = under.source;
      for (const record of records) {
        const payload = events.undump(throughJson(events.dump(record)) as never);
        expect(payload).toEqual(record.payload);
        expect(decoded(under.source, { ...record, payload })).toEqual(decoded(under.source, record));
      }
    });

    test("a look tells whether records follow, when the first arrived, and whether any ever will", async () => {
      const { reader } = under.source;
      const [first, last] = [records[0] as SourceRecord, records.at(-1) as SourceRecord];
      expect(await reader.look(under.split, BEGINNING)).toEqual({
        holdsRecords: true,
        ended: false,
        ...(traits.saysArrival ? { firstArrivalTimeMs: first.arrivalTimeMs } : {}),
      });
      expect(await reader.look(under.split, last.position)).toEqual({ holdsRecords: false, ended: traits.ends });
    });

    test("holdsAny says of a range whether a record is in it", async () => {
      const { reader } = under.source;
      const bounds = [
        BEGINNING,
        ...[0, 1, 5, records.length - 1].map((index) => (records[index] as SourceRecord).position),
      ];
      for (const after of bounds) {
        for (const to of bounds) {
          const expected = records.some(({ position }) => position > after && position <= to);
          expect(await reader.holdsAny(under.split, { after, to }), `(${after}, ${to}]`).toBe(expected);
        }
      }
    });

    test("nothing is missing after any position of a split that was fresh just now", async () => {
      const nowMs = Date.now();
      for (const after of [BEGINNING, ...records.map(({ position }) => position)]) {
        const request = { split: under.split, after, freshAtMs: nowMs, nowMs };
        expect(await under.source.reader.missingAfter(request)).toBeUndefined();
        for (const { position: to } of records) {
          if (to >= after) expect(await under.source.reader.missingAfter({ ...request, to })).toBeUndefined();
        }
      }
    });

    test("the retention is undefined or longer than the clocks' margin", async () => {
      const retentionMs = await under.source.retentionMs();
      if (retentionMs !== undefined) expect(retentionMs).toBeGreaterThanOrEqual(HOUR_MS);
    });

    test("a read that was aborted before it began reads nothing", async () => {
      expect(await pagesOf(under, BEGINNING, { signal: AbortSignal.abort(), follow: true })).toEqual([]);
    });

    if (traits.ends) {
      test("a follow read ends at the end", async () => {
        const pages = await pagesOf(under, BEGINNING, { follow: true });
        expect(pages.flatMap((page) => page.records)).toEqual(records);
        expect(pages.at(-1)?.ended).toBe(true);
      });
    } else {
      // The last one: it appends.
      test("a follow read hands out what is appended, then waits until it is aborted", async () => {
        const abort = new AbortController();
        const added: unknown[] = [];
        let appended = false;
        const after = (records.at(-1) as SourceRecord).position;
        const request = { split: under.split, after, pageRecords: 10, follow: true, signal: abort.signal };
        for await (const page of under.source.reader.read(request)) {
          expect(page.ended).toBe(false);
          added.push(...page.records.map((record) => decoded(under.source, record)));
          if (!page.caughtUp) continue;
          if (!appended) await under.append?.(['{"late":1}', '{"late":2}']);
          // Aborts while the read waits for more.
          else if (added.length === 2) setTimeout(() => abort.abort(), 20);
          appended = true;
        }
        expect(added).toEqual([{ late: 1 }, { late: 2 }]);
      });
    }
  });
}

async function pagesOf(
  { source, split }: SourceUnderTest,
  after: string,
  options: { readonly pageRecords?: number; readonly follow?: boolean; readonly signal?: AbortSignal } = {},
): Promise<ReadPage[]> {
  const pages: ReadPage[] = [];
  for await (const page of source.reader.read({ split, after, pageRecords: 4, follow: false, ...options }))
    pages.push(page);
  return pages;
}

async function readAll(under: SourceUnderTest, after: string): Promise<SourceRecord[]> {
  return (await pagesOf(under, after)).flatMap((page) => page.records);
}

/** What a record decodes to, or the fact that it does not. */
function decoded(source: Source, record: SourceRecord): unknown {
  try {
    return source.events.decode(record, DEFAULT_DECODING);
  } catch {
    return "MALFORMED";
  }
}

function expectedOf(texts: readonly string[]): unknown[] {
  return texts.map((text) => (text === MALFORMED ? "MALFORMED" : JSON.parse(text)));
}

/** As Lambda delivers an event, and as storage holds a dead letter. */
function throughJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
