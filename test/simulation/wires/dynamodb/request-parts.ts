/** What several commands have in common: keys, conditions, projections, the parameters that they know. */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { copyItem, type Item, takeItem } from "./attribute-rules.ts";
import { checkCondition, holds, parseCondition } from "./condition-expression.ts";
import { ExpressionReader, type Path, Placeholders, remembered } from "./expression-reader.ts";
import { conditionFailed, UnknownToTheWire, validation } from "./failures.ts";
import type { MemoryDynamoDB } from "./memory-dynamodb.ts";
import type { Entry, MemoryTable, Place, TableView } from "./memory-table.ts";

/** What DynamoDB may do with a request besides carrying it out whole; each as it does it for real. */
export interface Leeway {
  /** Keys or items of a batch that are carried out; the rest comes back as unprocessed. */
  readonly batchMax?: number;
  /** Items that a page of a scan or query looks at. */
  readonly pageMax?: number;
  /** How many writes a read that is not consistent lags behind. */
  readonly lagWrites?: number;
}

export interface KnownCommand {
  /** The SDK's class. */
  readonly command: unknown;
  /** Of its input; whatever else is given is refused. */
  readonly members: ReadonlySet<string>;
  readonly answer: (dynamodb: MemoryDynamoDB, input: object, leeway: Leeway) => object;
}

export function knownCommand<Input extends object>(
  command: abstract new (...given: never[]) => unknown,
  members: readonly (keyof Input & string)[],
  answer: (dynamodb: MemoryDynamoDB, input: Input, leeway: Leeway) => object,
): KnownCommand {
  return { command, members: new Set(members), answer: answer as KnownCommand["answer"] };
}

export const INVALID = "One or more parameter values were invalid:";
const NO_MATCH = "The provided key element does not match the schema";
const PARTITION_BYTES_MAX = 2_048;
const SORT_BYTES_MAX = 1_024;

/** Where the item of a key stands. @throws ValidationException */
export function placeOf(table: MemoryTable, key: Item | undefined): Place {
  const { partition, sort } = table.key;
  const [one, other] = [key?.[partition]?.S, key?.[sort]?.S];
  if (one === undefined || other === undefined || Object.keys(key ?? {}).length !== 2) throw validation(NO_MATCH);
  return checkedPlace(table, one, other);
}

/** @throws ValidationException when its key is missing, no text, empty or too long. */
export function placeOfItem(table: MemoryTable, item: Item): Place {
  const [partition, sort] = [table.key.partition, table.key.sort].map((name) => {
    const value = item[name];
    if (value === undefined) throw validation(`${INVALID} Missing the key ${name} in the item`);
    if (value.S !== undefined) return value.S;
    throw validation(`${INVALID} Type mismatch for key ${name} expected: S actual: ${Object.keys(value)[0]}`);
  }) as [string, string];
  return checkedPlace(table, partition, sort);
}

function checkedPlace(table: MemoryTable, partition: string, sort: string): Place {
  for (const [name, text] of [
    [table.key.partition, partition],
    [table.key.sort, sort],
  ]) {
    if (text === "") {
      throw validation(
        `${INVALID} The AttributeValue for a key attribute cannot contain an empty string value. Key: ${name}`,
      );
    }
  }
  if (Buffer.byteLength(partition) > PARTITION_BYTES_MAX) {
    throw validation(`${INVALID} Size of hashkey has exceeded the maximum size limit of2048 bytes`);
  }
  if (Buffer.byteLength(sort) > SORT_BYTES_MAX) {
    throw validation(`${INVALID} Aggregated size of all range keys has exceeded the size limit of 1024 bytes`);
  }
  return { partition, sort };
}

/** @throws ValidationException when two of them are one. */
export function distinctPlaces(places: readonly Place[]): readonly Place[] {
  const texts = new Set(places.map(({ partition, sort }) => `${partition.length} ${partition}${sort}`));
  if (texts.size < places.length) throw validation("Provided list of item keys contains duplicates");
  return places;
}

/** Only reads that do not ask for consistency may be answered with what is older. */
export function viewOf(table: MemoryTable, consistentRead: boolean | undefined, { lagWrites = 0 }: Leeway): TableView {
  return consistentRead === true ? table : table.ago(lagWrites);
}

interface NamesAndValues {
  readonly ExpressionAttributeNames?: Record<string, string> | undefined;
  readonly ExpressionAttributeValues?: Record<string, AttributeValue> | undefined;
}

export function placeholdersOf({ ExpressionAttributeNames, ExpressionAttributeValues }: NamesAndValues): Placeholders {
  return new Placeholders(ExpressionAttributeNames, ExpressionAttributeValues && takeItem(ExpressionAttributeValues));
}

/**
 * Checks a write's condition for what is wrong with it whatever it meets, and then finds what the write meets. All of
 * the request's other expressions have been checked by then.
 * @throws ValidationException at once; ConditionalCheckFailedException when the item met does not fit the condition.
 */
export function conditionOf(
  input: NamesAndValues & { readonly ConditionExpression?: string | undefined },
  placeholders = placeholdersOf(input),
): (table: MemoryTable, place: Place) => Entry | undefined {
  const condition = input.ConditionExpression === undefined ? undefined : parseCondition(input.ConditionExpression);
  if (condition !== undefined) checkCondition(condition, placeholders);
  placeholders.checkAllUsed();
  return (table, place) => {
    const entry = table.get(place);
    if (condition !== undefined && !holds(condition, entry?.item, placeholders)) throw conditionFailed();
    return entry;
  };
}

export function oldValues(returnValues: string | undefined, before: Entry | undefined): object {
  if (returnValues !== undefined && returnValues !== "ALL_OLD" && returnValues !== "NONE") {
    throw new UnknownToTheWire(`ReturnValues ${returnValues}`);
  }
  return returnValues === "ALL_OLD" && before !== undefined ? { Attributes: copyItem(before.item) } : {};
}

const parseProjection = remembered((text: string): readonly Path[] => {
  const reader = new ExpressionReader(text);
  const paths: Path[] = [];
  do {
    const path = reader.path();
    if (path.length > 1) reader.refuse("a projection of members");
    paths.push(path);
  } while (reader.takes(","));
  reader.expectEnd();
  return paths;
});

/** Copies what a request asked for of an item: all of it, or the attributes it names. */
export function projectionOf(expression: string | undefined, placeholders: Placeholders): (item: Item) => Item {
  if (expression === undefined) return copyItem;
  const names = parseProjection(expression).map((path) => placeholders.path(path)[0] as string);
  return (item) =>
    copyItem(
      Object.fromEntries(
        names.filter((name) => Object.hasOwn(item, name)).map((name) => [name, item[name] as AttributeValue]),
      ),
    );
}
