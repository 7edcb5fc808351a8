import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseLinePosition, rowOfPosition } from "../../../shared/source/file/file-position.ts";
import { JsonLines } from "../../../shared/source/file/json-lines.ts";
import type { SourceRecord } from "../../../shared/source/source.ts";
import fc from "../../support/properties.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-lines-"));
});
afterAll(() => rm(folder, { recursive: true }));

const file = () => path.join(folder, "x.jsonl");

async function read(options: {
  readonly after?: string;
  readonly bounded: boolean;
  readonly recordsMax: number;
  readonly bufferBytes: number;
}): Promise<SourceRecord[]> {
  const handle = await open(file());
  try {
    const { after = "", ...rest } = options;
    const lines = new JsonLines({ handle, file: file(), after: parseLinePosition(after, file()), ...rest });
    const records: SourceRecord[] = [];
    for (;;) {
      const page = await lines.page();
      records.push(...page);
      if (page.length < options.recordsMax) return records;
    }
  } finally {
    await handle.close();
  }
}

/** The same by the simplest means: the whole file, split at newlines. */
function expected(bytes: Buffer, bounded: boolean): { payload: string; row: number; offset: number }[] {
  const records = [];
  let start = 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(10, start);
    if (newline === -1 && !bounded) break;
    const end = newline === -1 ? bytes.length : newline;
    const payload = bytes.toString("utf8", start, end);
    start = newline === -1 ? end : end + 1;
    if (!/^[ \t\r]*$/.test(payload)) records.push({ payload, row: records.length + 1, offset: start });
  }
  return records;
}

const line = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme", maxLength: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom("", " ", "\t\r", "\r", "é\r", "\u3000", " \u3000", "\v") },
);

test("reads what splitting the whole file gives, and goes on after any position, whatever the buffer and the pages", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        line.filter((text) => !text.includes("\n") && !text.startsWith("\uFEFF")),
        { maxLength: 30 },
      ),
      fc.boolean(),
      fc.boolean(),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(),
      async (texts, endsInNewline, bounded, bufferBytes, recordsMax, pick) => {
        const bytes = Buffer.from(texts.join("\n") + (endsInNewline ? "\n" : ""));
        await writeFile(file(), bytes);
        const wanted = expected(bytes, bounded);
        const records = await read({ bounded, recordsMax, bufferBytes });
        const seen = records.map(({ position, payload }) => ({ payload, ...parseLinePosition(position, "x") }));
        expect(seen).toEqual(wanted);
        if (records.length === 0) return;
        const at = pick % records.length;
        const after = (records[at] as SourceRecord).position;
        expect(rowOfPosition(after)).toBe(at + 1);
        expect(await read({ after, bounded, recordsMax, bufferBytes })).toEqual(records.slice(at + 1));
      },
    ),
    { numRuns: 300 },
  );
});

test("a line longer than the buffer is read whole", async () => {
  const long = JSON.stringify({ text: "x".repeat(100_000) });
  await writeFile(file(), `1\n${long}\n2\n`);
  const records = await read({ bounded: false, recordsMax: 10, bufferBytes: 16 });
  expect(records.map((record) => record.payload)).toEqual(["1", long, "2"]);
});

test("a byte order mark before the first line is no part of it", async () => {
  await writeFile(file(), '\uFEFF{"n":1}\n{"n":2}\n');
  const records = await read({ bounded: true, recordsMax: 10, bufferBytes: 1024 });
  expect(records.map((record) => record.payload)).toEqual(['{"n":1}', '{"n":2}']);
});

test("positions have a fixed width and tell the row", async () => {
  await writeFile(file(), "1\n\n22\n");
  const records = await read({ bounded: true, recordsMax: 10, bufferBytes: 1024 });
  expect(records.map((record) => record.position)).toEqual([
    "000000000001-0000000000000002",
    "000000000002-0000000000000006",
  ]);
  expect(rowOfPosition("")).toBe(0);
});
