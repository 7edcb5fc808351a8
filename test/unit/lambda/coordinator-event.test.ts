import { describe, expect, test } from "vitest";
import { triggerOf } from "../../../shared/lambda/lambda-coordinator-handler.ts";

describe("what the coordinator is invoked with", () => {
  test.each([
    [undefined, {}],
    [{}, {}],
    [{ version: "0", source: "aws.events", "detail-type": "Scheduled Event" }, {}],
    [{ tidemark: "carry-on" }, {}],
    [{ checkpoint: true }, { trigger: {} }],
    [{ savepoint: "v2" }, { trigger: { savepoint: "v2" } }],
    [{ checkpoint: true, savepoint: "v2" }, { trigger: { savepoint: "v2" } }],
  ])("%j is understood", (event, trigger) => {
    expect(triggerOf(event)).toEqual(trigger);
  });

  test.each([
    [{ savepont: "v2" }],
    [{ savepoint: "" }],
    [{ savepoint: 2 }],
    [{ checkpoint: 42 }],
    [{ checkpoint: false }],
    ["checkpoint"],
  ])("%j is refused, and does not pass for a run of the schedule", (event) => {
    expect(() => triggerOf(event)).toThrow(expect.objectContaining({ kind: "fix-configuration" }));
    expect(() => triggerOf(event)).toThrow(/did nothing.*savepoint/);
  });
});
