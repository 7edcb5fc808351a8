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
  const paths: AttributePath[] = [];
  for (const [to] of write.set ?? []) add(paths, to);
  for (const [to, addend] of write.add ?? []) {
    add(paths, to);
    if (!Number.isSafeInteger(addend)) refuse(`what is added to ${spell(to)} is an integer`);
  }
  for (const at of write.remove ?? []) add(paths, at);
  write.conditions.forEach(checkCondition);
}

function add(paths: AttributePath[], path: AttributePath): void {
  if (KEY_ATTRIBUTES.has(path[0])) refuse(`a write never touches the key attribute ${path[0]}`);
  for (const other of paths) {
    if (overlap(path, other)) refuse(`a write changes ${spell(path)} once, and not together with a part of it`);
  }
  paths.push(path);
}

function checkCondition(condition: Condition): void {
  if ("anyOf" in condition) {
    invariant(condition.anyOf.length > 0, "a choice of conditions has at least one");
    condition.anyOf.forEach(checkCondition);
  } else if ("is" in condition) {
    const { attribute, is, to } = condition;
    if ("attribute" in to) {
      if (isSame(attribute, to.attribute)) refuse(`${spell(attribute)} is not compared with itself`);
      return;
    }
    const { value } = to;
    const ordered = typeof value === "number" || typeof value === "string";
    const comparable = ordered || typeof value === "boolean" || value === null;
    if (is === "=" || is === "<>" ? comparable : ordered) return;
    refuse(`${spell(attribute)} is not compared (${is}) with ${JSON.stringify(value)}`);
  }
}

/** The words are put together only where they are said: every write of every batch is checked. */
function refuse(promise: string): never {
  invariant(false, promise);
}

const spell = (path: AttributePath): string => path.join(".");

const isSame = (one: AttributePath, other: AttributePath): boolean => one[0] === other[0] && one[1] === other[1];

function overlap(one: AttributePath, other: AttributePath): boolean {
  return one[0] === other[0] && (one.length === 1 || other.length === 1 || one[1] === other[1]);
}
