import { describe, expect, test } from "vitest";
import type { Manifest } from "../../../shared/checkpoint/manifest.ts";
import type { RestoreHold, RestorePlan } from "../../../shared/control/control.ts";
import { checkHold, stopOf } from "../../../shared/restore/restore-hold.ts";

const PLAN: RestorePlan = { token: "t", target: 2, checkpoint: 1, startedAtMs: 0, functions: { log: "old" } };
const PLACE = { function: "log", split: "s" };

describe("a split stops", () => {
  const stop = (hold: RestoreHold, more: Partial<RestorePlan> = {}) => stopOf({ ...PLAN, hold, ...more }, PLACE, "05");

  test("at the hold's time, or at its own position, or where it was before the restore", () => {
    expect(stop({ arrivedByMs: 7, positions: { log: { s: "03" } } })).toEqual({ arrivedByMs: 7 });
    expect(stop({ positions: { log: { s: "03" } } })).toEqual({ position: "03" });
    expect(stop({ positions: { log: { t: "03" }, other: { s: "04" } } })).toEqual({ position: "05" });
    expect(stop({})).toEqual({ position: "05" });
    expect(stopOf({ ...PLAN, hold: {} }, PLACE, undefined)).toEqual({ position: "" });
  });

  test("nowhere where the restore is not held, or was told to go on", () => {
    expect(stopOf(PLAN, PLACE, "05")).toBeUndefined();
    expect(stop({ arrivedByMs: 7 }, { wentOnAtMs: 1 })).toBeUndefined();
  });
});

describe("a hold", () => {
  const completedAt = "2026-01-01T00:00:00.000Z";
  const split = (name: string, position: string) => ({ split: name, position });
  const manifest = {
    ...{ checkpoint: 1, completedAt },
    functions: [
      { name: "other", splits: [] },
      { name: "old", splits: [split("s", "03"), split("t", "")] },
    ],
  } as unknown as Manifest;
  const check = (hold: RestoreHold) => () =>
    checkHold(manifest, { functions: { log: "old", also: "other" }, startEmpty: [], leftBehind: [] }, hold);
  const atSplit = (name: string, position: string) => check({ positions: { log: { [name]: position } } });

  test("may be at the checkpoint or after it", () => {
    for (const allowed of [
      check({}),
      check({ arrivedByMs: Date.parse(completedAt) }),
      atSplit("s", "03"),
      atSplit("s", "99"),
      atSplit("t", "01"),
      check({ positions: {} }),
    ])
      expect(allowed).not.toThrow();
  });

  test.each<[string, () => void, string]>([
    [
      "before the checkpoint completed",
      check({ arrivedByMs: Date.parse(completedAt) - 1 }),
      "completed at 2026-01-01T00:00:00.000Z",
    ],
    [
      "at a function of which nothing is restored",
      check({ positions: { new: { s: "03" } } }),
      "It restores log, also.",
    ],
    ["at a split that the checkpoint does not have", atSplit("u", "03"), "It has s, t."],
    ["at what is no position of its source", atSplit("s", "3"), 'like "03"'],
    ["before the checkpoint's position", atSplit("s", "02"), "has it at 03 already"],
  ])("%s is refused, with what would do", (_, refused, wayOut) => {
    expect(refused).toThrow(expect.objectContaining({ kind: "fix-configuration" }));
    expect(refused).toThrow(wayOut);
  });
});
