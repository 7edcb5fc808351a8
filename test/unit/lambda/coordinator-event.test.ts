import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { wishOf } from "../../../shared/lambda/coordinator.ts";

const runbook = readFileSync(path.resolve(import.meta.dirname, "../../../docs/operations.md"), "utf8");

describe("what the coordinator is invoked with", () => {
  test("is what the runbook's lines say", () => {
    const payloads = Array.from(runbook.matchAll(/echo '([^']+)' \| coordinator/g), ([, payload]) => payload ?? "");
    const wishes = new Set(payloads.map((payload) => Object.keys(JSON.parse(payload))[0]));
    expect([...wishes].sort()).toEqual(["checkpoint", "redrive", "savepoint", "skip", "takeOver"]);
    for (const payload of payloads) expect(wishOf(JSON.parse(payload)), payload).not.toEqual({});
  });

  test.each([
    [undefined, {}],
    [{}, {}],
    [{ version: "0", source: "aws.events", "detail-type": "Scheduled Event" }, {}],
    [{ tidemark: "carry-on" }, {}],
    [{ checkpoint: true }, { trigger: {} }],
    [{ savepoint: "v2" }, { trigger: { savepoint: "v2" } }],
    [{ checkpoint: true, savepoint: "v2" }, { trigger: { savepoint: "v2" } }],
    [{ redrive: "visits" }, { redrive: { function: "visits" } }],
    [{ redrive: "visits", all: true }, { redrive: { function: "visits", all: true } }],
    [{ takeOver: "aGVsbG8" }, { takeOver: "aGVsbG8" }],
    [{ redrive: "visits", split: "s", position: "1" }, { redrive: { function: "visits", split: "s", position: "1" } }],
    [{ skip: "visits" }, { skip: { function: "visits" } }],
    [{ skip: "visits", split: "s", records: 3 }, { skip: { function: "visits", split: "s", records: 3 } }],
  ])("%j is understood", (event, wish) => {
    expect(wishOf(event)).toEqual(wish);
  });

  test.each([
    [{ savepont: "v2" }],
    [{ savepoint: "" }],
    [{ savepoint: 2 }],
    [{ checkpoint: 42 }],
    [{ checkpoint: false }],
    ["checkpoint"],
    [{ redrive: "" }],
    [{ redrive: true }],
    [{ redrive: "visits", all: false }],
    [{ redrive: "visits", split: 1 }],
    [{ redrive: "visits", position: "1" }],
    [{ redrive: "visits", checkpoint: true }],
    [{ redrive: "visits", savepoint: "v2" }],
    [{ skip: "" }],
    [{ skip: true }],
    [{ skip: "visits", split: 1 }],
    [{ skip: "visits", records: "3" }],
    [{ skip: "visits", position: "1", split: "s" }],
    [{ skip: "visits", redrive: "visits" }],
    [{ skip: "visits", checkpoint: true }],
    [{ records: 3 }],
    [{ split: "s" }],
    [{ takeOver: "" }],
    [{ takeOver: true }],
    [{ takeOver: "aGVsbG8", checkpoint: true }],
    [{ takeOver: "aGVsbG8", all: true }],
    [{ checkpoint: true, all: true }],
  ])("%j is refused, and does not pass for a run of the schedule", (event) => {
    expect(() => wishOf(event)).toThrow(expect.objectContaining({ kind: "fix-configuration" }));
    expect(() => wishOf(event)).toThrow(/did nothing.*savepoint/);
  });
});
