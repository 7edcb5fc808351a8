import { describe, expect, it } from "vitest";
import type { AttributeMap } from "../../../../shared/json/attribute-value.ts";
import {
  fromBeforeAttributes,
  fromItem,
  toBeforeAttributes,
  toItemWithoutBefore,
} from "../../../../shared/state/dynamodb/state-item-attributes.ts";
import { ABSENT, type StateItem } from "../../../../shared/state/state-item.ts";

// The persisted format, spelt out: a change here needs a way to read what older versions wrote.
const present: [StateItem, AttributeMap] = [
  {
    key: "JFK",
    generation: 12,
    v: "aGVsbG8",
    epoch: 7,
    state: { value: { flights: 3, delays: [1.5, -2] }, version: 2 },
    applied: { "shardId-000000000000": "0042" },
    before: { value: { flights: 2, delays: [1.5] }, version: 1 },
  },
  {
    key: { S: "JFK" },
    gen: { S: "0000000012" },
    v: { S: "aGVsbG8" },
    epoch: { N: "7" },
    state: { M: { flights: { N: "3" }, delays: { L: [{ N: "1.5" }, { N: "-2" }] } } },
    stateVersion: { N: "2" },
    applied: { M: { "shardId-000000000000": { S: "0042" } } },
    before: { M: { flights: { N: "2" }, delays: { L: [{ N: "1.5" }] } } },
    beforeVersion: { N: "1" },
  },
];
const tombstone: [StateItem, AttributeMap] = [
  { key: "JFK", generation: 1, v: "v", epoch: 0, state: ABSENT, applied: {}, before: ABSENT },
  {
    key: { S: "JFK" },
    gen: { S: "0000000001" },
    v: { S: "v" },
    epoch: { N: "0" },
    cleared: { BOOL: true },
    applied: { M: {} },
    beforeAbsent: { BOOL: true },
  },
];

describe("the format of a state item", () => {
  it.each([
    ["a state with a before-image", present],
    ["a tombstone of a key that did not exist before", tombstone],
  ] as const)("writes and reads %s", (_, [item, attributes]) => {
    expect({ ...toItemWithoutBefore(item), ...toBeforeAttributes(item.before) }).toEqual(attributes);
    expect(fromItem(attributes)).toEqual({ item, beforeItem: undefined });
  });

  it("names a before-image that is an item of its own", () => {
    const { before: _before, beforeVersion: _version, ...main } = present[1];
    const { before: _image, ...item } = present[0];
    const beforeItem = "0000000012#before#aGVsbG8";
    expect(fromItem({ ...main, beforeItem: { S: beforeItem } })).toEqual({ item, beforeItem });
    expect(
      fromBeforeAttributes({ key: { S: "JFK" }, gen: { S: beforeItem }, ...toBeforeAttributes(present[0].before) }),
    ).toEqual(present[0].before);
  });

  it("never takes an item without a state for a tombstone that is not marked", () => {
    const { cleared: _cleared, ...unmarked } = tombstone[1];
    expect(() => fromItem(unmarked)).toThrow(expect.objectContaining({ kind: "report-bug" }));
  });
});
