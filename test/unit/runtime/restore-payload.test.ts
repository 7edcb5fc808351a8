import { describe, expect, test } from "vitest";
import { parseRestorePayload } from "../../../shared/runtime/restore-payload.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const parse = (payload: unknown) => parseRestorePayload(payload, NOW);

describe("the restore function's payload", () => {
  test.each([
    [{}, { do: "restore", choice: {} }],
    [undefined, { do: "restore", choice: {} }],
    [{ checkpoint: 42 }, { do: "restore", choice: { checkpoint: 42 } }],
    [{ before: "2026-01-31T12:00:00+01:00" }, { do: "restore", choice: { before: new Date("2026-01-31T11:00:00Z") } }],
    [
      { savepoint: "v2", dryRun: true },
      { do: "restore", choice: { savepoint: "v2", dryRun: true } },
    ],
    [{ allowNonRestoredState: true }, { do: "restore", choice: { allowNonRestoredState: true } }],
    [
      { until: "2026-01-31T12:00:00Z" },
      { do: "restore", choice: { until: { arrivedByMs: Date.parse("2026-01-31T12:00:00Z") } } },
    ],
    [
      { checkpoint: 1, until: { log: { s: "0017" } } },
      { do: "restore", choice: { checkpoint: 1, until: { positions: { log: { s: "0017" } } } } },
    ],
    [{ status: true }, { do: "status" }],
    [{ goOn: true }, { do: "go-on" }],
  ])("%j is understood", (payload, command) => {
    expect(parse(payload)).toEqual(command);
  });

  test.each([
    [{ chekpoint: 42 }, /no field "chekpoint"; did you mean checkpoint\?/],
    [{ dryrun: true }, /did you mean dryRun/],
    [{ source: "aws.events" }, /no field "source"/],
    ["42", /the payload is "42"; it must be an object/],
    [[], /it must be an object/],
    [{ checkpoint: "42" }, /checkpoint is "42"; it must be a checkpoint's number/],
    [{ checkpoint: 0 }, /checkpoint is 0/],
    [{ checkpoint: 1, savepoint: "x" }, /checkpoint and savepoint each name a checkpoint/],
    [{ before: "yesterday" }, /a time with its zone/],
    [{ before: "2026-01-31T12:00:00" }, /a time with its zone/],
    [{ before: "2026-13-31T12:00:00Z" }, /a time with its zone/],
    [{ savepoint: "" }, /savepoint is ""/],
    [{ dryRun: "yes" }, /dryRun is "yes"; it must be true or false/],
    [{ status: true, checkpoint: 3 }, /status is given with checkpoint; status goes alone/],
    [{ status: false }, /status is false; it must be true, or be left out to restore/],
    [{ goOn: "no" }, /goOn is "no"; it must be true/],
    [{ goOn: true, until: "2026-01-31T12:00:00Z" }, /goOn goes alone/],
    [{ until: "2026-06-01T00:00:01Z" }, /still to come/],
    [{ until: {} }, /until is \{\}/],
    [{ until: { log: "0017" } }, /positions by split/],
    [{ until: { log: { s: 17 } } }, /positions by split/],
  ])("%j is refused with what would do", (payload, message) => {
    expect(() => parse(payload)).toThrow(expect.objectContaining({ kind: "fix-configuration" }));
    expect(() => parse(payload)).toThrow(message);
    expect(() => parse(payload)).toThrow(/nothing was changed.*Examples/);
  });
});
