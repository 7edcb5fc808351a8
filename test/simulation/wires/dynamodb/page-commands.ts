/** Queries and scans, page by page. A page is one step: between two of them, anything can be written. */
import { QueryCommand, type QueryCommandInput, ScanCommand, type ScanCommandInput } from "@aws-sdk/client-dynamodb";
import type { Item } from "./attribute-rules.ts";
import { checkCondition, holds, parseCondition } from "./condition-expression.ts";
import type { Placeholders } from "./expression-reader.ts";
import { UnknownToTheWire, validation } from "./failures.ts";
import { type Entry, HASHES, type MemoryTable, type Place } from "./memory-table.ts";
import { knownCommand, type Leeway, placeholdersOf, placeOf, projectionOf, viewOf } from "./request-parts.ts";

/** A page ends before the item that would take it beyond. */
const PAGE_BYTES_MAX = 1024 * 1024;

const PAGE = ["TableName", "ExpressionAttributeNames", "ExpressionAttributeValues", "ConsistentRead"] as const;
const LIMITS = ["Limit", "ExclusiveStartKey"] as const;

const query = knownCommand<QueryCommandInput>(
  QueryCommand,
  [...PAGE, ...LIMITS, "KeyConditionExpression"],
  (dynamodb, input, leeway) => {
    const table = dynamodb.table(input.TableName);
    const placeholders = placeholdersOf(input);
    const partition = partitionAsked(table, input.KeyConditionExpression ?? "", placeholders);
    placeholders.checkAllUsed();
    const start = startOf(table, input.ExclusiveStartKey);
    if (start !== undefined && start.partition !== partition) {
      throw validation("The provided starting key is outside query boundaries based on provided conditions");
    }
    const view = viewOf(table, input.ConsistentRead, leeway);
    // No sort key is empty.
    const entries = view.after(start ?? { partition, sort: "" });
    return pageOf(table, { entries, isIn: (entry) => entry.partition === partition }, input.Limit, leeway);
  },
);

const scan = knownCommand<ScanCommandInput>(
  ScanCommand,
  [...PAGE, ...LIMITS, "Segment", "TotalSegments", "FilterExpression", "ProjectionExpression"],
  (dynamodb, input, leeway) => {
    const table = dynamodb.table(input.TableName);
    const placeholders = placeholdersOf(input);
    const filter = input.FilterExpression === undefined ? undefined : parseCondition(input.FilterExpression);
    if (filter !== undefined) checkCondition(filter, placeholders);
    const project = projectionOf(input.ProjectionExpression, placeholders);
    placeholders.checkAllUsed();
    const segment = segmentOf(input);
    const start = startOf(table, input.ExclusiveStartKey);
    if (start !== undefined && !segment.has(table.hash(start.partition))) {
      throw validation(
        "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment.",
      );
    }
    const entries = viewOf(table, input.ConsistentRead, leeway).after(start ?? { hash: segment.first });
    const shape = {
      project,
      ...(filter !== undefined && { passes: (item: Item) => holds(filter, item, placeholders) }),
    };
    return pageOf(table, { entries, isIn: ({ hash }) => segment.has(hash) }, input.Limit, leeway, shape);
  },
);

function partitionAsked(table: MemoryTable, expression: string, placeholders: Placeholders): string {
  const condition = parseCondition(expression);
  if (condition.is !== "=" || !("path" in condition.left) || !("value" in condition.right)) {
    throw new UnknownToTheWire(`the key condition ${expression}`);
  }
  const [name, ...inner] = placeholders.path(condition.left.path);
  const partition = placeholders.value(condition.right.value).S;
  if (name !== table.key.partition || inner.length > 0) {
    throw validation(`Query condition missed key schema element: ${table.key.partition}`);
  }
  if (partition !== undefined) return partition;
  throw validation("One or more parameter values were invalid: Condition parameter type does not match schema type");
}

function segmentOf({ Segment, TotalSegments }: ScanCommandInput) {
  if ((Segment === undefined) !== (TotalSegments === undefined)) {
    throw validation(
      "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
    );
  }
  const [segment, segments] = [Segment ?? 0, TotalSegments ?? 1];
  if (segment >= segments) {
    throw validation(
      `The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: ${segment} is not less than TotalSegments: ${segments}`,
    );
  }
  const first = Math.ceil((segment * HASHES) / segments);
  const end = Math.ceil(((segment + 1) * HASHES) / segments);
  return { first, has: (hash: number) => hash >= first && hash < end };
}

function startOf(table: MemoryTable, key: Item | undefined): Place | undefined {
  return key === undefined ? undefined : placeOf(table, key);
}

interface Shape {
  readonly project: (item: Item) => Item;
  readonly passes?: (item: Item) => boolean;
}

/** Every item looked at counts, whether it passes the filter or not. */
function pageOf(
  table: MemoryTable,
  range: { readonly entries: Iterable<Entry>; readonly isIn: (entry: Entry) => boolean },
  limit = Number.POSITIVE_INFINITY,
  { pageMax = Number.POSITIVE_INFINITY }: Leeway,
  { project, passes = () => true }: Shape = { project: projectionOf(undefined, placeholdersOf({})) },
): object {
  const most = Math.min(limit, pageMax);
  const items: Item[] = [];
  let last: Entry | undefined;
  let looked = 0;
  let bytes = 0;
  let ended = true;
  for (const entry of range.entries) {
    if (!range.isIn(entry)) break;
    if (bytes + entry.bytes > PAGE_BYTES_MAX) {
      ended = false;
      break;
    }
    bytes += entry.bytes;
    looked++;
    last = entry;
    if (passes(entry.item)) items.push(project(entry.item));
    // A page that is full says so even where nothing follows.
    if (looked >= most) {
      ended = false;
      break;
    }
  }
  const { partition, sort } = table.key;
  return {
    Items: items,
    Count: items.length,
    ScannedCount: looked,
    ...(!ended && last && { LastEvaluatedKey: { [partition]: { S: last.partition }, [sort]: { S: last.sort } } }),
  };
}

export const pageCommands = [query, scan];
