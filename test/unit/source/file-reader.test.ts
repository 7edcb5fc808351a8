import { execFileSync } from "node:child_process";
import { appendFile, copyFile, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../../shared/environment.ts";
import { GzipBytes } from "../../../shared/source/file/file-bytes.ts";
import { rowOfPosition } from "../../../shared/source/file/file-position.ts";
import { openFileSource } from "../../../shared/source/file/file-source.ts";
import type { ReadPage, Source, SourceRecord } from "../../../shared/source/source.ts";
import { writeParquet } from "../../support/parquet-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-files-"));
});
afterEach(() => rm(folder, { recursive: true }));

const at = (name: string) => path.join(folder, name);
const open = (follow = false): Promise<Source> =>
  openFileSource({ pattern: ".", baseFolder: folder, follow, clock: systemClock });
const missing = (source: Source, split: string, after: string, to?: string) =>
  source.reader.missingAfter({ split, after, ...(to === undefined ? {} : { to }), freshAtMs: 0, nowMs: 0 });

async function pagesOf(source: Source, split: string, after = "", pageRecords = 100): Promise<ReadPage[]> {
  const pages: ReadPage[] = [];
  for await (const page of source.reader.read({ split, after, pageRecords, follow: false })) pages.push(page);
  return pages;
}

async function recordsOf(source: Source, split: string, after = ""): Promise<SourceRecord[]> {
  return (await pagesOf(source, split, after)).flatMap((page) => page.records);
}

describe("a file of JSON lines", () => {
  test.each([false, true])(
    "that ends in an unfinished line has not ended, says so, and goes on there once it is finished (tailed: %j)",
    async (tails) => {
      await writeFile(at("a.jsonl"), '{"n":1}\n{"n":2');
      const source = await open(tails);
      const pages = await pagesOf(source, "a.jsonl");
      expect(pages).toEqual([
        {
          records: [expect.objectContaining({ payload: '{"n":1}' })],
          caughtUp: true,
          ended: false,
          unfinished: expect.stringMatching(/a\.jsonl ends in an unfinished line: record 2, which begins at byte 8/),
        },
      ]);
      const after = pages[0]?.records[0]?.position ?? "";
      expect(await source.reader.look("a.jsonl", after)).toEqual({ holdsRecords: false, ended: false });
      await appendFile(at("a.jsonl"), "2}\n");
      expect(await source.reader.look("a.jsonl", after)).toEqual({ holdsRecords: true, ended: false });
      const rest = await recordsOf(source, "a.jsonl", after);
      expect(rest.map(({ payload }) => payload)).toEqual(['{"n":22}']);
      expect(await source.reader.look("a.jsonl", rest[0]?.position ?? "")).toEqual({
        holdsRecords: false,
        ended: !tails,
      });
    },
  );

  test("that has ended goes on with what is appended", async () => {
    await writeFile(at("a.jsonl"), '{"n":1}');
    const source = await open();
    const after = (await recordsOf(source, "a.jsonl")).at(-1)?.position ?? "";
    expect(await source.reader.look("a.jsonl", after)).toEqual({ holdsRecords: false, ended: true });
    await appendFile(at("a.jsonl"), '\n{"n":2}');
    expect(await source.reader.look("a.jsonl", after)).toEqual({ holdsRecords: true, ended: false });
    expect((await recordsOf(source, "a.jsonl", after)).map(({ payload }) => payload)).toEqual(['{"n":2}']);
    expect(await missing(source, "a.jsonl", after)).toBeUndefined();
  });

  test("that is tailed says an unfinished line once, when nobody has finished it for a while", async () => {
    await writeFile(at("a.jsonl"), '{"n":1}\n{"n":2');
    const abort = new AbortController();
    const said: unknown[] = [];
    const { reader } = await open(true);
    const startedAtMs = Date.now();
    const request = { split: "a.jsonl", after: "", pageRecords: 10, follow: true, signal: abort.signal };
    for await (const { unfinished } of reader.read(request)) {
      if (unfinished === undefined) continue;
      said.push(Date.now());
      // Long enough for a second time, if there were one.
      setTimeout(() => abort.abort(), 1_500);
    }
    expect(said).toHaveLength(1);
    expect((said[0] as number) - startedAtMs).toBeGreaterThan(1_900);
  });

  test("whose half-written line is taken back while it is tailed gives the line that was written instead", async () => {
    await writeFile(at("a.jsonl"), "1\n2222");
    const payloads: unknown[] = [];
    const { reader } = await open(true);
    for await (const page of reader.read({ split: "a.jsonl", after: "", pageRecords: 10, follow: true })) {
      payloads.push(...page.records.map((record) => record.payload));
      if (payloads.length === 2) break;
      await truncate(at("a.jsonl"), 2);
      await appendFile(at("a.jsonl"), "333333\n");
    }
    expect(payloads).toEqual(["1", "333333"]);
  });

  test("with nothing but blank lines behind a position has ended there", async () => {
    await writeFile(at("a.jsonl"), "1\n\n  \n\r\n");
    const source = await open();
    const [record] = await recordsOf(source, "a.jsonl");
    expect(await source.reader.look("a.jsonl", record?.position ?? "")).toEqual({ holdsRecords: false, ended: true });
  });

  test("that is empty has ended", async () => {
    await writeFile(at("a.jsonl"), "");
    expect(await pagesOf(await open(), "a.jsonl")).toEqual([{ records: [], ended: true, caughtUp: true }]);
  });

  test.each([
    ["truncated below the position", () => truncate(at("a.jsonl"), 3), /it has 3 bytes, and row 3 had ended at byte 9/],
    [
      "replaced by one whose lines end elsewhere",
      () => writeFile(at("a.jsonl"), "4444444444444\n"),
      /no line ends there/,
    ],
  ])("that was %s is refused by read, by look and by holdsAny, and is missing", async (_case, change, message) => {
    await writeFile(at("a.jsonl"), "11\n22\n33\n");
    const source = await open();
    const after = (await recordsOf(source, "a.jsonl")).at(-1)?.position ?? "";
    await change();
    const refusal = { kind: "fix-configuration", message: expect.stringMatching(message) };
    await expect(recordsOf(source, "a.jsonl", after)).rejects.toMatchObject(refusal);
    await expect(source.reader.look("a.jsonl", after)).rejects.toMatchObject(refusal);
    await expect(source.reader.holdsAny("a.jsonl", { after, to: "9" })).rejects.toMatchObject(refusal);
    expect(await missing(source, "a.jsonl", after)).toMatch(message);
  });

  test.each([
    ["was cut between the cut and what was read", '{"n":1}\n{"n":2}\n', /row 3 had ended at byte 24.*read up to row 2/],
    ["was cut within a line", '{"n":1}\n{"n":2}\n{"n":', /read up to row 2/],
    ["lost a line, and grew", '{"n":1}\n{"n":33}\n{"n":4}\n{"n":5}\n', /row 3 had ended/],
    ["has the same lines as one", '{"n":1}\n{"n":2,"a":\n"n":3}\n', /row 3 had ended/],
    ["has one line more before", '{"n":1}\n1\n"n":2}\n{"n":3}\n', /row 3 had ended/],
    ["was emptied", "", /truncated or replaced/],
  ])("that %s lacks what a replay would read", async (_case, text, message) => {
    for (const packed of [false, true]) {
      const write = (content: string) => writeFile(at("a.jsonl"), packed ? gzipSync(content) : content);
      await write('{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n');
      const source = await open();
      const [first, , third] = (await recordsOf(source, "a.jsonl")).map(({ position }) => position);
      expect(await missing(source, "a.jsonl", first as string, third)).toBeUndefined();
      await write(text);
      expect(await missing(source, "a.jsonl", first as string, third)).toMatch(message);
      // Nothing expires in a file: that it is gone makes no hole.
      const [only] = (await recordsOf(source, "a.jsonl")).map(({ position }) => position);
      if (only !== first) continue;
      const range = { after: (await recordsOf(source, "a.jsonl")).at(-1)?.position ?? "", to: third as string };
      if (range.to > range.after) {
        await expect(source.reader.holdsAny("a.jsonl", range)).rejects.toMatchObject({ kind: "fix-configuration" });
      }
    }
  });

  test("that a replay cannot read through is missing for the reason that the replay would give", async () => {
    const packed = gzipSync('{"n":1}\n'.repeat(1000));
    await writeFile(at("a.jsonl"), packed);
    const source = await open();
    const to = (await recordsOf(source, "a.jsonl")).at(-1)?.position;
    await writeFile(at("a.jsonl"), packed.subarray(0, -9));
    expect(await missing(source, "a.jsonl", "", to)).toMatch(/its gzip data breaks off at byte \d+/);
    await expect(recordsOf(source, "a.jsonl")).rejects.toThrow(/its gzip data breaks off/);
  });

  test("that is gone is missing, and an error to read", async () => {
    await writeFile(at("a.jsonl"), "1\n");
    const source = await open();
    await rm(at("a.jsonl"));
    expect(await missing(source, "a.jsonl", "")).toContain("cannot be opened");
    await expect(recordsOf(source, "a.jsonl")).rejects.toMatchObject({ kind: "fix-configuration" });
  });

  test.each([
    ["truncated", () => truncate(at("a.jsonl"), 0), /truncated or replaced/],
    [
      "rotated away",
      async () => {
        await rename(at("a.jsonl"), at("a.old"));
        await writeFile(at("a.jsonl"), "1\n2\n3\n");
      },
      /another file took its place/,
    ],
  ])("that is %s while it is tailed ends the read with an error", async (_case, change, message) => {
    await writeFile(at("a.jsonl"), "1\n2\n");
    const pages: ReadPage[] = [];
    const tail = async (): Promise<void> => {
      const { reader } = await open(true);
      for await (const page of reader.read({ split: "a.jsonl", after: "", pageRecords: 10, follow: true })) {
        pages.push(page);
        if (pages.length === 1) await change();
      }
    };
    await expect(tail()).rejects.toMatchObject({ kind: "fix-configuration", message: expect.stringMatching(message) });
    expect(pages).toHaveLength(1);
  });

  test("that is one JSON array by the name of .json is refused by name", async () => {
    await writeFile(at("a.json"), '[\n{"n":1},\n{"n":2}]\n');
    await expect(recordsOf(await open(), "a.json")).rejects.toThrow(/a\.json cannot be read on: it begins with "\["/);
    await writeFile(at("rows.json"), "[1,2]\n[3,4]\n");
    expect(await recordsOf(await open(), "rows.json")).toHaveLength(2);
  });

  test.each(["000000000001", "x", "49590338271490256608559692538361571095921575989136588898"])(
    "refuses %j: it is no position in it",
    async (after) => {
      await writeFile(at("a.jsonl"), "1\n");
      await expect(recordsOf(await open(), "a.jsonl", after)).rejects.toThrow(/is not a position in/);
    },
  );
});

describe("a gzip file of JSON lines", () => {
  const member = (from: number, to: number) =>
    gzipSync(Array.from({ length: to - from }, (_, index) => `{"n":${from + index}}\n`).join(""));

  test("of several members is read by its content, goes on after any position, and counts unpacked bytes", async () => {
    await writeFile(at("a.jsonl"), Buffer.concat([member(0, 30_000), gzipSync("\uFEFF"), member(30_000, 60_000)]));
    const source = await open();
    const records = await recordsOf(source, "a.jsonl");
    expect(records.map(({ payload }) => payload)).toEqual(Array.from({ length: 60_000 }, (_, n) => `{"n":${n}}`));
    expect(records[9]?.position).toBe("000000000010-0000000000000080");
    for (const index of [0, 29_999, 30_000, 59_998]) {
      expect(await recordsOf(source, "a.jsonl", records[index]?.position)).toEqual(records.slice(index + 1));
    }
    expect(await source.reader.look("a.jsonl", records.at(-1)?.position ?? "")).toEqual({
      holdsRecords: false,
      ended: true,
    });
  });

  test("is not unpacked again by looks at where it was read, as long as it stays as it is", async () => {
    await writeFile(at("a.gz"), member(0, 10_000));
    const unpacked = vi.spyOn(GzipBytes.prototype, "read");
    const source = await open();
    const positions: string[] = [];
    const read = source.reader.read({ split: "a.gz", after: "", pageRecords: 1_000, follow: true });
    const reads: number[] = [];
    for await (const { records } of read) {
      const before = unpacked.mock.calls.length;
      positions.push(records.at(-1)?.position ?? positions.at(-1) ?? "");
      for (const after of ["", ...positions.slice(-2)]) await source.reader.look("a.gz", after);
      await source.reader.holdsAny("a.gz", { after: positions.at(-2) ?? "", to: positions.at(-1) ?? "" });
      reads.push(unpacked.mock.calls.length - before);
    }
    const last = positions.at(-1) as string;
    expect(reads.every((count) => count === 0)).toBe(true);
    const before = unpacked.mock.calls.length;
    expect(await source.reader.look("a.gz", last)).toEqual({ holdsRecords: false, ended: true });
    expect(unpacked.mock.calls.length).toBe(before);
    await appendFile(at("a.gz"), member(10_000, 10_001));
    expect(await source.reader.look("a.gz", last)).toEqual({ holdsRecords: true, ended: false });
    expect(unpacked.mock.calls.length).toBeGreaterThan(before);
    unpacked.mockRestore();
  });

  test.each([
    ["cut within its data", (packed: Buffer) => packed.subarray(0, -5), /its gzip data breaks off at byte \d+/],
    ["cut within a member", (packed: Buffer) => Buffer.concat([packed, packed.subarray(0, 12)]), /breaks off at byte/],
    ["followed by other bytes", (packed: Buffer) => Buffer.concat([packed, Buffer.from("rest")]), /no gzip data/],
    [
      "followed by zeros and other bytes",
      (packed: Buffer) => Buffer.concat([packed, Buffer.alloc(9), Buffer.from("rest")]),
      /its gzip data ends at byte \d+, and bytes follow that are no gzip data/,
    ],
    [
      "altered",
      (packed: Buffer) => {
        packed[packed.length - 6] = (packed[packed.length - 6] ?? 0) ^ 1;
        return packed;
      },
      /its gzip data is broken/,
    ],
  ])("that is %s is an error that names it", async (_case, change, message) => {
    await writeFile(at("a.jsonl.gz"), change(member(0, 1_000)));
    await expect(recordsOf(await open(), "a.jsonl.gz")).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringMatching(message),
    });
  });

  test("that is padded with zeros has ended with its data", async () => {
    await writeFile(at("a.gz"), Buffer.concat([member(0, 3), Buffer.alloc(512)]));
    expect(await recordsOf(await open(), "a.gz")).toHaveLength(3);
  });

  test("that unpacks to one endless line is left at the longest that a line may be", async () => {
    await writeFile(at("a.gz"), Buffer.concat([member(0, 2), gzipSync(`{"n":"${"x".repeat(80 * 1024 * 1024)}"}`)]));
    await expect(recordsOf(await open(), "a.gz")).rejects.toThrow(/behind row 2 .* is longer than 67108864 bytes/);
  });
});

test("a pipe, a folder and a device are errors and never waited for", async () => {
  execFileSync("mkfifo", [at("a.jsonl")]);
  const splits = await openFileSource({ pattern: "*.jsonl", baseFolder: folder, clock: systemClock });
  await expect(recordsOf(splits, "a.jsonl")).rejects.toThrow(/it is a named pipe/);
  expect(await missing(splits, "a.jsonl", "")).toContain("it is a named pipe");
  await mkdir(at("b.jsonl"));
  await expect(recordsOf(splits, "b.jsonl")).rejects.toThrow(/it is a folder/);
  await symlink("/dev/zero", at("c.jsonl"));
  await expect(recordsOf(splits, "c.jsonl")).rejects.toThrow(/it is a device/);
});

test("many files that are followed are read a few at a time, each to its end", async () => {
  await Promise.all(Array.from({ length: 300 }, (_, n) => writeFile(at(`${n}.jsonl`), `{"n":${n}}\n`)));
  const { reader } = await open(true);
  const abort = new AbortController();
  let most = 0;
  let reading = 0;
  const read = async (n: number): Promise<unknown> => {
    const request = { split: `${n}.jsonl`, after: "", pageRecords: 10, follow: true, signal: abort.signal };
    for await (const { records } of reader.read(request)) {
      most = Math.max(most, ++reading);
      await new Promise((resolve) => setTimeout(resolve, 1));
      reading -= 1;
      return records[0]?.payload;
    }
    return undefined;
  };
  const found = await Promise.all(Array.from({ length: 300 }, (_, n) => read(n)));
  expect(found).toEqual(Array.from({ length: 300 }, (_, n) => `{"n":${n}}`));
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(64);
});

describe("a Parquet file", () => {
  test("gives its rows as objects, each at the position of its number", async () => {
    await writeParquet(at("a.parquet"), "SELECT 18::BIGINT AS small, 'SLC' AS origin, [1, 2] AS list");
    expect(await recordsOf(await open(), "a.parquet")).toEqual([
      {
        position: "000000000001",
        itemIdentifier: "000000000001",
        payload: { small: 18, origin: "SLC", list: [1, 2] },
      },
    ]);
  });

  test.each(["snappy", "zstd", "gzip", "brotli", "lz4_raw", "uncompressed"])(
    "of several row groups (%s) is read in order, and from within a group",
    async (codec) => {
      await writeParquet(
        at("a.parquet"),
        "SELECT range AS n FROM range(5000)",
        `, ROW_GROUP_SIZE 2048, COMPRESSION ${codec}`,
      );
      const source = await open();
      const pages = await pagesOf(source, "a.parquet", "", 700);
      const records = pages.flatMap((page) => page.records);
      expect(records.map((record) => (record.payload as { n: number }).n)).toEqual(
        Array.from({ length: 5000 }, (_, n) => n),
      );
      expect(records.map((record) => rowOfPosition(record.position))).toEqual(
        Array.from({ length: 5000 }, (_, n) => n + 1),
      );
      expect(pages.map((page) => page.ended)).toEqual(pages.map((_, index) => index === pages.length - 1));
      expect(await recordsOf(source, "a.parquet", "000000003000")).toEqual(records.slice(3000));
    },
  );

  test("is bounded even when files are tailed, and an empty one has ended", async () => {
    await writeParquet(at("a.parquet"), "SELECT 1 AS n");
    await writeParquet(at("b.parquet"), "SELECT 1 AS n WHERE false");
    const source = await open(true);
    expect(await source.reader.look("a.parquet", "000000000001")).toEqual({ holdsRecords: false, ended: true });
    expect(await pagesOf(source, "b.parquet")).toEqual([{ records: [], ended: true, caughtUp: true }]);
  });

  test.each([
    ["no Parquet", () => writeFile(at("a.parquet"), '{"n":1}\n')],
    ["empty", () => writeFile(at("a.parquet"), "")],
    ["cut off", () => truncate(at("a.parquet"), 100)],
  ])("that is %s is refused by name", async (_case, change) => {
    await writeParquet(at("a.parquet"), "SELECT range AS n FROM range(100)");
    await change();
    await expect(recordsOf(await open(), "a.parquet")).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining("a.parquet cannot be read as Parquet"),
    });
  });

  test("that was replaced by one with fewer rows is refused, and is missing", async () => {
    await writeParquet(at("a.parquet"), "SELECT range AS n FROM range(10)");
    const source = await open();
    await writeParquet(at("other"), "SELECT range AS n FROM range(4)");
    await copyFile(at("other"), at("a.parquet"));
    await expect(recordsOf(source, "a.parquet", "000000000005")).rejects.toThrow(
      /it has 4 rows, and row 5 had been read/,
    );
    await expect(source.reader.look("a.parquet", "000000000005")).rejects.toThrow(/it has 4 rows/);
    expect(await missing(source, "a.parquet", "000000000005")).toContain("it has 4 rows");
    expect(await missing(source, "a.parquet", "000000000004")).toBeUndefined();
    expect(await missing(source, "a.parquet", "000000000004", "000000000005")).toContain("it has 4 rows");
  });
});
