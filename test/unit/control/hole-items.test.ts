import { describe, expect, test } from "vitest";
import { applyWrite } from "../../../shared/control/apply-write.ts";
import type { ConditionalWrite } from "../../../shared/control/conditional-write.ts";
import type { ControlAttributes, ControlStore, ItemKey } from "../../../shared/control/control-store.ts";
import { deadLetterHole, type Hole } from "../../../shared/control/hole.ts";
import { allHoles, spillHoles } from "../../../shared/control/hole-items.ts";
import type { Split } from "../../../shared/control/split.ts";
import { toAttributeMap } from "../../../shared/json/attribute-value.ts";
import { itemBytes } from "../../../shared/json/item-size.ts";

const place = { function: "count", split: "s" };

describe("spillHoles", () => {
  test("writes 5,000 holes of one batch in items that each fit DynamoDB's 400 KB, and reads them back in order", async () => {
    const items = new Map<string, ControlAttributes>();
    const name = ({ partition, sort }: ItemKey): string => `${partition} ${sort}`;
    const store = {
      get: async (key: ItemKey) => items.get(name(key)),
      update: async (key: ItemKey, write: ConditionalWrite) => {
        items.set(name(key), applyWrite(write, undefined));
        return { applied: true, before: undefined, after: {} };
      },
    } as unknown as ControlStore;
    const holes: Hole[] = Array.from({ length: 5_000 }, (_, index) =>
      deadLetterHole(String(index * 2).padStart(56, "4")),
    );
    const stored = await spillHoles(store, place, { gen: 1, holeItems: [] }, holes);
    const sizes = [...items.values()].map((item) => itemBytes(toAttributeMap(item)));
    expect(sizes).toHaveLength(5);
    expect(Math.max(...sizes)).toBeLessThan(400 * 1024 - 1024);
    const split = { gen: 1, holes: stored.inline, holeItems: stored.items } as unknown as Split;
    expect(await allHoles(store, place, split)).toEqual(holes);
  });
});
