import { expect, test } from "vitest";
import type { Manifest } from "../../../shared/checkpoint/manifest.ts";
import { matchFunctions, restoredFunctions } from "../../../shared/restore/restored-functions.ts";
import { describeFunction, RestoreWorld } from "../../support/restore-world.ts";

const split = { split: "s", position: "1", freshAt: "2026-01-01T00:00:00.000Z", ended: false, holes: [] };
const stored = (name: string) => ({ name, stateVersion: 1, source: "numbers", keys: 1, splits: [split] });
const file = (name: string) => ({ name: `${name}-0`, function: name, items: 1, bytes: 1, sha256: "" });
const manifestOf = (...names: string[]) =>
  ({ functions: names.map(stored), files: names.map(file) }) as unknown as Manifest;

const appOf = (...functions: [name: string, previousName?: string][]) =>
  new RestoreWorld({
    functions: functions.map(([name, previousName]) =>
      describeFunction(name, previousName === undefined ? {} : { previousName }),
    ),
  }).app;

test("a function takes over the state of its name, else of its previous one", () => {
  expect(matchFunctions(appOf(["a", "b"], ["c", "old"]), manifestOf("a", "b", "old"))).toEqual({
    ...{ functions: { a: "a", c: "old" }, startEmpty: [], leftBehind: ["b"] },
  });
});

test("a function whose previous name another one has, or has taken, starts empty, and so does one without any", () => {
  expect(matchFunctions(appOf(["a"], ["b", "a"], ["c", "old"], ["d", "old"], ["e"]), manifestOf("a", "old"))).toEqual({
    ...{ functions: { a: "a", c: "old" }, startEmpty: ["b", "d", "e"], leftBehind: [] },
  });
});

test("a restored function comes with the splits and files of the one that it takes over", () => {
  const app = appOf(["a", "old"], ["new"]);
  const [first, second] = restoredFunctions(app, manifestOf("other", "old"), { a: "old" });
  expect(first).toEqual({
    ...{ description: app.functions[0], from: stored("old"), splits: new Map([["s", split]]), files: [file("old")] },
  });
  expect(second).toStrictEqual({ description: app.functions[1], splits: new Map(), files: [] });
});
