import { describe, expect, it } from "vitest";
import { z } from "zod";
import { TidemarkError } from "../../../shared/errors.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";
import type { StateDefinition } from "../../../shared/function/function-definition.ts";
import { isForeignState, stateVersionOf, upgradeImage } from "../../../shared/function/upgrade-image.ts";

type Upgrade = NonNullable<StateDefinition<unknown>["upgrade"]>;

function functionOf(version?: number, upgrade?: Upgrade) {
  return defineFunction({
    name: "visits",
    event: z.unknown(),
    key: () => "k",
    state: {
      initial: () => ({ count: 0 }),
      ...(version === undefined ? {} : { version }),
      ...(upgrade === undefined ? {} : { upgrade }),
    },
    handle: (state) => state,
  });
}

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (thrown) {
    return thrown;
  }
  throw new Error("Nothing was thrown.");
}

describe("upgradeImage", () => {
  it("returns the very value of an image of the code's version, which is 1 unless given", () => {
    const value = { count: 1 };
    expect(upgradeImage(functionOf(), { value, version: 1 })).toBe(value);
    expect(upgradeImage(functionOf(4), { value, version: 4 })).toBe(value);
    expect(stateVersionOf(functionOf())).toBe(1);
  });

  it("applies each step from the image's version on, in turn", () => {
    const definition = functionOf(4, {
      1: (old: string) => `${old}2`,
      2: (old: string) => `${old}3`,
      3: (old: string) => `${old}4`,
    });
    expect(upgradeImage(definition, { value: "1", version: 1 })).toBe("1234");
    expect(upgradeImage(definition, { value: "", version: 3 })).toBe("4");
  });

  it("refuses an image newer than the code, told apart from every throw of user code", () => {
    const thrown = thrownBy(() => upgradeImage(functionOf(2, { 1: (old) => old }), { value: 1, version: 3 }));
    expect(thrown).toBeInstanceOf(TidemarkError);
    expect(thrown).toMatchObject({
      name: "TidemarkError",
      kind: "fix-configuration",
      message:
        "Function visits met state of version 3, but its code knows versions up to 2: newer code has run here already. " +
        "The batch writes nothing, counts no try and is delivered again. " +
        "Deploy code whose state.version is 3 or more, or restore a checkpoint taken before version 3.",
    });
    expect(isForeignState(thrown)).toBe(true);
    expect(isForeignState(new TidemarkError("fix-configuration", (thrown as Error).message))).toBe(false);
    expect(isForeignState(undefined)).toBe(false);
  });

  it("names the step that is missing", () => {
    const thrown = thrownBy(() => upgradeImage(functionOf(3, { 2: (old) => old }), { value: 1, version: 1 }));
    expect(thrown).toMatchObject({
      kind: "fix-function",
      message:
        "Function visits met state of version 1, its code has version 3, and state.upgrade[1] is missing. " +
        "Add state.upgrade[1], which makes state of version 2 from state of version 1.",
    });
    expect(isForeignState(thrown)).toBe(false);
  });

  it("names the step that returns what is not JSON", () => {
    const definition = functionOf(2, { 1: () => ({ at: new Date(0) }) });
    expect(() => upgradeImage(definition, { value: 1, version: 1 })).toThrow(
      expect.objectContaining({
        kind: "fix-function",
        message:
          "state.upgrade[1] of visits returned what is not JSON: state.at is a Date. Store a number of milliseconds or an ISO string.",
      }),
    );
  });

  it("keeps a step from changing the image in place, and names it", () => {
    const image = { value: { count: 1 }, version: 1 };
    const definition = functionOf(2, {
      1: (old: { count: number }) => {
        old.count = 2;
        return old;
      },
    });
    expect(() => upgradeImage(definition, image)).toThrow(
      expect.objectContaining({
        kind: "fix-function",
        message: expect.stringContaining(
          "state.upgrade[1] of visits changed its state argument in place (property 'count')",
        ),
      }),
    );
    expect(image.value).toEqual({ count: 1 });
  });

  it("lets through what a step throws", () => {
    const own = new Error("own");
    const definition = functionOf(2, {
      1: () => {
        throw own;
      },
    });
    expect(thrownBy(() => upgradeImage(definition, { value: 1, version: 1 }))).toBe(own);
  });
});
