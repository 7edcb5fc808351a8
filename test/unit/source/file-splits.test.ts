import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FileSplits } from "../../../shared/source/file/file-splits.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-splits-"));
  const files = [
    "b.jsonl",
    "a.jsonl",
    "a.JSON",
    "x.parquet",
    "notes.txt",
    ".hidden.jsonl",
    "(1)+.jsonl",
    "2001/01.jsonl",
    "2001/02.jsonl",
    "2002/01.jsonl",
    "2002/deep/01.jsonl",
  ];
  for (const file of files) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), "");
  }
  await symlink("a.jsonl", path.join(folder, "link.jsonl"));
});
afterAll(() => rm(folder, { recursive: true }));

async function namesOf(pattern: string, baseFolder = folder): Promise<string[]> {
  const names: string[] = [];
  for await (const name of (await FileSplits.open(pattern, baseFolder)).names()) names.push(name);
  return names;
}

describe("the splits of a binding", () => {
  test.each([
    ["one file", "a.jsonl", ["a.jsonl"]],
    [
      "a folder's files, not those of its folders, not those of other kinds",
      ".",
      ["(1)+.jsonl", "a.JSON", "a.jsonl", "b.jsonl", "link.jsonl", "x.parquet"],
    ],
    ["a glob", "*.jsonl", ["(1)+.jsonl", "a.jsonl", "b.jsonl", "link.jsonl"]],
    ["a glob in the middle of a name", "20*1/0*.jsonl", ["2001/01.jsonl", "2001/02.jsonl"]],
    ["a glob of folders", "*/*.jsonl", ["2001/01.jsonl", "2001/02.jsonl", "2002/01.jsonl"]],
    ["a glob below a fixed folder", "2001/*.jsonl", ["01.jsonl", "02.jsonl"]],
    ["a glob of folders with a fixed file", "*/01.jsonl", ["2001/01.jsonl", "2002/01.jsonl"]],
    ["a glob that matches nothing", "*.ndjson", []],
    ["characters that mean something else in expressions", "(1)+*", ["(1)+.jsonl"]],
  ])("are, of %s, the paths below the fixed folder, in order", async (_case, pattern, expected) => {
    expect(await namesOf(pattern)).toEqual(expected);
    expect(await namesOf(path.join(folder, pattern), "/")).toEqual(expected);
  });

  test("stay the same when the folder is reached by another way", async () => {
    expect(await namesOf("../2001/*.jsonl", path.join(folder, "2002"))).toEqual(["01.jsonl", "02.jsonl"]);
  });

  test.each(["../secret.jsonl", "2001/../a.jsonl", "a.txt", "", ".hidden.jsonl"])(
    "do not take the name %j for one of theirs",
    async (split) => {
      const splits = await FileSplits.open("*.jsonl", folder);
      expect(splits.pathOf("a.jsonl")).toBe(path.join(folder, "a.jsonl"));
      expect(() => splits.pathOf(split)).toThrow(/is no file of/);
    },
  );

  test.each([
    ["a kind that cannot be read", "notes.txt", /notes\.txt is of a kind that cannot be read/],
    ["a folder that does not exist", "none/*.jsonl", /cannot be listed/],
    ["a path that does not exist", "none.jsonl", /There is no file or folder/],
    ["two stars", "**/*.jsonl", /"\*\*", which is not supported/],
  ])("are an error for %s", async (_case, pattern, message) => {
    await expect(namesOf(pattern)).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringMatching(message),
    });
  });
});
