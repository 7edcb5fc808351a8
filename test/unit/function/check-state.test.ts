import { describe, expect, it } from "vitest";
import { checkState } from "../../../shared/function/check-state.ts";

describe("checkState", () => {
  it("returns the very value that it accepts", () => {
    const state = { flights: 1, destinations: ["JFK"] };
    expect(checkState("on-time", "LAX", state)).toBe(state);
  });

  it("names the function, the key, the place, and the way out", () => {
    expect(() => checkState("on-time", 'the "key"', { visits: [{ at: new Date(0) }] })).toThrow(
      expect.objectContaining({
        kind: "fix-function",
        message:
          'handle of on-time returned a state for key "the \\"key\\"" that is not JSON: state.visits[0].at is a Date. Store a number of milliseconds or an ISO string.',
      }),
    );
  });

  it("says what to return where nothing was", () => {
    expect(() => checkState("on-time", "LAX", undefined)).toThrow(
      expect.objectContaining({
        kind: "fix-function",
        message: 'handle of on-time returned undefined for key "LAX". Return the new state, or null to clear the key.',
      }),
    );
  });
});
