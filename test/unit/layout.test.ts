import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { circlesOf, violationsOf } from "../support/import-floors.ts";

const root = path.resolve(import.meta.dirname, "../..");

async function sources(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const folder of ["shared", "functions", "local", "cli", "examples", "infra"]) {
    for (const entry of await readdir(path.join(root, folder), { recursive: true })) {
      if (!entry.endsWith(".ts")) continue;
      const file = `${folder}/${entry.split(path.sep).join("/")}`;
      files.set(file, await readFile(path.join(root, file), "utf8"));
    }
  }
  return files;
}

describe("the layout", () => {
  test("holds for every file: imports only run downwards", async () => {
    const files = await sources();
    expect(files.has("shared/errors.ts")).toBe(true);
    expect(violationsOf(files)).toEqual([]);
  });

  test("has no two files that import each other, by whatever way", async () => {
    expect(circlesOf(await sources())).toEqual([]);
    const circle = new Map([
      ["shared/batch/a.ts", 'import type { B } from "./b.ts";'],
      ["shared/batch/b.ts", 'export { c } from "./c.ts";'],
      ["shared/batch/c.ts", 'await import("./b.ts");'],
    ]);
    expect(circlesOf(circle)).toEqual(["shared/batch/b.ts → shared/batch/c.ts → shared/batch/b.ts"]);
  });

  test("is what docs/architecture.md says: every file and folder that the page names is there", async () => {
    const page = await readFile(path.join(root, "docs/architecture.md"), "utf8");
    const there = [...(await sources()).keys(), ...(await readdir(path.join(root, "test/contract")))];
    const named = [...page.matchAll(/`([\w./*-]+(?:\.ts|\/))`/g)].map(([, name = ""]) => name);
    const isThere = (name: string): boolean => {
      const pattern = new RegExp(
        `(^|/)${name
          .replace(/^test\/contract\//, "")
          .replaceAll(".", "\\.")
          .replaceAll("*", ".*")}`,
      );
      return there.some((file) => pattern.test(file));
    };
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter((name) => !isThere(name) && !name.startsWith("test/") && name !== "docs/protocol.md")).toEqual(
      [],
    );
  });

  test.each([
    ["a port importing the protocol", "shared/state/x.ts", 'import { f } from "../batch/batch.ts";', "imports upwards"],
    ["a type import upwards", "shared/control/x.ts", 'import type { T } from "../app/app.ts";', "imports upwards"],
    ["a re-export upwards", "shared/json/x.ts", 'export { f } from "../state/state-item.ts";', "imports upwards"],
    ["a dynamic import upwards", "shared/app/x.ts", 'await import("../lambda/x.ts");', "imports upwards"],
    ["shared code importing the engine", "shared/runtime/x.ts", 'import "../../local/x.ts";', "imports upwards"],
    ["shared code importing a command", "shared/batch/x.ts", 'import "../../cli/main.ts";', "imports upwards"],
    ["shared code importing infra", "shared/lambda/x.ts", 'import "../../infra/app.ts";', "imports upwards"],
    ["shared code importing the CDK", "shared/app/x.ts", 'import { Duration } from "aws-cdk-lib";', "deployment"],
    ["shared code importing a part of the CDK", "shared/index.ts", 'import "aws-cdk-lib/aws-s3";', "deployment"],
    ["shared code importing the face", "shared/lambda/x.ts", 'import "../index.ts";', "face"],
    ["a port importing another port", "shared/state/x.ts", 'import "../storage/object-paths.ts";', "neighbour"],
    ["two rooms of the protocol", "shared/batch/x.ts", 'import "../checkpoint/cut.ts";', "neighbour"],
    ["the engine importing an entry", "local/x.ts", 'import "../functions/event/handler.ts";', "imports upwards"],
    ["the engine importing what is AWS's alone", "local/x.ts", 'import "../shared/lambda/watch.ts";', "neighbour"],
    ["a command importing an example", "cli/x.ts", 'import "../examples/flights/app.ts";', "imports upwards"],
    ["neutral handlers importing AWS's", "shared/runtime/x.ts", 'import "../lambda/x.ts";', "imports upwards"],
    ["a sibling adapter", "shared/state/heap/x.ts", 'import "../dynamodb/y.ts";', "sibling adapter"],
    ["an adapter of another port", "shared/source/file/x.ts", 'import "../../storage/file/x.ts";', "neighbour"],
    ["the protocol importing an adapter", "shared/batch/x.ts", 'import "../state/heap/x.ts";', "instead of its port"],
    ["a file without a room", "shared/utils/x.ts", "export {};", "stands in no room"],
    ["an import of a file without a room", "shared/batch/x.ts", 'import "../types.ts";', "stands in no room"],
  ])("refuses %s", (_case, file, source, reason) => {
    const violations = violationsOf(new Map([[file, source]]));
    expect(violations).toHaveLength(1);
    expect(violations[0]).toContain(file);
    expect(violations[0]).toContain(reason);
  });

  test.each([
    ["floor 0 within itself", "shared/dynamodb/x.ts", 'import "../errors.ts";'],
    ["an adapter importing its port", "shared/state/heap/x.ts", 'import "../state-backend.ts";'],
    ["a room built on ports", "shared/dead-letter/x.ts", 'import "../storage/checkpoint-storage.ts";'],
    ["a port importing a position", "shared/state/x.ts", 'import "../source/position.ts";'],
    ["wiring importing an adapter", "shared/runtime/x.ts", 'import "../state/dynamodb/x.ts";'],
    [
      "a command importing anything below",
      "cli/x.ts",
      'import "../functions/event/handler.ts"; import "../local/x.ts";',
    ],
    ["infra importing the CDK", "infra/x.ts", 'import "aws-cdk-lib"; import "../examples/flights/app.ts";'],
    ["the face importing any floor", "shared/index.ts", 'export { f } from "./lambda/x.ts";'],
    ["a user's view of the package", "examples/flights/x.ts", 'import { defineApp } from "../../shared/index.ts";'],
  ])("allows %s", (_case, file, source) => {
    expect(violationsOf(new Map([[file, source]]))).toEqual([]);
  });
});
