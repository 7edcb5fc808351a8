/** Conditions and filters: `AND`, `OR`, `NOT`, parentheses, comparisons, `attribute_exists`, `attribute_not_exists`. */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { areEqual, type Item, orderOf, typeOf } from "./attribute-rules.ts";
import { ExpressionReader, type Operand, type Path, type Placeholders, read, remembered } from "./expression-reader.ts";
import { UnknownToTheWire, validation } from "./failures.ts";

type Comparator = "=" | "<>" | "<" | "<=" | ">" | ">=";

export type Condition =
  | { readonly is: "and" | "or"; readonly parts: readonly Condition[] }
  | { readonly is: "not"; readonly part: Condition }
  | { readonly is: "exists" | "missing"; readonly path: Path }
  | { readonly is: Comparator; readonly left: Operand; readonly right: Operand };

const COMPARATORS = new Set(["=", "<>", "<", "<=", ">", ">="]);
const FUNCTIONS = { ATTRIBUTE_EXISTS: "exists", ATTRIBUTE_NOT_EXISTS: "missing" } as const;

export const parseCondition = remembered((text: string): Condition => {
  const reader = new ExpressionReader(text);
  const condition = parseOr(reader);
  reader.expectEnd();
  return condition;
});

function parseOr(reader: ExpressionReader): Condition {
  const parts = [parseAnd(reader)];
  while (reader.takes("OR")) parts.push(parseAnd(reader));
  return parts.length === 1 ? (parts[0] as Condition) : { is: "or", parts };
}

function parseAnd(reader: ExpressionReader): Condition {
  const parts = [parseNot(reader)];
  while (reader.takes("AND")) parts.push(parseNot(reader));
  return parts.length === 1 ? (parts[0] as Condition) : { is: "and", parts };
}

function parseNot(reader: ExpressionReader): Condition {
  if (reader.takes("NOT")) return { is: "not", part: parseNot(reader) };
  if (!reader.takes("(")) return parseSimple(reader);
  const opened = reader.position;
  const inner = parseOr(reader);
  // DynamoDB refuses two pairs around the same condition.
  if (groups.get(inner)?.opened === opened + 1 && groups.get(inner)?.closed === reader.position) {
    throw validation("Invalid expression: The expression has redundant parentheses;");
  }
  reader.expect(")");
  groups.set(inner, { opened, closed: reader.position });
  return inner;
}

/** Where the innermost pair of parentheses around a condition opened and closed. */
const groups = new WeakMap<Condition, { readonly opened: number; readonly closed: number }>();

function parseSimple(reader: ExpressionReader): Condition {
  if (reader.afterNext === "(") {
    const name = reader.take();
    const is = (FUNCTIONS as Record<string, "exists" | "missing" | undefined>)[name.toUpperCase()];
    if (is === undefined) reader.refuse(`the function ${name}`);
    reader.expect("(");
    const path = reader.path();
    reader.expect(")");
    return { is: is as "exists" | "missing", path };
  }
  const left = reader.operand();
  const comparator = reader.take();
  if (!COMPARATORS.has(comparator)) reader.refuse(`no comparison: ${comparator}`);
  return { is: comparator as Comparator, left, right: reader.operand() };
}

/** Refuses what DynamoDB refuses whatever the item holds. @throws ValidationException */
export function checkCondition(condition: Condition, placeholders: Placeholders): void {
  if ("parts" in condition) {
    for (const part of condition.parts) checkCondition(part, placeholders);
  } else if ("part" in condition) {
    checkCondition(condition.part, placeholders);
  } else if ("path" in condition) {
    placeholders.path(condition.path);
  } else {
    checkComparison(condition.is, [condition.left, condition.right], placeholders);
  }
}

function checkComparison(is: Comparator, operands: readonly Operand[], placeholders: Placeholders): void {
  const paths: string[] = [];
  for (const operand of operands) {
    if ("path" in operand) {
      paths.push(placeholders.path(operand.path).join("\n"));
      continue;
    }
    const type = typeOf(placeholders.value(operand.value));
    if (is !== "=" && is !== "<>" && type !== "S" && type !== "N") {
      throw validation(
        `Incorrect operand type for operator or function; operator or function: ${is}, operand type: ${type}`,
      );
    }
  }
  if (paths.length === 2 && paths[0] === paths[1]) {
    throw validation(
      `The first operand must be distinct from the remaining operands for this operator or function; operator: ${is}, first operand: [${paths[0]}]`,
    );
  }
}

export function holds(condition: Condition, item: Item | undefined, placeholders: Placeholders): boolean {
  switch (condition.is) {
    case "and":
      return condition.parts.every((part) => holds(part, item, placeholders));
    case "or":
      return condition.parts.some((part) => holds(part, item, placeholders));
    case "not":
      return !holds(condition.part, item, placeholders);
    case "exists":
      return read(item, placeholders.path(condition.path)) !== undefined;
    case "missing":
      return read(item, placeholders.path(condition.path)) === undefined;
    default: {
      const value = (operand: Operand) =>
        "path" in operand ? read(item, placeholders.path(operand.path)) : placeholders.value(operand.value);
      return compare(value(condition.left), condition.is, value(condition.right));
    }
  }
}

function compare(left: AttributeValue | undefined, is: Comparator, right: AttributeValue | undefined): boolean {
  if (left === undefined && right === undefined) {
    throw new UnknownToTheWire("a comparison of two attributes that are both missing: DynamoDBs differ in it");
  }
  if (left === undefined || right === undefined) return is === "<>";
  if (is === "=") return areEqual(left, right);
  if (is === "<>") return !areEqual(left, right);
  const order = orderOf(left, right);
  if (order === undefined) return false;
  if (is === "<") return order < 0;
  if (is === "<=") return order <= 0;
  return is === ">" ? order > 0 : order >= 0;
}
