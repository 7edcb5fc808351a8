import { describe, expect, test } from "vitest";
import type { GivenUp } from "../../../shared/batch/fold-batch.ts";
import { type BatchOutcome, resolveBatch } from "../../../shared/batch/resolve-batch.ts";
import type { Begun } from "../../../shared/control/begin.ts";
import type { Split } from "../../../shared/control/split.ts";
import type { SourceRecord } from "../../../shared/source/source.ts";

const SPLIT: Split = {
  ...{ gen: 1, phase: "RUNNING", mode: "exactly-once", attempt: 1, begun: 0, epoch: 1, pendingEpoch: 1, resolved: 0 },
  ...{ position: "02", freshAt: 200, attemptedTo: "02", barriers: {}, barrierFreshAt: {}, holes: [], holeItems: [] },
  consecutiveDeadLetters: 0,
};

const record = (position: string): SourceRecord => ({
  ...{ position, itemIdentifier: position, payload: "" },
  arrivalTimeMs: Number(position) * 100,
});

/** Records 03, 04 and 05 after position 02, all resolved unless it is said otherwise. */
function resolve(outcome: Partial<BatchOutcome> & { readonly split?: Partial<Split> } = {}) {
  const { split, ...more } = outcome;
  const begun: Begun = { split: { ...SPLIT, ...split }, attempt: 2, clean: true };
  const records = ["03", "04", "05"].map(record);
  return resolveBatch({ begun, records, resolved: 3, deadLetters: [], triedTo: "05", version: "v1", ...more });
}

const letters = (cause: GivenUp["cause"], indexes: readonly number[]): GivenUp[] =>
  indexes.map((index) => ({ index, cause, refused: cause === "refused" }));
const failed = (...indexes: number[]): GivenUp[] => letters("failed", indexes);
const refused = (...indexes: number[]): GivenUp[] => letters("refused", indexes);
const skipped = (...indexes: number[]): GivenUp[] => letters("skipped", indexes);

const deadLetter = (position: string, to = position, records = 1) => ({
  cause: "dead-letter",
  from: position,
  to,
  records,
});

describe("the position", () => {
  test("moves to the last resolved record, and freshAt with it", () => {
    expect(resolve()).toMatchObject({ position: "05", freshAt: 500 });
    expect(resolve({ resolved: 2 })).toMatchObject({ position: "04", freshAt: 400 });
  });

  test("stays where nothing was resolved, or no record was new", () => {
    expect(resolve({ resolved: 0, triedTo: "" })).toMatchObject({ position: "02", attemptedTo: "02", freshAt: 200 });
    expect(resolve({ records: [], resolved: 0, triedTo: "" })).toMatchObject({ position: "02", attemptedTo: "02" });
  });

  test("never goes back, and freshAt does not either", () => {
    expect(resolve({ split: { position: "09", attemptedTo: "09", freshAt: 900 } })).toMatchObject({
      ...{ position: "09", attemptedTo: "09", freshAt: 900 },
    });
    const records = [{ ...record("03"), arrivalTimeMs: 150 }];
    expect(resolve({ records, resolved: 1, triedTo: "03" }).freshAt).toBe(200);
  });
});

describe("what was attempted", () => {
  test("is the position once all is resolved, whatever was written", () => {
    expect(resolve({ triedTo: "" }).attemptedTo).toBe("05");
  });

  test("comes down to what a write carried, so that a poison record blocks no barrier", () => {
    expect(resolve({ resolved: 1, triedTo: "03" }).attemptedTo).toBe("03");
  });

  test("keeps what a write of another key carried past the failure", () => {
    expect(resolve({ resolved: 1, triedTo: "05" }).attemptedTo).toBe("05");
  });

  test("keeps what an earlier batch had tried", () => {
    expect(resolve({ resolved: 1, triedTo: "03", split: { attemptedTo: "08" } }).attemptedTo).toBe("08");
  });
});

describe("holes", () => {
  test("are left out where none is added", () => {
    expect(resolve({ split: { holes: [{ cause: "dropped", after: "00", to: "01" }] } }).holes).toBeUndefined();
  });

  test("hold each dead letter that the End passes; neighbours are one", () => {
    expect(resolve({ deadLetters: failed(0, 1) }).holes).toEqual([deadLetter("03", "04", 2)]);
    expect(resolve({ deadLetters: failed(0, 2) }).holes).toEqual([deadLetter("03"), deadLetter("05")]);
  });

  test("do not hold a dead letter after a failure that a write met before it", () => {
    expect(resolve({ resolved: 1, deadLetters: failed(1) }).holes).toBeUndefined();
    expect(resolve({ resolved: 1, deadLetters: failed(0, 1) }).holes).toEqual([deadLetter("03")]);
  });

  test("widen the one that ends at the position", () => {
    const holes = [{ cause: "dead-letter" as const, from: "02", to: "02", records: 1 }];
    expect(resolve({ deadLetters: failed(0), split: { holes } }).holes).toEqual([deadLetter("02", "03", 2)]);
  });
});

describe("dead letters in a row", () => {
  test("are those at the end of what was resolved", () => {
    expect(resolve({ deadLetters: failed(1, 2) }).consecutiveDeadLetters).toBe(2);
    expect(resolve({ deadLetters: failed(0, 2) }).consecutiveDeadLetters).toBe(1);
    expect(resolve({ deadLetters: failed(0, 1) }).consecutiveDeadLetters).toBe(0);
  });

  test("go on from the batch before where this one is nothing else", () => {
    const split = { consecutiveDeadLetters: 4 };
    expect(resolve({ deadLetters: failed(0, 1, 2), split }).consecutiveDeadLetters).toBe(7);
    expect(resolve({ deadLetters: failed(1, 2), split }).consecutiveDeadLetters).toBe(2);
    expect(resolve({ resolved: 0, split }).consecutiveDeadLetters).toBe(4);
  });

  test("leave out what was refused or skipped, which does not end the row either", () => {
    expect(resolve({ deadLetters: [...failed(0), ...refused(1), ...failed(2)] }).consecutiveDeadLetters).toBe(2);
    const split = { consecutiveDeadLetters: 4 };
    expect(resolve({ deadLetters: [...refused(0), ...skipped(1), ...failed(2)], split }).consecutiveDeadLetters).toBe(
      5,
    );
    expect(resolve({ deadLetters: refused(0, 1, 2), split }).consecutiveDeadLetters).toBe(4);
  });

  test("do not count one after a failure", () => {
    expect(resolve({ resolved: 2, deadLetters: failed(1, 2) }).consecutiveDeadLetters).toBe(1);
    expect(resolve({ resolved: 1, deadLetters: failed(1) }).consecutiveDeadLetters).toBe(0);
  });
});

describe("the version of the code", () => {
  const refusals = { by: "v1", records: 4 };

  test("is noted once it took a record that the End passes, the last five of them", () => {
    expect(resolve({ firstTaken: 1 })).toMatchObject({ takenBy: ["v1"], refusals: undefined });
    expect(resolve({ firstTaken: 1, resolved: 1 }).takenBy).toBeUndefined();
    expect(resolve({ firstTaken: 0, split: { refusals } })).toMatchObject({ takenBy: ["v1"], refusals: "none" });
    const takenBy = ["a", "b", "c", "d", "e"];
    expect(resolve({ firstTaken: 0, split: { takenBy } }).takenBy).toEqual(["b", "c", "d", "e", "v1"]);
  });

  test("is noted no second time, and what it refuses is not counted then", () => {
    const known = { firstTaken: 0, split: { takenBy: ["v1", "v2"] } };
    expect(resolve(known)).toMatchObject({ takenBy: undefined, refusals: undefined });
    expect(resolve({ ...known, deadLetters: refused(1) })).toMatchObject({ takenBy: undefined, refusals: undefined });
  });

  test("that has taken none is told how many its schema refused, over its batches, and not another's", () => {
    expect(resolve({ deadLetters: refused(0, 1, 2) }).refusals).toEqual({ by: "v1", records: 3 });
    expect(resolve({ deadLetters: refused(0, 1), resolved: 1 }).refusals).toEqual({ by: "v1", records: 1 });
    expect(resolve({ deadLetters: refused(0), split: { refusals } }).refusals).toEqual({ by: "v1", records: 5 });
    const others = { ...refusals, by: "v0" };
    expect(resolve({ deadLetters: refused(0), split: { refusals: others } }).refusals).toEqual({
      by: "v1",
      records: 1,
    });
    expect(resolve({ deadLetters: [...failed(0), ...skipped(1)], split: { refusals } }).refusals).toBeUndefined();
    const unreadable = letters("refused", [0]).map((letter) => ({ ...letter, refused: false }));
    expect(resolve({ deadLetters: unreadable }).refusals).toBeUndefined();
  });
});

describe("a wish to pass over records", () => {
  const skip = { after: "02", at: "03", records: 2 };

  test("is gone once so many were, and what is left of it goes on from there", () => {
    expect(resolve({ deadLetters: skipped(0, 1), split: { skip } }).skip).toBe("none");
    const more = { after: "02", records: 5 };
    expect(resolve({ deadLetters: skipped(0, 1, 2), split: { skip: more } }).skip).toEqual({ after: "05", records: 2 });
  });

  test("stays where the split does not move, and is forgotten where it moves on without it", () => {
    expect(resolve({ resolved: 0, split: { skip } }).skip).toBeUndefined();
    expect(resolve({ split: { skip } }).skip).toBe("none");
    expect(resolve({ split: { skip: { ...skip, after: "01" } } }).skip).toBe("none");
    expect(resolve().skip).toBeUndefined();
  });
});

describe("the record that fails", () => {
  const failing = { position: "04", tries: 2, error: "no" };

  test("is written with what it failed of", () => {
    expect(resolve({ resolved: 1, failing: { ...failing, tries: 3 } }).failing).toEqual({ ...failing, tries: 3 });
  });

  test("is forgotten by the End that passes it, and by no other", () => {
    expect(resolve({ split: { failing } }).failing).toBeUndefined();
    expect(resolve({ resolved: 2, split: { failing } }).failing).toBeUndefined();
    expect(resolve({ resolved: 1, split: { failing } }).failing).toBe("stays");
  });
});
