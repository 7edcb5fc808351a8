import { execFileSync } from "node:child_process";
import { appendFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
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

describe("of a folder", () => {
  let place: string;
  beforeAll(async () => {
    place = await mkdtemp(path.join(tmpdir(), "tidemark-left-out-"));
  });
  afterAll(() => rm(place, { recursive: true }));

  const at = (name: string) => path.join(place, name);
  async function listed(pattern = "."): Promise<{ readonly names: string[]; readonly leftOut: unknown }> {
    const splits = await FileSplits.open(pattern, place);
    const names: string[] = [];
    for await (const name of splits.names()) names.push(name);
    return { names, leftOut: Object.fromEntries(splits.leftOut.files.map(({ name, reason }) => [name, reason])) };
  }

  test("files are read by their names or their content, and each other one is left out with its reason", async () => {
    await writeFile(at("app-1-2024-01-01-00-00-00"), '{"n":1}\n');
    await writeFile(at("app-1-2024-01-01-00-05-00.gz"), gzipSync('{"n":1}\n'));
    await writeFile(at("part.jsonl.gz"), gzipSync('{"n":1}\n'));
    await writeFile(at("empty.jsonl"), "");
    await writeFile(at("_SUCCESS"), "");
    await writeFile(at("notes.txt"), "Dear diary");
    await writeFile(at("table.csv.gz"), gzipSync("a,b\n"));
    await mkdir(at("x.jsonl"));
    await symlink("nowhere", at("broken.jsonl"));
    await symlink("loop.jsonl", at("loop.jsonl"));
    await writeFile(Buffer.concat([Buffer.from(at("K")), Buffer.from([0xf6]), Buffer.from("ln.jsonl")]), '{"n":1}\n');
    execFileSync("mkfifo", [at("pipe.jsonl"), at("pipe")]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(at("socket.jsonl"), resolve));

    const wanted = {
      names: ["app-1-2024-01-01-00-00-00", "app-1-2024-01-01-00-05-00.gz", "empty.jsonl", "part.jsonl.gz"],
      leftOut: {
        _SUCCESS: expect.stringContaining("it is empty"),
        "notes.txt": expect.stringContaining("neither as JSON lines nor as Parquet"),
        "table.csv.gz": expect.stringContaining("neither as JSON lines nor as Parquet, unpacked"),
        "x.jsonl": expect.stringContaining("it is a folder"),
        "broken.jsonl": expect.stringContaining("leads nowhere"),
        "loop.jsonl": expect.stringContaining("leads nowhere"),
        "pipe.jsonl": expect.stringContaining("it is a named pipe"),
        pipe: expect.stringContaining("it is a named pipe"),
        "socket.jsonl": expect.stringContaining("it is a socket"),
        "K\uFFFDln.jsonl": expect.stringContaining("its name is not UTF-8"),
      },
    };
    expect(await listed()).toEqual(wanted);
    expect(await listed("*")).toEqual(wanted);
    server.close();
    await expect(FileSplits.open("pipe.jsonl", place)).rejects.toThrow(/it is a named pipe/);
    await expect(FileSplits.open("notes.txt", place)).rejects.toThrow(/neither as JSON lines nor as Parquet/);
  });

  test("a file that was left out is read once its content says what it is", async () => {
    await mkdir(at("later"));
    await writeFile(at("later/object"), "");
    const splits = await FileSplits.open("later", place);
    const names = async () => {
      const found: string[] = [];
      for await (const name of splits.names()) found.push(name);
      return found;
    };
    expect(await names()).toEqual([]);
    expect(await names()).toEqual([]);
    await appendFile(at("later/object"), '{"n":1}\n');
    expect(await names()).toEqual(["object"]);
    expect(splits.leftOut.total).toBe(0);
  });
});
