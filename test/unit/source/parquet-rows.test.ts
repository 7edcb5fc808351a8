/**
 * What values of Parquet columns are to an event. Files are DuckDB's, and two of Apache Arrow's (pyarrow 26), of types that
 * DuckDB does not write: halves, decimals of 50 digits, times of a day in nanoseconds, maps by numbers, INT96.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ParquetRows } from "../../../shared/source/file/parquet-rows.ts";
import { UnreadableRow } from "../../../shared/source/file/unreadable-row.ts";
import { writeParquet } from "../../support/parquet-file.ts";

const written = (name: string): string => path.join(import.meta.dirname, "parquet", name);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-parquet-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function rowsOf(file: string): Promise<unknown[]> {
  const handle = await open(file);
  try {
    const payloads: unknown[] = [];
    for await (const page of (await ParquetRows.open(handle, file)).pages(0, 100)) {
      for (const { payload } of page) payloads.push(payload);
    }
    return payloads;
  } finally {
    await handle.close();
  }
}

/** The rows of an SQL query, through a Parquet file. */
async function rowsThrough(query: string): Promise<unknown[]> {
  const file = path.join(folder, "a.parquet");
  await writeParquet(file, query);
  return rowsOf(file);
}

/** The one value of an SQL expression, through a Parquet file. */
const valueThrough = async (sql: string): Promise<unknown> =>
  ((await rowsThrough(`SELECT ${sql} AS x`))[0] as { readonly x: unknown }).x;

describe("a value of a Parquet column", () => {
  test.each<[string, unknown]>([
    ["18::BIGINT", 18],
    ["9007199254740992::BIGINT", 9007199254740992],
    ["9007199254740993::BIGINT", 9007199254740993n],
    ["(-9223372036854775808)::BIGINT", -9223372036854775808n],
    ["18446744073709551615::UBIGINT", 18446744073709551615n],
    ["4294967295::UINTEGER", 4294967295],
    ["-1::TINYINT", -1],
    ["1.5::DOUBLE", 1.5],
    ["0.1::FLOAT", 0.10000000149011612],
    ["true", true],
    ["NULL::INT", null],
    ["'Zürich 😀'", "Zürich 😀"],
    ["'a'::ENUM ('a', 'b')", "a"],
    ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    ["'abc'::BLOB", "YWJj"],
    ["'\\xFF\\x00'::BLOB", "/wA="],
    ["[1, NULL, 3]", [1, null, 3]],
    ["{'a': 1::BIGINT, 'b': ['x']}", { a: 1, b: ["x"] }],
    ["MAP {'k': 1, 'constructor': 2}", { k: 1, constructor: 2 }],
    ['\'{"id":1518478400438665200,"a":[1.5]}\'::JSON', { id: 1518478400438665200n, a: [1.5] }],
  ])("%s is read as %s", async (sql, value) => {
    expect(await valueThrough(sql)).toEqual(value);
  });

  test.each([
    ["0.3::DECIMAL(4,1)", 0.3],
    ["1234567890123.45::DECIMAL(15,2)", 1234567890123.45],
    ["1234567890123.45::DECIMAL(16,2)", "1234567890123.45"],
    ["-0.05::DECIMAL(18,2)", "-0.05"],
    ["12345678901234567.89::DECIMAL(19,2)", "12345678901234567.89"],
    ["-1234567890123456789012345678.0123456789::DECIMAL(38,10)", "-1234567890123456789012345678.0123456789"],
    ["7::DECIMAL(38,0)", "7"],
  ])("%s is a number of up to 15 digits by its column, else text: %j", async (sql, value) => {
    expect(await valueThrough(sql)).toBe(value);
  });

  test.each([
    ["TIMESTAMP_MS '2001-01-10 18:20:00'", "2001-01-10T18:20:00.000Z"],
    ["TIMESTAMP '2001-01-10 18:20:00.1'", "2001-01-10T18:20:00.100000Z"],
    ["TIMESTAMP_NS '2024-01-01 20:34:56.123456789'", "2024-01-01T20:34:56.123456789Z"],
    ["TIMESTAMPTZ '2024-01-01 20:34:56.123456+00'", "2024-01-01T20:34:56.123456Z"],
    ["TIMESTAMP '1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999Z"],
    ["TIMESTAMP '9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999Z"],
    ["DATE '2024-02-29'", "2024-02-29T00:00:00.000Z"],
    ["TIME '12:34:56.789012'", "12:34:56.789012"],
  ])("%s is text with all digits of its unit: %j", async (sql, value) => {
    expect(await valueThrough(sql)).toBe(value);
  });

  test("of a time sorts as time does", async () => {
    const rows = (await rowsThrough(
      "SELECT epoch_ms(-3456000000 + range * 977777) + INTERVAL (range % 7) MICROSECOND AS at FROM range(5000) ORDER BY 1",
    )) as { readonly at: string }[];
    const times = rows.map(({ at }) => at);
    expect(times.length).toBe(5000);
    expect(times).toEqual(times.toSorted());
    expect(new Set(times.map((time) => time.length))).toEqual(new Set([27]));
  });

  test("of Apache Arrow's types is what was written", async () => {
    const [first, second, third] = (await rowsOf(written("arrow-types.parquet"))) as Record<string, unknown>[];
    expect(first).toEqual({
      ...{ f16: 1.5, d128: "12345678901234567.89", d256: "-12345678901234567890123456789012345678.90123", d9: 0.3 },
      ...{ t64: "00:00:00.000000001", t32: "00:00:00.001", u8: 0, u32: 0, u64: 0, i64: -9223372036854775808n },
      ...{ fixed: "YWJj", enum: "a", map: { 1: "x", 2: null }, nested: [[1, 2], []] },
      ...{ structs: [{ a: 1, b: ["AQ=="] }], mapmap: { k: { n: 1 } } },
    });
    expect(second).toEqual({
      ...{ f16: -0.25, d128: "-0.01", d256: "0.00000", d9: -1.7, t64: "23:59:59.999999999", t32: "23:59:59.999" },
      ...{ u8: 255, u32: 4294967295, u64: 18446744073709551615n, i64: 9223372036854775807n },
      ...{ fixed: "/wAB", enum: "b", map: {}, nested: [null, [3]] },
      ...{ structs: [{ a: null, b: null }, null], mapmap: { k: null } },
    });
    expect(third).toMatchObject({ u64: 9007199254740992, i64: -9007199254740993n, map: null, structs: [] });
    expect(await rowsOf(written("int96.parquet"))).toEqual([
      { at: "2024-01-01T20:34:56.123456789Z" },
      { at: "1969-12-31T23:59:59.999999999Z" },
      { at: null },
    ]);
  });
});

describe("a row of a Parquet file with a value that no event holds", () => {
  test.each([
    ["'nan'::DOUBLE", "event.x is NaN", "NaN"],
    ["'-inf'::FLOAT", "event.x is -Infinity", "-Infinity"],
    ["TIMESTAMP 'infinity'", "event.x is a time that is infinite", 9223372036854775807n],
    ["TIMESTAMP '10000-01-01 00:00:00'", "outside the years 0 to 9999", 253402300800000000n],
    ["DATE 'infinity'", "event.x is a time that is infinite", 2147483647],
    ["[1.5::DOUBLE, 'inf'::DOUBLE]", "event.x[1] is Infinity", [1.5, "Infinity"]],
    ["{'a b': 'nan'::DOUBLE}", 'event.x["a b"] is NaN', { "a b": "NaN" }],
    ["MAP {'__proto__': 1}", 'event.x has a key "__proto__"', { key_value: [{ key: "__proto__", value: 1 }] }],
    ["'{\"a\":1e400}'::JSON", "is JSON that cannot be read (event.a is a number beyond 1.8e308", '{"a":1e400}'],
  ])("%s is refused by name, with what stands there", async (sql, why, found) => {
    const [row] = await rowsThrough(`SELECT 7 AS id, ${sql} AS x`);
    expect(row).toBeInstanceOf(UnreadableRow);
    expect((row as UnreadableRow).why).toContain(why);
    expect((row as UnreadableRow).row).toEqual({ id: 7, x: found });
  });

  test("as text that is no UTF-8, or a map that has a key twice, is refused by name", async () => {
    const [first, second, third] = await rowsOf(written("odd-text.parquet"));
    expect(first).toEqual({ city: "Zurich", m: { a: 1 } });
    expect((second as UnreadableRow).why).toContain("event.city is text that is no UTF-8");
    expect((second as UnreadableRow).row).toMatchObject({ city: "WvxyaWNo" });
    expect((third as UnreadableRow).why).toContain('event.m has the key "k" twice');
    expect((third as UnreadableRow).row).toMatchObject({ city: "Zürich" });
  });

  test("leaves the rows beside it as they are", async () => {
    const rows = await rowsThrough(
      "SELECT range AS n, CASE WHEN range = 1 THEN 'nan'::DOUBLE ELSE 0.5 END AS x FROM range(3)",
    );
    expect(rows[0]).toEqual({ n: 0, x: 0.5 });
    expect(rows[1]).toBeInstanceOf(UnreadableRow);
    expect(rows[2]).toEqual({ n: 2, x: 0.5 });
  });
});

describe("a Parquet file with a column that cannot be read", () => {
  test.each([
    ["INTERVAL 1 DAY AS iv", 'the column "iv" is of the type INTERVAL'],
    ['1 AS "__proto__"', 'the column "__proto__" is named "__proto__"'],
    ["{'a': INTERVAL 1 DAY} AS s", 'the column "s" has a, which is of the type INTERVAL'],
    ["{'__proto__': 1} AS s", 'the column "s" has __proto__, which is named'],
    ["MAP {{'a': 1}: 1} AS m", 'the column "m" is a map whose keys are none of'],
  ])("%s is refused before its first record, naming the column and the way out", async (sql, why) => {
    const file = path.join(folder, "a.parquet");
    await writeParquet(file, `SELECT 1 AS id, ${sql}`);
    const handle = await open(file);
    await expect(ParquetRows.open(handle, file)).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining(why),
    });
    await expect(ParquetRows.open(handle, file)).rejects.toThrow("EXCLUDE");
    await handle.close();
  });
});
