import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { flipBit, newestLive, readShelf } from "./shelf.ts";

let storage: string;

beforeEach(() => {
  storage = mkdtempSync(path.join(tmpdir(), "tidemark-shelf-"));
});
afterEach(() => rmSync(storage, { recursive: true }));

function put(checkpoint: number, kind: string, generation: number): void {
  const folder = path.join(storage, `chk-${String(checkpoint).padStart(10, "0")}`);
  mkdirSync(folder);
  const files = [{ name: "part", function: "f" }];
  writeFileSync(
    path.join(folder, "manifest.json"),
    JSON.stringify({ kind, checkpoint, generation, files, functions: [] }),
  );
  writeFileSync(path.join(folder, "part"), Buffer.from([0, 0, 0, 0]));
}

function restored(generation: number, from: { readonly generation: number; readonly checkpoint: number }): void {
  mkdirSync(path.join(storage, "generations"), { recursive: true });
  const name = `${String(generation).padStart(10, "0")}.json`;
  writeFileSync(path.join(storage, "generations", name), JSON.stringify({ restoredFrom: from }));
}

test("the newest live checkpoint follows the restores back, past what they abandoned and what no longer stands", () => {
  // 1 and 2 in generation 1; 2 was restored as generation 2, with 3 abandoned; 4 was restored as generation 3.
  put(1, "manifest", 1);
  put(2, "manifest", 1);
  put(3, "manifest", 1);
  put(4, "deleted", 2);
  put(5, "aborted", 2);
  put(6, "manifest", 2);
  restored(2, { generation: 1, checkpoint: 2 });
  const live = { gen: 3, restoredFrom: { generation: 2, checkpoint: 4 } };
  const shelf = readShelf(storage);
  expect(shelf).toMatchObject({ aborted: 1, deleted: 1 });
  expect(newestLive(storage, shelf, live)?.checkpoint).toBe(2);
  expect(newestLive(storage, shelf, live, 2)?.checkpoint).toBe(1);
  expect(newestLive(storage, shelf, live, 1)).toBeUndefined();
  expect(newestLive(storage, shelf, { gen: 2 })?.checkpoint).toBe(6);
});

test("a flip changes one bit, a second one brings it back, and a part that is gone is left alone", () => {
  put(1, "manifest", 1);
  const part = path.join(storage, "chk-0000000001", "part");
  expect(flipBit(storage, 1, "part", 0.3)).toBe(true);
  const flipped = readFileSync(part);
  expect([...flipped].reduce((bits, byte) => bits + byte.toString(2).replaceAll("0", "").length, 0)).toBe(1);
  expect(flipBit(storage, 1, "part", 0.3)).toBe(true);
  expect([...readFileSync(part)]).toEqual([0, 0, 0, 0]);
  rmSync(part);
  expect(flipBit(storage, 1, "part", 0.3)).toBe(false);
});
