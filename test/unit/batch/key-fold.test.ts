import { describe, expect, test } from "vitest";
import { type FoldScope, KeyFold } from "../../../shared/batch/key-fold.ts";
import { PreparedBatch } from "../../../shared/batch/prepare.ts";
import { DEFAULT_DECODING } from "../../../shared/source/decoding.ts";
import type { SourceEvents } from "../../../shared/source/source.ts";
import { ABSENT, type StateItem } from "../../../shared/state/state-item.ts";
import { type LogState, logFunction } from "../../support/test-world.ts";

const definition = logFunction("log");
const image = (...log: string[]) => ({ value: { log }, version: 1 });

/** Records 04, 05, … of split s, a letter a record, after position 03. */
function scopeOf(letters: string, more: Partial<FoldScope> = {}): FoldScope {
  const positions = [...letters].map((_, index) => `0${index + 4}`);
  const batch = new PreparedBatch(
    { definition, events: {} as SourceEvents, decoding: DEFAULT_DECODING, split: "s", replay: false, nameKey: String },
    positions.map((position) => ({ position, itemIdentifier: position, payload: "" })),
  );
  for (const [index, key] of [...letters].entries()) batch.addEvent({ key, id: `s${index + 4}`, clear: false }, key);
  return {
    ...{ definition, stateVersion: 1, split: "s", generation: 1, exactlyOnce: true, epoch: 5, resolved: 4 },
    ...{ after: "03", batch, nameKey: String, ...more },
  };
}

/** Of key a. */
const base = (more: Partial<StateItem> = {}): StateItem => ({
  ...{ key: "a", generation: 1, v: "v", epoch: 5, state: image("s1"), applied: { s: "01" } },
  ...more,
});

async function folded(scope: FoldScope, item: StateItem | undefined): Promise<StateItem> {
  const fold = new KeyFold(scope, 0, item);
  for (let index = 0; index < scope.batch.length; index += 1) await fold.fold(index);
  return fold.toItem("w");
}

describe("a key's before-image", () => {
  test("is what it was before its first write in the epoch, until the epoch's checkpoint has its outcome", async () => {
    expect(await folded(scopeOf("a"), base({ epoch: 4 }))).toStrictEqual({
      ...{ before: image("s1"), key: "a", generation: 1, v: "w", epoch: 5 },
      ...{ state: image("s1", "s4"), applied: { s: "04" } },
    });
    expect((await folded(scopeOf("a"), undefined)).before).toBe(ABSENT);
    for (const resolved of [5, 6]) {
      expect(await folded(scopeOf("a", { resolved }), base({ epoch: 4 }))).not.toHaveProperty("before");
    }
  });

  test("is carried along as long, and then left out", async () => {
    const item = base({ before: image("s0") });
    expect((await folded(scopeOf("a"), item)).before).toEqual(image("s0"));
    expect(await folded(scopeOf("a", { resolved: 5 }), item)).not.toHaveProperty("before");
  });

  test("is not made of an event of an older epoch where there is none", async () => {
    const item = await folded(scopeOf("a", { epoch: 4 }), base());
    expect(item).not.toHaveProperty("before");
    expect(item).toMatchObject({ epoch: 5, state: image("s1", "s4") });
  });
});

describe("a key that is folded at least once", () => {
  test("keeps the later epoch and what was applied, and has no before-image", async () => {
    const scope = (epoch: number) => scopeOf("a", { exactlyOnce: false, epoch, resolved: 0 });
    const plain = { key: "a", generation: 1, v: "w", state: image("s1", "s4"), applied: { s: "01" } };
    expect(await folded(scope(4), base())).toStrictEqual({ ...plain, epoch: 5 });
    expect(await folded(scope(6), base({ before: image() }))).toStrictEqual({ ...plain, epoch: 6 });
    expect(await folded(scope(6), undefined)).toStrictEqual({ ...plain, state: image("s4"), applied: {}, epoch: 6 });
  });
});

describe("what was applied", () => {
  test("is the key's events up to its mark, and no later one of the batch", () => {
    const fold = new KeyFold(scopeOf("aaa"), 0, base({ applied: { s: "05", t: "09" } }));
    expect([0, 1, 2].map((index) => fold.isApplied(index))).toEqual([true, true, false]);
    const fresh = new KeyFold(scopeOf("aaa"), 0, base({ applied: { s: "03" } }));
    expect([0, 1, 2].map((index) => fresh.isApplied(index))).toEqual([false, false, false]);
  });
});

describe("a fold", () => {
  test("has no events and no position before its first, and its own alone after", async () => {
    const fold = new KeyFold(scopeOf("abaa"), 0, undefined);
    expect(fold.lastPosition).toBe("");
    expect([...fold.events(2)]).toEqual([2]);
    await fold.fold(0);
    await fold.fold(2);
    expect(fold.lastPosition).toBe("06");
    expect([...fold.events()]).toEqual([0, 2]);
    expect([...fold.events(3)]).toEqual([0, 2, 3]);
  });

  test("looks at the state only when it is to be stored: one event may leave what the next one mends", async () => {
    const states: Record<string, unknown> = { s4: { log: [Number.NaN] }, s5: { log: ["mended"] } };
    const mending = { ...definition, handle: (_: LogState, { id }: { readonly id: string }) => states[id] as LogState };
    expect((await folded(scopeOf("aa", { definition: mending }), undefined)).state).toEqual(image("mended"));
  });
});
