import { describe, expect, test } from "vitest";
import { deadLetterPath, OBJECT_PATH_BYTES_MAX, olderDeadLetterPath } from "../../../shared/storage/object-paths.ts";

const place = (split: string, position = "00000000000000000001") => ({ function: "count", split, position });

describe("the path of a dead letter", () => {
  test.each([
    ["a shard", "shardId-000000000000", "dead-letters/count/shardId-000000000000/"],
    ["a file", "dt=2024-01-01/part 0.jsonl", "dead-letters/count/dt%3D2024-01-01%2Fpart%200%2Ejsonl/"],
    ["a dot", ".", "dead-letters/count/%2E/"],
    ["a name of 255 characters", `${"x".repeat(253)}%`.slice(0, 252), `dead-letters/count/${"x".repeat(252)}/`],
  ])("keeps the name of %s", (_what, split, folder) => {
    expect(deadLetterPath(place(split)).startsWith(folder)).toBe(true);
    expect(olderDeadLetterPath(place(split))).toBeUndefined();
  });

  test.each([
    ["80 CJK letters", `k/${"日".repeat(80)}.jsonl`, /^k%2F(%E6%97%A5){16}=[0-9a-f]{32}$/],
    ["250 dots", ".".repeat(250), /^(%2E){50}=[0-9a-f]{32}$/],
    ["emoji", "😀".repeat(60), /^(%F0%9F%98%80){12}=[0-9a-f]{32}$/],
    [
      "a path of 4,096 bytes",
      `${"folder/".repeat(580)}x.jsonl`,
      /^(folder%2F){16}folder=[0-9a-f]{32}$|^[A-Za-z0-9%]+=[0-9a-f]{32}$/,
    ],
    ["lone surrogates", "\ud800".repeat(250), /^(%EF%BF%BD)+=[0-9a-f]{32}$/],
  ])("cuts %s, and stays readable", (_what, split, segment) => {
    const path = deadLetterPath({ ...place(split), function: "f".repeat(64) });
    const segments = path.split("/");
    expect(segments).toHaveLength(4);
    expect(segments[2]).toMatch(segment);
    for (const one of segments) expect(one.length).toBeLessThanOrEqual(255);
    expect(path.length).toBeLessThanOrEqual(OBJECT_PATH_BYTES_MAX);
  });

  test("differs for two names that share their beginning, or that only a cut could make equal", () => {
    const long = "日".repeat(100);
    const cut = deadLetterPath(place(`${long}a`)).split("/")[2] ?? "";
    const splits = [`${long}a`, `${long}b`, cut, decodeURIComponent(cut), `${long}A`];
    const paths = splits.map((split) => deadLetterPath(place(split)).toLowerCase());
    expect(new Set(paths).size).toBe(splits.length);
  });

  test("of earlier versions is known where a storage took it, and nowhere else", () => {
    expect(olderDeadLetterPath(place("日".repeat(80)))).toBe(
      `dead-letters/count/${"%E6%97%A5".repeat(80)}/00000000000000000001.json`,
    );
    expect(olderDeadLetterPath(place("日".repeat(200)))).toBeUndefined();
  });
});
