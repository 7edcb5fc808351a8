/**
 * A state item as DynamoDB keeps it, readable in the console:
 *
 * | attribute | type | |
 * |---|---|---|
 * | `key`, `gen` | S | the primary key |
 * | `v` | S | names this write |
 * | `epoch` | N | |
 * | `state`, `stateVersion` | any, N | absent for a tombstone, which has `cleared` = true |
 * | `stateBigInts` | BOOL or M | which numbers of `state` are BigInts ({@link BigIntMarks}); absent: none is |
 * | `applied` | M of S | position by split |
 * | `before`, `beforeVersion`, `beforeBigInts` | as the state's | the before-image; an image that did not exist is `beforeAbsent` = true |
 * | `beforeItem` | S | instead of `before`: the `gen` of the item that holds it |
 *
 * Without any `before…` no before-image is kept. A before-item has `key`, `gen`, `before`, `beforeVersion`
 * and `beforeBigInts`.
 */
import { invariant } from "../../errors.ts";
import { type AttributeMap, fromAttribute, toAttribute } from "../../json/attribute-value.ts";
import { type BigIntMarks, marksOf } from "../../json/big-int-marks.ts";
import { ABSENT, type Image, type PresentImage, type StateItem } from "../state-item.ts";
import { generationText, itemKey } from "./state-table.ts";

/** An item, or one that still waits for its before-image. */
export type DecodedItem = { readonly item: StateItem; readonly beforeItem: string | undefined };

/** All but the before-image. */
export function toItemWithoutBefore(item: StateItem): AttributeMap {
  const attributes = itemKey(item.key, generationText(item.generation));
  attributes.v = { S: item.v };
  attributes.epoch = { N: String(item.epoch) };
  if (item.state === ABSENT) {
    attributes.cleared = { BOOL: true };
  } else {
    attributes.state = toAttribute(item.state.value);
    attributes.stateVersion = { N: String(item.state.version) };
    const marks = marksOf(item.state.value);
    if (marks !== undefined) attributes.stateBigInts = toAttribute(marks);
  }
  const applied: AttributeMap = {};
  for (const split of Object.keys(item.applied)) applied[markName(split)] = { S: item.applied[split] as string };
  attributes.applied = { M: applied };
  return attributes;
}

/** A member named "__proto__" is lost on the way to DynamoDB. No split's name begins with a slash. */
const markName = (split: string): string => (split === "__proto__" ? "/__proto__" : split);

/** The attributes that hold a before-image within an item. */
export function toBeforeAttributes(before: Image | undefined): AttributeMap {
  if (before === undefined) return {};
  if (before === ABSENT) return { beforeAbsent: { BOOL: true } };
  const marks = marksOf(before.value);
  return {
    before: toAttribute(before.value),
    beforeVersion: { N: String(before.version) },
    ...(marks === undefined ? {} : { beforeBigInts: toAttribute(marks) }),
  };
}

export function fromItem(attributes: AttributeMap): DecodedItem {
  const before = fromBeforeAttributes(attributes);
  const marks = Object.entries(attributes.applied?.M ?? {});
  // Each an own member, whatever its name.
  const applied = Object.fromEntries(
    marks.map(([name, { S = "" }]) => [name === "/__proto__" ? "__proto__" : name, S]),
  );
  const item: StateItem = {
    key: text(attributes, "key"),
    generation: Number(text(attributes, "gen")),
    v: text(attributes, "v"),
    epoch: Number(attributes.epoch?.N),
    state: imageOf(attributes, "state") ?? ABSENT,
    applied,
    ...(before !== undefined && { before }),
  };
  invariant(
    attributes.state !== undefined || attributes.cleared?.BOOL === true,
    "an item has a state or is marked as cleared",
  );
  return { item, beforeItem: attributes.beforeItem?.S };
}

/** The before-image within an item or a before-item. */
export function fromBeforeAttributes(attributes: AttributeMap): Image | undefined {
  if (attributes.beforeAbsent?.BOOL === true) return ABSENT;
  return imageOf(attributes, "before");
}

function imageOf(attributes: AttributeMap, name: "state" | "before"): PresentImage | undefined {
  const value = attributes[name];
  if (value === undefined) return undefined;
  const marks = attributes[`${name}BigInts`];
  return {
    value: fromAttribute(value, marks && (fromAttribute(marks) as BigIntMarks)),
    version: Number(attributes[`${name}Version`]?.N),
  };
}

function text(attributes: AttributeMap, name: string): string {
  const found = attributes[name]?.S;
  invariant(found !== undefined, `every state item has the string attribute "${name}"`);
  return found;
}
