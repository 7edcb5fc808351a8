/** Random requests of the kind that the adapters send, right ones and wrong ones, on few keys, so that they meet. */
import {
  type AttributeValue,
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import fc from "../../../support/properties.ts";

/** Makes the request for a table. */
export interface Request {
  readonly text: string;
  readonly on: (table: string) => object;
  /** Its key is none, or a placeholder is missing or too many. Of several flaws, each DynamoDB names another first. */
  readonly flawed: boolean;
}

type Key = { readonly pk: AttributeValue; readonly sk: AttributeValue };

const goodKey: fc.Arbitrary<Key> = fc.record({
  pk: fc.constantFrom({ S: "p" }, { S: "q" }),
  sk: fc.constantFrom({ S: "1" }, { S: "10" }, { S: "\u{1F9CA}" }, { S: "\uff5e" }),
});
const BAD_KEYS = [
  { pk: { S: "" }, sk: { S: "1" } },
  { pk: { S: "p" }, sk: { S: "" } },
  { pk: { S: "p" }, sk: { N: "1" } },
  { pk: { S: "p" } },
  { pk: { S: "p" }, sk: { S: "1" }, n: { S: "1" } },
  { pk: { S: "p".repeat(2_049) }, sk: { S: "1" } },
  { pk: { S: "p" }, sk: { S: "1".repeat(1_025) } },
] as Key[];
const key = fc.oneof({ weight: 30, arbitrary: goodKey }, { weight: 1, arbitrary: fc.constantFrom(...BAD_KEYS) });

const number = fc.constantFrom(
  "0",
  "1",
  "2",
  "-1",
  "10",
  "0.5",
  "-0.05",
  "1e21",
  "9007199254740993",
  "12345678901234567890",
);
const badNumber = fc.constantFrom("", "x", "1e126", "1e-131", "1".repeat(39));
const ordered: fc.Arbitrary<AttributeValue> = fc.oneof(
  number.map((N) => ({ N })),
  fc.constantFrom("", "1", "b", "\u00e9", "\uff5e").map((S) => ({ S })),
);
const scalar: fc.Arbitrary<AttributeValue> = fc.oneof(
  ordered,
  fc.boolean().map((BOOL) => ({ BOOL })),
  fc.constant({ NULL: true as const }),
);
const map = fc.dictionary(fc.constantFrom("a", "b"), scalar, { maxKeys: 2 }).map((M): AttributeValue => ({ M }));
const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  { weight: 6, arbitrary: scalar },
  { weight: 2, arbitrary: map },
  { weight: 1, arbitrary: fc.array(fc.oneof(scalar, map), { maxLength: 2 }).map((L): AttributeValue => ({ L })) },
);
const sent = fc.oneof(
  { weight: 60, arbitrary: value },
  { weight: 1, arbitrary: badNumber.map((N): AttributeValue => ({ N })) },
  { weight: 1, arbitrary: fc.constant({ NULL: false } as unknown as AttributeValue) },
);
const attributes = fc.dictionary(fc.constantFrom("n", "s", "m", "l"), sent, { maxKeys: 4 });

/** A placeholder that nothing uses is given, or one that is used is not. */
type Slip = "none" | "more" | "less";

/** The text of an expression, and the names and values that it stands on. */
interface Expression {
  readonly text: string;
  readonly names: readonly string[];
  readonly values: readonly AttributeValue[];
}

const join = (text: (...parts: string[]) => string, ...parts: readonly Expression[]): Expression => ({
  text: text(...parts.map((part) => part.text)),
  names: parts.flatMap(({ names }) => names),
  values: parts.flatMap(({ values }) => values),
});

const path: fc.Arbitrary<Expression> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom("n", "s", "x").map((name) => ({ text: `#${name}`, names: [name], values: [] })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom("m", "s", "x"), fc.constantFrom("a", "b"))
      .map((names) => ({ text: `#${names[0]}.#${names[1]}`, names, values: [] })),
  },
  { weight: 1, arbitrary: fc.constantFrom("m", "l").map((name) => ({ text: `#${name}`, names: [name], values: [] })) },
);
/** Values are numbered once the whole expression is known. */
const literal = (of: fc.Arbitrary<AttributeValue>): fc.Arbitrary<Expression> =>
  of.map((one) => ({ text: "\u0000", names: [], values: [one] }));

const comparison = fc.constantFrom("=", "<>", "<", "<=", ">", ">=");
const simple: fc.Arbitrary<Expression> = fc.oneof(
  path.map((one) => join((at) => `attribute_exists(${at})`, one)),
  path.map((one) => join((at) => `attribute_not_exists(${at})`, one)),
  fc
    .tuple(path, fc.constantFrom("=", "<>"), literal(scalar))
    .map(([one, is, other]) => join((a, b) => `${a} ${is} ${b}`, one, other)),
  // dynalite orders truth values and null, which DynamoDB refuses, and so does the control store.
  fc.tuple(path, comparison, literal(ordered)).map(([one, is, other]) => join((a, b) => `${a} ${is} ${b}`, one, other)),
  fc
    .tuple(path, fc.constantFrom("=", "<>"), path)
    .map(([one, is, other]) =>
      join((a, b) => `(attribute_exists(${a}) AND attribute_exists(${b}) AND ${a} ${is} ${b})`, one, other),
    ),
  // So two attributes are put in order only where both are text, or both numbers.
  fc
    .tuple(path, comparison, path, literal(fc.constantFrom({ S: "" }, { N: "-1e30" })))
    .map(([one, is, other, least]) =>
      join((a, c, b, d) => `(${a} >= ${c} AND ${b} >= ${d} AND ${a} ${is} ${b})`, one, least, other, least),
    ),
);
const condition: fc.Arbitrary<Expression> = fc.letrec<{ any: Expression }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { weight: 5, arbitrary: simple },
    { weight: 2, arbitrary: fc.tuple(tie("any"), tie("any")).map((two) => join((a, b) => `${a} AND ${b}`, ...two)) },
    { weight: 2, arbitrary: fc.tuple(tie("any"), tie("any")).map((two) => join((a, b) => `${a} OR ${b}`, ...two)) },
    { weight: 1, arbitrary: tie("any").map((one) => join((a) => `NOT (${a})`, one)) },
    { weight: 1, arbitrary: fc.tuple(tie("any"), simple).map((two) => join((a, b) => `(${a}) AND ${b}`, ...two)) },
  ),
})).any;

const operand = fc.oneof({ weight: 3, arbitrary: literal(value) }, { weight: 1, arbitrary: path });
const counted = literal(fc.constantFrom({ N: "1" }, { N: "-2" }, { N: "0.5" }, { S: "1" }));
const set: fc.Arbitrary<Expression> = fc.oneof(
  fc.tuple(path, operand).map((two) => join((a, b) => `${a} = ${b}`, ...two)),
  fc
    .tuple(path, literal(fc.constant({ N: "0" })), counted)
    .map((three) => join((a, b, c) => `${a} = if_not_exists(${a}, ${b}) + ${c}`, ...three)),
  fc.tuple(path, path, counted).map((three) => join((a, b, c) => `${a} = ${b} - ${c}`, ...three)),
  fc
    .tuple(path, path, literal(fc.constant({ L: [{ S: "end" }] })))
    .map((three) => join((a, b, c) => `${a} = list_append(${b}, ${c})`, ...three)),
);
const clause = (word: string, of: fc.Arbitrary<Expression>) =>
  fc
    .array(of, { maxLength: 2 })
    .map((parts) => join((...texts) => (texts.length === 0 ? "" : `${word} ${texts.join(", ")}`), ...parts));
const add = fc
  .tuple(fc.constantFrom("n", "s"), counted)
  .map(([name, one]) => join((a, b) => `${a} ${b}`, { text: `#${name}`, names: [name], values: [] }, one));
const update = fc
  .tuple(
    clause("SET", set),
    clause("REMOVE", path),
    fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, clause("ADD", add)),
  )
  .map((clauses) =>
    join((...texts) => texts.filter((text) => text !== "").join(" "), ...clauses.filter((one) => one !== undefined)),
  )
  .filter(({ text }) => text !== "");

/** The parameters of a request with these expressions; now and then with a placeholder too many, or one too few. */
function parameters(expressions: { readonly [name: string]: Expression | undefined }, slip: Slip) {
  const texts: Record<string, string> = {};
  const names: Record<string, string> = {};
  const values: Record<string, AttributeValue> = {};
  let n = 0;
  for (const [parameter, expression] of Object.entries(expressions)) {
    if (expression === undefined) continue;
    texts[parameter] = expression.text.replaceAll("\u0000", () => `:v${n++}`);
    for (const name of expression.names) names[`#${name}`] = name;
    for (const one of expression.values) values[`:v${Object.keys(values).length}`] = one;
  }
  if (slip === "more") values[":unused"] = { N: "1" };
  if (slip === "less") delete values[":v0"];
  return {
    ...texts,
    ...(Object.keys(names).length > 0 && { ExpressionAttributeNames: names }),
    ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
  };
}

const slip = fc.oneof(
  { weight: 40, arbitrary: fc.constant<Slip>("none") },
  { weight: 1, arbitrary: fc.constantFrom<Slip>("more", "less") },
);
const maybe = (of: fc.Arbitrary<Expression>) => fc.option(of, { nil: undefined });
const returned = fc.constantFrom(undefined, "ALL_OLD" as const);

const request = (name: string, make: (table: string) => object, parts: { slipped?: Slip; Key?: Key }): Request => ({
  flawed: (parts.slipped ?? "none") !== "none" || (parts.Key !== undefined && BAD_KEYS.includes(parts.Key)),
  get text() {
    return `${name} ${JSON.stringify((make("t") as { input: object }).input)}`;
  },
  on: make,
});

const put = fc
  .tuple(key, attributes, maybe(condition), returned, slip)
  .map(([Key, item, when, ReturnValues, slipped]) =>
    request(
      "put",
      (TableName) =>
        new PutItemCommand({
          ...{ TableName, Item: { ...item, ...Key }, ReturnValues },
          ...(when && parameters({ ConditionExpression: when }, slipped)),
        }),
      { slipped, Key },
    ),
  );
const remove = fc.tuple(key, maybe(condition), returned, slip).map(([Key, when, ReturnValues, slipped]) =>
  request(
    "delete",
    (TableName) =>
      new DeleteItemCommand({
        ...{ TableName, Key, ReturnValues },
        ...(when && parameters({ ConditionExpression: when }, slipped)),
      }),
    { slipped, Key },
  ),
);
const change = fc
  .tuple(key, maybe(update), maybe(condition), returned, slip)
  .map(([Key, UpdateExpression, ConditionExpression, ReturnValues, slipped]) =>
    request(
      "update",
      (TableName) =>
        new UpdateItemCommand({
          ...{ TableName, Key, ReturnValues },
          ...(UpdateExpression || ConditionExpression
            ? parameters({ UpdateExpression, ConditionExpression }, slipped)
            : {}),
        }),
      { slipped, Key },
    ),
  );
const projection = fc.constantFrom(
  {},
  { ProjectionExpression: "#n, #x", ExpressionAttributeNames: { "#n": "n", "#x": "x" } },
);
const get = fc
  .tuple(key, projection)
  .map(([Key, project]) =>
    request("get", (TableName) => new GetItemCommand({ TableName, Key, ConsistentRead: true, ...project }), { Key }),
  );
const keys = fc.array(key, { minLength: 0, maxLength: 4 });
const getMany = keys.map((Keys) =>
  request(
    "get many",
    (table) => new BatchGetItemCommand({ RequestItems: { [table]: { Keys, ConsistentRead: true } } }),
    {},
  ),
);
const removeMany = keys.map((many) =>
  request(
    "delete many",
    (table) =>
      new BatchWriteItemCommand({ RequestItems: { [table]: many.map((Key) => ({ DeleteRequest: { Key } })) } }),
    {},
  ),
);
const query = fc
  .record({
    partition: fc.constantFrom("p", "q", "none"),
    after: fc.option(goodKey, { nil: undefined }),
    limit: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ partition, after, limit }) =>
    request(
      "query",
      (TableName) =>
        new QueryCommand({
          ...{ TableName, ConsistentRead: true, Limit: limit },
          KeyConditionExpression: "pk = :pk",
          ExpressionAttributeValues: { ":pk": { S: partition } },
          ...(after !== undefined && { ExclusiveStartKey: after }),
        }),
      {},
    ),
  );
/** Of the whole table: DynamoDBs order partitions differently. */
const scan = fc.tuple(maybe(condition), slip).map(([filter, slipped]) =>
  request(
    "scan",
    (TableName) =>
      new ScanCommand({
        ...{ TableName, ConsistentRead: true, Segment: 0, TotalSegments: 1 },
        ...(filter && parameters({ FilterExpression: filter }, slipped)),
      }),
    { slipped },
  ),
);

export const requests: fc.Arbitrary<Request> = fc.oneof(
  { weight: 5, arbitrary: put },
  { weight: 6, arbitrary: change },
  { weight: 2, arbitrary: remove },
  { weight: 2, arbitrary: get },
  { weight: 1, arbitrary: getMany },
  { weight: 1, arbitrary: removeMany },
  { weight: 2, arbitrary: query },
  { weight: 1, arbitrary: scan },
);
