import { deserialize, serialize } from "node:v8";
import { describe, expect, test } from "vitest";
import { receiveError, sendError } from "../../../local/call-codec.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { STRANGE } from "../../support/strange-values.ts";

describe("an error that is sent to the supervisor", () => {
  test.each(STRANGE)("arrives, made of %s, with text for its message", (_what, thrown) => {
    const received = receiveError(deserialize(serialize(sendError(thrown))));
    expect(received).toBeInstanceOf(Error);
    expect([typeof received.name, typeof received.message]).toEqual(["string", "string"]);
  });

  test("keeps its kind", () => {
    expect(receiveError(sendError(new TidemarkError("fix-event", "m")))).toMatchObject({
      kind: "fix-event",
      message: "m",
    });
  });

  test("is bounded, however long what was thrown is", () => {
    expect(serialize(sendError(new Error("x".repeat(3_000_000)))).length).toBeLessThan(50_000);
  });
});
