import { invariant } from "../errors.ts";
import type { AttributePath, Condition, ConditionalWrite } from "./conditional-write.ts";

/** Attributes that are the item's key in DynamoDB and belong to the store. */
const KEY_ATTRIBUTES = new Set(["pk", "sk"]);

/**
 * Refuses what DynamoDB refuses whatever the item holds, so that every adapter fails on the same steps: paths that
 * overlap, an order asked of what has none, a comparison with itself, an empty choice. Also what stores do not agree
 * about: lists and maps compared (dynalite never finds them equal), and additions of fractions.
 * @throws TidemarkError `report-bug`.
 */
export function checkWrite(write: ConditionalWrite): void {
  const paths = [
    ...(write.set ?? []).map(([to]) => to),
    ...(write.add ?? []).map(([to]) => to),
    ...(write.remove ?? []),
  ];
  for (const [i, one] of paths.entries()) {
    invariant(!KEY_ATTRIBUTES.has(one[0]), `a write never touches the key attribute ${one[0]}`);
    for (const other of paths.slice(i + 1)) {
      invariant(!overlap(one, other), `a write changes ${one.join(".")} once, and not together with a part of it`);
    }
  }
  for (const [to, addend] of write.add ?? []) {
    invariant(Number.isSafeInteger(addend), `what is added to ${to.join(".")} is an integer`);
  }
  write.conditions.forEach(checkCondition);
}

function checkCondition(condition: Condition): void {
  if ("anyOf" in condition) {
    invariant(condition.anyOf.length > 0, "a choice of conditions has at least one");
    condition.anyOf.forEach(checkCondition);
  } else if ("is" in condition && "value" in condition.to) {
    const { value } = condition.to;
    const ordered = typeof value === "number" || typeof value === "string";
    const comparable = ordered || typeof value === "boolean" || value === null;
    invariant(
      condition.is === "=" || condition.is === "<>" ? comparable : ordered,
      `${condition.attribute.join(".")} is not compared (${condition.is}) with ${JSON.stringify(value)}`,
    );
  } else if ("is" in condition && "attribute" in condition.to) {
    const name = condition.attribute.join(".");
    invariant(name !== condition.to.attribute.join("."), `${name} is not compared with itself`);
  }
}

function overlap(one: AttributePath, other: AttributePath): boolean {
  return one[0] === other[0] && (one.length === 1 || other.length === 1 || one[1] === other[1]);
}
