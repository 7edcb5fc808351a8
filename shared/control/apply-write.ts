/**
 * What a conditional write means, on plain data and exactly as DynamoDB would do it: the heap adapter carries writes
 * out by it, and the DynamoDB adapter works out from the item before what the item after is.
 *
 * As in DynamoDB:
 * - Values of two types are never equal and never ordered; strings are ordered by their UTF-8 bytes.
 * - A comparison with an attribute that is missing does not hold; `<>`, being "not equal", does.
 * - Right-hand sides are the attributes before the write, whatever else the write changes.
 * - A member of a map can be set, added to or removed only where the map exists; removing what is missing does nothing.
 */
import { TidemarkError } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { AttributePath, Comparison, Condition, ConditionalWrite, Operand } from "./conditional-write.ts";
import type { ControlAttributes } from "./control-store.ts";
import { compareUtf8 } from "./utf8-order.ts";

type JsonObject = { readonly [name: string]: JsonValue };

const NO_ATTRIBUTES: ControlAttributes = {};

/** Whether all conditions hold. */
export function holds(conditions: readonly Condition[], item: ControlAttributes | undefined): boolean {
  return conditions.every((condition) => conditionHolds(condition, item ?? NO_ATTRIBUTES));
}

/**
 * The attributes after the write; its conditions are not looked at, `item` is not changed.
 * @throws TidemarkError `report-bug` when the write does not fit the item, where DynamoDB would refuse it too.
 */
export function applyWrite(write: ConditionalWrite, item: ControlAttributes | undefined): ControlAttributes {
  const before = item ?? NO_ATTRIBUTES;
  // Not a spread: V8 (of Node.js 20) makes every member that is added to a spread copy a map of its own, and slow.
  const after: Record<string, JsonValue> = Object.assign({}, before);
  for (const [to, operand] of write.set ?? []) put(after, to, required(operand, before));
  for (const [to, addend] of write.add ?? []) {
    const old = read(before, to);
    if (old !== undefined && typeof old !== "number") throw misfit(`adds to ${to.join(".")}, which is no number`);
    put(after, to, (old ?? 0) + addend);
  }
  for (const at of write.remove ?? []) put(after, at, undefined);
  return after;
}

function conditionHolds(condition: Condition, item: ControlAttributes): boolean {
  if ("anyOf" in condition) return condition.anyOf.some((one) => conditionHolds(one, item));
  if ("exists" in condition) return read(item, condition.exists) !== undefined;
  if ("missing" in condition) return read(item, condition.missing) === undefined;
  return compareValues(read(item, condition.attribute), condition.is, resolve(condition.to, item));
}

function compareValues(left: JsonValue | undefined, is: Comparison, right: JsonValue | undefined): boolean {
  if (is === "<>") return !compareValues(left, "=", right);
  if (left === undefined || right === undefined) return false;
  if (typeof left === "object" && left !== null && typeof right === "object" && right !== null) {
    throw misfit("compares lists or maps, which not every store can");
  }
  if (is === "=") return left === right;
  const order = orderOf(left, right);
  if (order === undefined) return false;
  switch (is) {
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
  }
}

function orderOf(left: JsonValue, right: JsonValue): number | undefined {
  if (typeof left === "number" && typeof right === "number") return left - right;
  if (typeof left === "string" && typeof right === "string") return compareUtf8(left, right);
  return undefined;
}

function read(item: ControlAttributes, [name, member]: AttributePath): JsonValue | undefined {
  const attribute = Object.hasOwn(item, name) ? item[name] : undefined;
  if (member === undefined) return attribute;
  return isMap(attribute) && Object.hasOwn(attribute, member) ? attribute[member] : undefined;
}

function resolve(operand: Operand, item: ControlAttributes): JsonValue | undefined {
  return "value" in operand ? operand.value : read(item, operand.attribute);
}

function required(operand: Operand, item: ControlAttributes): JsonValue {
  const found = resolve(operand, item);
  if (found === undefined) {
    throw misfit(
      `takes a value from ${"attribute" in operand ? operand.attribute.join(".") : "nothing"}, which is missing`,
    );
  }
  return found;
}

/** `undefined` removes. Maps are copied, never changed. */
function put(item: Record<string, JsonValue>, [name, member]: AttributePath, value: JsonValue | undefined): void {
  if (member === undefined) {
    setOrRemove(item, name, value);
    return;
  }
  const parent = item[name];
  if (!isMap(parent)) throw misfit(`writes ${name}.${member}, but ${name} is no map`);
  const copy: Record<string, JsonValue> = { ...parent };
  setOrRemove(copy, member, value);
  item[name] = copy;
}

function setOrRemove(object: Record<string, JsonValue>, name: string, value: JsonValue | undefined): void {
  if (value === undefined) delete object[name];
  else object[name] = value;
}

function isMap(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function misfit(what: string): TidemarkError {
  return new TidemarkError("report-bug", `A conditional write ${what}. Please report this as a bug.`);
}
