/** Compiles a conditional write to DynamoDB's expressions. Every name and value is a placeholder: none can be reserved or parsed. */
import { type AttributeMap, toAttribute } from "../../json/attribute-value.ts";
import type { JsonValue } from "../../json/json-value.ts";
import type { AttributePath, Condition, ConditionalWrite, Operand } from "../conditional-write.ts";

export interface UpdateExpressions {
  readonly UpdateExpression?: string;
  readonly ConditionExpression?: string;
  readonly ExpressionAttributeNames?: Record<string, string>;
  readonly ExpressionAttributeValues?: AttributeMap;
}

export function compileWrite(write: ConditionalWrite): UpdateExpressions {
  const placeholders = new Placeholders();
  const operand = (of: Operand) => ("value" in of ? placeholders.value(of.value) : placeholders.path(of.attribute));

  const sets = (write.set ?? []).map(([to, from]) => `${placeholders.path(to)} = ${operand(from)}`);
  // Not ADD: that is for attributes at the top alone. Both count what is missing as 0.
  for (const [to, addend] of write.add ?? []) {
    const at = placeholders.path(to);
    sets.push(`${at} = if_not_exists(${at}, ${placeholders.value(0)}) + ${placeholders.value(addend)}`);
  }
  const removes = (write.remove ?? []).map((at) => placeholders.path(at));
  const update = [
    sets.length > 0 ? `SET ${sets.join(", ")}` : "",
    removes.length > 0 ? `REMOVE ${removes.join(", ")}` : "",
  ].filter((clause) => clause !== "");
  const conditions = write.conditions.map((condition) => compileCondition(condition, placeholders));

  return {
    ...(update.length > 0 && { UpdateExpression: update.join(" ") }),
    ...(conditions.length > 0 && { ConditionExpression: conditions.join(" AND ") }),
    ...placeholders.parameters(),
  };
}

function compileCondition(condition: Condition, placeholders: Placeholders): string {
  if ("anyOf" in condition) {
    const choices = condition.anyOf.map((one) => compileCondition(one, placeholders));
    // DynamoDB refuses parentheses that change nothing.
    return choices.length === 1 ? `${choices[0]}` : `(${choices.join(" OR ")})`;
  }
  if ("exists" in condition) return `attribute_exists(${placeholders.path(condition.exists)})`;
  if ("missing" in condition) return `attribute_not_exists(${placeholders.path(condition.missing)})`;
  const left = placeholders.path(condition.attribute);
  if ("value" in condition.to) return `${left} ${condition.is} ${placeholders.value(condition.to.value)}`;
  // Two attributes that are both missing: stores differ in what they make of that, so it is spelt out.
  const right = placeholders.path(condition.to.attribute);
  const both = `attribute_exists(${left}) AND attribute_exists(${right})`;
  return condition.is === "<>"
    ? `(NOT (${both} AND ${left} = ${right}))`
    : `(${both} AND ${left} ${condition.is} ${right})`;
}

class Placeholders {
  readonly #names = new Map<string, string>();
  readonly #values: AttributeMap = {};
  #valueCount = 0;

  path(path: AttributePath): string {
    return path.map((name) => this.#name(name)).join(".");
  }

  value(literal: JsonValue): string {
    const placeholder = `:v${this.#valueCount++}`;
    this.#values[placeholder] = toAttribute(literal);
    return placeholder;
  }

  #name(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const placeholder = `#n${this.#names.size}`;
    this.#names.set(name, placeholder);
    return placeholder;
  }

  parameters(): Pick<UpdateExpressions, "ExpressionAttributeNames" | "ExpressionAttributeValues"> {
    return {
      ...(this.#names.size > 0 && {
        ExpressionAttributeNames: Object.fromEntries([...this.#names].map(([name, at]) => [at, name])),
      }),
      ...(this.#valueCount > 0 && { ExpressionAttributeValues: this.#values }),
    };
  }
}
