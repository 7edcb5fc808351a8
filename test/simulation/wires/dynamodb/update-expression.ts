/** Updates: `SET` (with `+`, `-`, `if_not_exists`, `list_append`), `REMOVE`, and `ADD` of numbers. */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { decimalOf, type Item, setOwn, takeAttribute } from "./attribute-rules.ts";
import { sumOf, writeDecimal } from "./decimal.ts";
import {
  ExpressionReader,
  type Operand,
  overlap,
  type Path,
  type Placeholders,
  read,
  remembered,
} from "./expression-reader.ts";
import { validation } from "./failures.ts";
import type { Key } from "./memory-table.ts";

type Value =
  | Operand
  | { readonly ifMissing: Path; readonly otherwise: Value }
  | { readonly append: readonly [Value, Value] }
  | { readonly sum: readonly [Value, Value]; readonly sign: 1 | -1 };

type Action =
  | { readonly does: "set"; readonly path: Path; readonly to: Value }
  | { readonly does: "add"; readonly path: Path; readonly value: string }
  | { readonly does: "remove"; readonly path: Path };

export type Update = readonly Action[];

const CLAUSES = { SET: parseSet, ADD: parseAdd, REMOVE: parseRemove } as const;

export const parseUpdate = remembered((text: string): Update => {
  const reader = new ExpressionReader(text);
  const actions: Action[] = [];
  const seen = new Set<string>();
  while (reader.next !== undefined) {
    const clause = reader.take().toUpperCase();
    const parse = (CLAUSES as Record<string, ((reader: ExpressionReader) => Action) | undefined>)[clause];
    if (parse === undefined) return reader.refuse(`the clause ${clause}`);
    if (seen.has(clause)) throw validation(`The "${clause}" section can only be used once in an update expression;`);
    seen.add(clause);
    do actions.push(parse(reader));
    while (reader.takes(","));
  }
  return actions;
});

function parseSet(reader: ExpressionReader): Action {
  const path = reader.path();
  reader.expect("=");
  const first = parseValue(reader);
  if (reader.next !== "+" && reader.next !== "-") return { does: "set", path, to: first };
  const sign = reader.take() === "+" ? 1 : -1;
  return { does: "set", path, to: { sum: [first, parseValue(reader)], sign } };
}

function parseValue(reader: ExpressionReader): Value {
  if (reader.afterNext !== "(") return reader.operand();
  const name = reader.take().toLowerCase();
  reader.expect("(");
  let value: Value;
  if (name === "if_not_exists") {
    const ifMissing = reader.path();
    reader.expect(",");
    value = { ifMissing, otherwise: parseValue(reader) };
  } else if (name === "list_append") {
    const first = parseValue(reader);
    reader.expect(",");
    value = { append: [first, parseValue(reader)] };
  } else {
    return reader.refuse(`the function ${name}`);
  }
  reader.expect(")");
  return value;
}

function parseAdd(reader: ExpressionReader): Action {
  const path = reader.path();
  if (!reader.next?.startsWith(":")) reader.refuse("ADD takes a value");
  return { does: "add", path, value: reader.take() };
}

function parseRemove(reader: ExpressionReader): Action {
  return { does: "remove", path: reader.path() };
}

/**
 * Refuses what DynamoDB refuses whatever the item holds, in its order: what is not defined, paths that overlap, literals
 * of the wrong type.
 * @throws ValidationException
 */
export function checkUpdate(update: Update, placeholders: Placeholders): void {
  for (const action of update) {
    if (action.does === "set") checkDefined(action.to, placeholders);
    if (action.does === "add") placeholders.value(action.value);
  }
  const paths = update.map(({ path }) => placeholders.path(path));
  for (const [i, path] of paths.entries()) {
    for (const other of paths.slice(i + 1)) {
      const [short, long] = path.length < other.length ? [path, other] : [other, path];
      if (overlap(short, long)) {
        throw validation(
          `Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [${path.join(", ")}], path two: [${other.join(", ")}]`,
        );
      }
    }
  }
  for (const action of update) {
    if (action.does === "set") checkLiterals(action.to, placeholders);
    if (action.does === "add" && placeholders.value(action.value).N === undefined) throw wrongLiteral("ADD");
  }
}

/** @throws ValidationException */
export function checkKeyUntouched(update: Update, key: Key, placeholders: Placeholders): void {
  for (const { path } of update) {
    const [name] = placeholders.path(path);
    if (name === key.partition || name === key.sort) {
      throw validation(
        `One or more parameter values were invalid: Cannot update attribute ${name}. This attribute is part of the key`,
      );
    }
  }
}

function checkDefined(value: Value, placeholders: Placeholders): void {
  if ("path" in value) placeholders.path(value.path);
  else if ("value" in value) placeholders.value(value.value);
  else if ("ifMissing" in value) placeholders.path(value.ifMissing);
  for (const part of partsOf(value)) checkDefined(part, placeholders);
}

function checkLiterals(value: Value, placeholders: Placeholders): void {
  for (const part of partsOf(value)) {
    checkLiterals(part, placeholders);
    if (!("value" in part)) continue;
    const literal = placeholders.value(part.value);
    if ("sum" in value && literal.N === undefined) throw wrongLiteral(value.sign === 1 ? "+" : "-");
    if ("append" in value && literal.L === undefined) throw wrongLiteral("list_append");
  }
}

function partsOf(value: Value): readonly Value[] {
  if ("sum" in value) return value.sum;
  if ("append" in value) return value.append;
  return "ifMissing" in value ? [value.otherwise] : [];
}

const wrongLiteral = (operator: string) =>
  validation(
    `Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: ${operator}`,
  );

const wrongType = () => validation("An operand in the update expression has an incorrect data type");

/**
 * The item after the update: a new one that shares what did not change. Right-hand sides are of the item before.
 * @throws ValidationException when the update does not fit the item.
 */
export function applyUpdate(update: Update, before: Item, placeholders: Placeholders): Item {
  const values = update.map((action) => newValue(action, before, placeholders));
  let after = { ...before };
  for (const [i, { path }] of update.entries()) {
    const names = placeholders.path(path);
    const value = values[i];
    if (names.length === 1 && value !== undefined) setOwn(after, names[0] as string, value);
    else after = changed(after, names, 0, value);
  }
  return after;
}

/** undefined: the attribute is removed. */
function newValue(action: Action, before: Item, placeholders: Placeholders): AttributeValue | undefined {
  if (action.does === "remove") return undefined;
  if (action.does === "set") return computed(action.to, before, placeholders);
  const old = read(before, placeholders.path(action.path)) ?? { N: "0" };
  return sum(old, placeholders.value(action.value), 1);
}

function computed(value: Value, before: Item, placeholders: Placeholders): AttributeValue {
  if ("value" in value) return placeholders.value(value.value);
  if ("path" in value) {
    const found = read(before, placeholders.path(value.path));
    if (found !== undefined) return found;
    throw validation("The provided expression refers to an attribute that does not exist in the item");
  }
  if ("ifMissing" in value) {
    return read(before, placeholders.path(value.ifMissing)) ?? computed(value.otherwise, before, placeholders);
  }
  if ("append" in value) {
    const [one, other] = value.append.map((part) => computed(part, before, placeholders));
    if (one?.L === undefined || other?.L === undefined) throw wrongType();
    return { L: [...one.L, ...other.L] };
  }
  const [one, other] = value.sum;
  return sum(computed(one, before, placeholders), computed(other, before, placeholders), value.sign);
}

function sum(one: AttributeValue, other: AttributeValue, sign: 1 | -1): AttributeValue {
  if (one.N === undefined || other.N === undefined) throw wrongType();
  // Counts, which almost all are, need no arithmetic of decimals.
  const [a, b] = [Number(one.N), Number(other.N)];
  const exact = a + sign * b;
  if ([a, b, exact].every(Number.isSafeInteger)) return { N: String(exact) };
  return takeAttribute({ N: writeDecimal(sumOf(decimalOf(one.N), decimalOf(other.N), sign)) });
}

/** A copy in which what stands at `path`, from `depth` on, is another value, or is gone. */
function changed(
  item: Item,
  path: readonly string[],
  depth: number,
  value: AttributeValue | undefined,
): Record<string, AttributeValue> {
  const name = path[depth] as string;
  const has = Object.hasOwn(item, name);
  if (depth < path.length - 1) {
    const parent = has ? item[name]?.M : undefined;
    if (parent === undefined) {
      throw validation("The document path provided in the update expression is invalid for update");
    }
    value = { M: changed(parent, path, depth + 1, value) };
  }
  if (value === undefined) {
    return has ? Object.fromEntries(Object.entries(item).filter(([other]) => other !== name)) : { ...item };
  }
  const copy = { ...item };
  setOwn(copy, name, value);
  return copy;
}
