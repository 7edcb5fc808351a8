import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, expect, test } from "vitest";
import { type PreparedBatch, prepare } from "../../../shared/batch/prepare.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";
import { findJsonDefect } from "../../../shared/json/check-json.ts";
import { DEFAULT_DECODING, type Decoder, type Decoding } from "../../../shared/source/decoding.ts";
import type { SourceRecord } from "../../../shared/source/source.ts";
import { ListSource } from "../../support/list-source.ts";

interface Event {
  readonly key: string;
}

const records: readonly SourceRecord[] = ["1", "2", "3"].map((position, index) => ({
  ...{ position, itemIdentifier: position, payload: JSON.stringify({ key: "abc"[index] }) },
}));

const { events } = new ListSource();

function prepared(
  validate: StandardSchemaV1<unknown, Event>["~standard"]["validate"],
  key: (event: Event) => string = (event) => event.key,
  decoding: Decoding = DEFAULT_DECODING,
): Promise<PreparedBatch> {
  const definition = defineFunction({
    ...{ name: "log", key },
    event: { "~standard": { version: 1, vendor: "test", validate } } as StandardSchemaV1<unknown, Event>,
    state: { initial: () => ({}) },
    handle: (state: object) => state,
  });
  return prepare({ definition, events, decoding, split: "s", replay: false, nameKey: String }, records);
}

const later = (answer: () => unknown) => new Promise((resolve) => setTimeout(() => resolve(answer()), 1));

describe("a schema that answers later", () => {
  test("makes the events in the order of their records", async () => {
    const batch = await prepared((value) => {
      const event = value as Event;
      // The first one takes longest.
      return (event.key === "a" ? later(() => ({ value: event })) : Promise.resolve({ value: event })) as never;
    });
    expect(batch.length).toBe(3);
    expect([0, 1, 2].map((index) => batch.eventAt(index))).toEqual([{ key: "a" }, { key: "b" }, { key: "c" }]);
    expect(batch.keys).toEqual(["a", "b", "c"]);
  });

  test("refuses an event, and the batch goes on", async () => {
    const batch = await prepared((value) =>
      Promise.resolve((value as Event).key === "b" ? { issues: [{ message: "no b" }] } : { value: value as Event }),
    );
    expect(batch.noEventAt(1)).toMatchObject({ kind: "refused", error: { kind: "fix-event" } });
    expect(batch.keys).toEqual(["a", "c"]);
  });

  test("ends the batch at the record that it throws at", async () => {
    const thrown = new Error("no database");
    const batch = await prepared(async (value) => {
      if ((value as Event).key === "b") throw thrown;
      return { value: value as Event };
    });
    expect(batch.noEventAt(1)).toEqual({ kind: "thrown", record: records[1], thrown, tries: 1 });
    expect(batch.length).toBe(2);
  });
});

describe("a record that the user's code throws at", () => {
  test("is the last that it sees", async () => {
    const seen: string[] = [];
    const batch = await prepared(
      (value) => ({ value: value as Event }),
      ({ key }) => {
        seen.push(key);
        if (key === "b") throw new Error("no b");
        return key;
      },
    );
    expect(seen).toEqual(["a", "b"]);
    expect(batch).toMatchObject({ length: 2, thrownAt: true, keys: ["a"] });
  });
});

describe("a promise where none is taken", () => {
  // Vitest fails a run in which a promise rejects that nobody has.
  const late = () => Promise.reject(new Error("late"));

  test("as a key is refused, and ends no process when it rejects", async () => {
    const batch = await prepared((value) => ({ value: value as Event }), late as never);
    expect(batch.noEventAt(0)).toMatchObject({
      kind: "unfit",
      error: { message: expect.stringContaining("a promise, and no key is waited for") },
    });
    await later(() => {});
  });

  test.each([
    ["decode's answer", late, "decode returned a promise;"],
    ["one of its events", () => [{ key: "a" }, late(), late()], "decode returned, as event 2, a promise;"],
  ])("as %s makes the record a dead letter, and ends no process when it rejects", async (_, decode, message) => {
    const decoding = { ...DEFAULT_DECODING, decode: decode as unknown as Decoder };
    const batch = await prepared((value) => ({ value: value as Event }), undefined, decoding);
    expect(batch.recordCount).toBe(3);
    expect(batch.noEventAt(0)).toMatchObject({
      kind: "unreadable",
      error: { message: expect.stringContaining(message) },
    });
    await later(() => {});
  });

  test("within a state is refused, and ends no process when it rejects", async () => {
    expect(findJsonDefect({ names: [late()] }, "state")).toMatchObject({ path: "state.names[0]" });
    await later(() => {});
  });
});
