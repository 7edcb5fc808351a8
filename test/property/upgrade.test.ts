/**
 * Invariants:
 * - Each image is upgraded by its own version, step by step, to the code's; one of that version is left as it is.
 * - A key whose state and before-image are of two versions folds each in the code's shape, and writes both in it.
 * - Code that meets a newer image refuses it by name, and says so to who asks, whatever the image.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { expect, test } from "vitest";
import { KeyFold } from "../../shared/batch/key-fold.ts";
import { PreparedBatch } from "../../shared/batch/prepare.ts";
import { defineFunction } from "../../shared/function/define-function.ts";
import type { FunctionDefinition } from "../../shared/function/function-definition.ts";
import { isForeignState, upgradeImage } from "../../shared/function/upgrade-image.ts";
import { DEFAULT_DECODING } from "../../shared/source/decoding.ts";
import type { SourceEvents } from "../../shared/source/source.ts";
import type { StateItem } from "../../shared/state/state-item.ts";
import fc from "../support/properties.ts";

interface Trail {
  readonly trail: readonly string[];
}

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) },
};

/** Every step, and every fold, leaves its name in the state. */
function functionOf(version: number): FunctionDefinition<unknown, Trail> {
  const step = (from: number) => (old: unknown) => ({ trail: [...(old as Trail).trail, `${from}`] });
  return defineFunction({
    name: "f",
    event: anything,
    key: () => "k",
    state: {
      initial: (): Trail => ({ trail: [] }),
      version,
      upgrade: Object.fromEntries(Array.from({ length: version - 1 }, (_, index) => [index + 1, step(index + 1)])),
    },
    handle: (state) => ({ trail: [...state.trail, "fold"] }),
  });
}

const steps = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `${from + i}`);
const versions = fc.integer({ min: 1, max: 12 });

test("an image passes every step from its own version to the code's, and no other", () => {
  fc.assert(
    fc.property(versions, versions, (a, b) => {
      const [from, to] = a < b ? [a, b] : [b, a];
      const value = { trail: ["as stored"] };
      expect(upgradeImage(functionOf(to), { value, version: from })).toEqual({
        trail: ["as stored", ...steps(from, to)],
      });
      expect(value).toEqual({ trail: ["as stored"] });
    }),
  );
});

test("an image that is newer than the code is refused, and known for that", () => {
  fc.assert(
    fc.property(versions, fc.integer({ min: 1, max: 5 }), fc.json(), (known, ahead, stored) => {
      try {
        upgradeImage(functionOf(known), { value: JSON.parse(stored), version: known + ahead });
        throw new Error("it was taken");
      } catch (thrown) {
        expect(isForeignState(thrown)).toBe(true);
      }
    }),
  );
});

test("a state and its before-image of two versions are folded and written each by its own", async () => {
  await fc.assert(
    fc.asyncProperty(versions, versions, versions, async (a, b, c) => {
      const [older, newer, known] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
      const base: StateItem = {
        ...{ key: "k", generation: 1, v: "v", epoch: 5, applied: {} },
        state: { value: { trail: ["state"] }, version: newer },
        before: { value: { trail: ["before"] }, version: older },
      };
      const definition = functionOf(known);
      const batch = new PreparedBatch(
        {
          definition,
          events: {} as SourceEvents,
          decoding: DEFAULT_DECODING,
          split: "s",
          replay: false,
          nameKey: String,
        },
        [{ position: "1", itemIdentifier: "1", payload: "" }],
      );
      batch.addEvent({}, "k");
      // The batch is of the epoch before the item's: the event belongs into both images.
      const scope = {
        split: "s",
        generation: 1,
        exactlyOnce: true,
        epoch: 4,
        resolved: 4,
        after: "",
        batch,
        nameKey: String,
      };
      const fold = new KeyFold({ ...scope, definition, stateVersion: known }, 0, base);
      await fold.fold(0);
      expect(fold.toItem("w")).toMatchObject({
        epoch: 5,
        applied: { s: "1" },
        state: { value: { trail: ["state", ...steps(newer, known), "fold"] }, version: known },
        before: { value: { trail: ["before", ...steps(older, known), "fold"] }, version: known },
      });
    }),
  );
});
