import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseLinePosition, rowOfPosition } from "../../../shared/source/file/file-position.ts";
import { JsonLines, lineAfter, type UnfinishedLine } from "../../../shared/source/file/json-lines.ts";
import { openFile } from "../../../shared/source/file/open-file.ts";
import type { SourceRecord } from "../../../shared/source/source.ts";
import fc from "../../support/properties.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-lines-"));
});
afterAll(() => rm(folder, { recursive: true }));

const file = () => path.join(folder, "x.jsonl");

interface Found {
  readonly records: SourceRecord[];
  readonly unfinished: UnfinishedLine | undefined;
}

async function read(
  options: { readonly after?: string; readonly recordsMax?: number; readonly bufferBytes?: number } = {},
): Promise<Found> {
  const { after = "", recordsMax = 10, bufferBytes = 1024 } = options;
  const opened = await openFile(file());
  try {
    const { row } = parseLinePosition(after, file());
    const start = await lineAfter(opened.bytes, parseLinePosition(after, file()));
    if ("changed" in start) throw new Error(start.changed);
    const lines = new JsonLines({
      bytes: opened.bytes,
      file: file(),
      row,
      offset: start.offset,
      recordsMax,
      bufferBytes,
    });
    const records: SourceRecord[] = [];
    for (;;) {
      const page = await lines.page();
      records.push(...page);
      if (page.length < recordsMax) return { records, unfinished: lines.unfinished };
    }
  } finally {
    await opened.close();
  }
}

const payloadsOf = async (after?: string) =>
  (await read(after === undefined ? {} : { after })).records.map(({ payload }) => payload);

/** The same by the simplest means: the whole file, split at newlines. */
function expected(bytes: Buffer): { payload: string; row: number; offset: number }[] {
  const records = [];
  let start = 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(10, start);
    const end = newline === -1 ? bytes.length : newline;
    const payload = bytes.toString("utf8", start, end);
    const text = payload.replace(/[ \t\r]+$/, "");
    if (newline === -1 && !isWhole(text)) break;
    if (text !== "") {
      records.push({ payload, row: records.length + 1, offset: start + Buffer.byteLength(text) + 1 });
    }
    start = newline === -1 ? end : end + 1;
  }
  return records;
}

function isWhole(text: string): boolean {
  try {
    JSON.parse(text);
    return !/^[ \t\r]*[-\d]/.test(text);
  } catch {
    return false;
  }
}

const line = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme", maxLength: 12 }) },
  { weight: 2, arbitrary: fc.json({ maxDepth: 2, noUnicodeString: false }).filter((text) => !text.includes("\n")) },
  { weight: 1, arbitrary: fc.constantFrom("", " ", "\t\r", "\r", "é\r", "\u3000", " \u3000", "\v", '{"é":1} \r') },
);

test("reads what splitting the whole file gives, packed or not, and goes on after any position, whatever the buffer and the pages", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        line.filter((text) => !text.includes("\n") && !text.includes("\uFEFF")),
        { maxLength: 30 },
      ),
      fc.boolean(),
      fc.boolean(),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(),
      async (texts, endsInNewline, packed, bufferBytes, recordsMax, pick) => {
        const bytes = Buffer.from(texts.join("\n") + (endsInNewline ? "\n" : ""));
        const cut = pick % (bytes.length + 1);
        // Two members, cut anywhere, also within a character.
        await writeFile(
          file(),
          packed ? Buffer.concat([gzipSync(bytes.subarray(0, cut)), gzipSync(bytes.subarray(cut))]) : bytes,
        );
        const wanted = expected(bytes);
        const { records } = await read({ recordsMax, bufferBytes });
        const seen = records.map(({ position, payload }) => ({ payload, ...parseLinePosition(position, "x") }));
        expect(seen).toEqual(wanted);
        if (records.length === 0) return;
        const at = pick % records.length;
        const after = (records[at] as SourceRecord).position;
        expect(rowOfPosition(after)).toBe(at + 1);
        expect((await read({ after, recordsMax, bufferBytes })).records).toEqual(records.slice(at + 1));
      },
    ),
    { numRuns: 300 },
  );
});

test("a file that is written in two halves gives the positions of the whole one, wherever it was cut", async () => {
  const lines = ['{"a":1}', '{"a":"é"}\r', "", ' {"a":[2]} ', "[3]", '"4"', "true", "123", '{"a":5}\r'];
  const bytes = Buffer.from(`${lines.join("\n")}\n`);
  await writeFile(file(), bytes);
  const whole = (await read()).records;
  expect(whole).toHaveLength(8);
  for (let cut = 0; cut <= bytes.length; cut++) {
    await writeFile(file(), bytes.subarray(0, cut));
    const before = (await read()).records;
    await appendFile(file(), bytes.subarray(cut));
    const after = before.at(-1)?.position ?? "";
    const rest = (await read({ after })).records;
    expect(
      [...before, ...rest].map(({ position }) => position),
      `cut at ${cut}`,
    ).toEqual(whole.map(({ position }) => position));
  }
});

describe("a last line without an end", () => {
  test.each(['{"a":1}', "[1]", '"1"', "true", "null", '{"a":1}\r', ' {"é":1} '])(
    "that is whole (%j) is a record",
    async (text) => {
      await writeFile(file(), `{"n":0}\n${text}`);
      const { records, unfinished } = await read();
      expect(records.map(({ payload }) => payload)).toEqual(['{"n":0}', text]);
      expect(unfinished).toBeUndefined();
    },
  );

  test.each([
    ["an object", '{"a":'],
    ["a number, which may go on", "123"],
    ["a negative number", " -1"],
    ["a literal", "tru"],
    ["a character", Buffer.from('"é').subarray(0, 2)],
    ["what will never be JSON", "oops"],
    ["a byte of another encoding", Buffer.from('{"a":"\xe9"}', "latin1")],
  ])("that may be a part of %s is left unread, and named", async (_case, text) => {
    await writeFile(file(), Buffer.concat([Buffer.from('{"n":0}\n'), Buffer.from(text)]));
    const { records, unfinished } = await read();
    expect(records).toHaveLength(1);
    expect(unfinished).toEqual({ row: 2, offset: 8 });
  });

  test.each(["", " ", "\t\r", "\uFEFF", "\uFEFF \r"])("that is blank (%j) is nothing", async (text) => {
    await writeFile(file(), `{"n":0}\n${text}`);
    const { records, unfinished } = await read();
    expect(records).toHaveLength(1);
    expect(unfinished).toBeUndefined();
  });

  test.each(["", "\r", " \t"])("that was a record is none again once its end (%j) is written", async (end) => {
    await writeFile(file(), '{"n":0}\n{"n":1}');
    const after = (await read()).records.at(-1)?.position;
    await appendFile(file(), `${end}\n{"n":2}\n`);
    expect(await payloadsOf(after)).toEqual(['{"n":2}']);
  });

  test("that was a record stays one when another is put right behind it", async () => {
    await writeFile(file(), '{"n":0}\n{"n":1}');
    const after = (await read()).records.at(-1)?.position;
    await appendFile(file(), '{"n":2}\n{"n":3}\n');
    const { records } = await read({ after: after as string });
    expect(records.map(({ payload, position }) => [payload, rowOfPosition(position)])).toEqual([
      ['{"n":2}', 3],
      ['{"n":3}', 4],
    ]);
  });
});

test.each([
  ["shorter", "1\n"],
  ["of other lines", '{"nnnnnnnnnn":0}\n{"n":1}\n'],
  ["of a line that goes on", '{"n":0}\n{"n":"x y"}\n'],
  ["of blanks", `{"n":0}${" ".repeat(20)}\n`],
])("a file that is %s now is not the one that was read", async (_case, text) => {
  await writeFile(file(), '{"n":0}\n{"n":1}\n');
  const after = (await read()).records.at(-1)?.position as string;
  await writeFile(file(), text);
  await expect(read({ after })).rejects.toThrow(/was (?:truncated|changed) or replaced/);
});

test("a line longer than the buffer is read whole", async () => {
  const long = JSON.stringify({ text: "x".repeat(100_000) });
  await writeFile(file(), `1\n${long}\n2\n`);
  const { records } = await read({ bufferBytes: 16 });
  expect(records.map((record) => record.payload)).toEqual(["1", long, "2"]);
});

test("byte order marks before a line are no part of it, wherever files were joined", async () => {
  await writeFile(file(), '\uFEFF\r\n\uFEFF{"n":1}\n\uFEFF\uFEFF{"n":2}\n{"n":"\uFEFF"}\n\uFEFF');
  expect(await payloadsOf()).toEqual(['{"n":1}', '{"n":2}', '{"n":"\uFEFF"}']);
});

test("a line that is no UTF-8 is its bytes, among others that are text", async () => {
  const latin1 = Buffer.from('{"user":"K\xf6ln"}', "latin1");
  await writeFile(
    file(),
    Buffer.concat([Buffer.from('{"é":1}\n'), latin1, Buffer.from("\n\uFEFF"), latin1, Buffer.from("\r\n3\n")]),
  );
  expect(await payloadsOf()).toEqual(['{"é":1}', latin1, Buffer.concat([latin1, Buffer.from("\r")]), "3"]);
});

test("positions have a fixed width and tell the row", async () => {
  await writeFile(file(), "1\n\n22\n");
  const { records } = await read();
  expect(records.map((record) => record.position)).toEqual([
    "000000000001-0000000000000002",
    "000000000002-0000000000000006",
  ]);
  expect(rowOfPosition("")).toBe(0);
});
