import { appendFile, copyFile, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../shared/environment.ts";
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
const missing = (source: Source, split: string, after: string) =>
  source.reader.missingAfter({ split, after, freshAtMs: 0, nowMs: 0 });

async function pagesOf(source: Source, split: string, after = "", pageRecords = 100): Promise<ReadPage[]> {
  const pages: ReadPage[] = [];
  for await (const page of source.reader.read({ split, after, pageRecords, follow: false })) pages.push(page);
  return pages;
}

async function recordsOf(source: Source, split: string, after = ""): Promise<SourceRecord[]> {
  return (await pagesOf(source, split, after)).flatMap((page) => page.records);
}

describe("a file of JSON lines", () => {
  test("without a last newline ends with that record when bounded, and waits for the newline when tailed", async () => {
    await writeFile(at("a.jsonl"), "1\n2");
    expect((await recordsOf(await open(), "a.jsonl")).map((record) => record.payload)).toEqual(["1", "2"]);
    const tailed = await open(true);
    const [first] = await recordsOf(tailed, "a.jsonl");
    expect(await tailed.reader.look("a.jsonl", first?.position ?? "")).toEqual({ holdsRecords: false, ended: false });
    await appendFile(at("a.jsonl"), "2\n");
    expect((await recordsOf(tailed, "a.jsonl", first?.position)).map((record) => record.payload)).toEqual(["22"]);
  });

  test("whose last record had no newline is refused when it is tailed from there: what follows would be half a line", async () => {
    await writeFile(at("a.jsonl"), "1\n2");
    const after = (await recordsOf(await open(), "a.jsonl")).at(-1)?.position ?? "";
    expect(await missing(await open(), "a.jsonl", after)).toBeUndefined();
    expect(await missing(await open(true), "a.jsonl", after)).toContain("no line ends there");
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
  });
});
