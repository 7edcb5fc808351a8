/** Batches of one table. A batch is no transaction, but as this DynamoDB answers in one step, it looks like one. */
import {
  BatchGetItemCommand,
  type BatchGetItemCommandInput,
  BatchWriteItemCommand,
  type BatchWriteItemCommandInput,
} from "@aws-sdk/client-dynamodb";
import { copyItem, type Item } from "./attribute-rules.ts";
import { UnknownToTheWire, validation } from "./failures.ts";
import { distinctPlaces, INVALID, knownCommand, placeOf, viewOf } from "./request-parts.ts";

const GET_BYTES_MAX = 16 * 1024 * 1024;
const GET_KEYS_MAX = 100;
const WRITE_ITEMS_MAX = 25;

const get = knownCommand<BatchGetItemCommandInput>(BatchGetItemCommand, ["RequestItems"], (dynamodb, input, leeway) => {
  const [name, request] = onlyTable(input.RequestItems);
  const { Keys: keys = [], ConsistentRead, ...others } = request;
  if (Object.keys(others).length > 0) throw new UnknownToTheWire(`${Object.keys(others)} of a batch`);
  checkCount("BatchGetItem", keys, GET_KEYS_MAX);
  const table = dynamodb.table(name);
  const places = distinctPlaces(keys.map((key) => placeOf(table, key)));
  const view = viewOf(table, ConsistentRead, leeway);
  const items: Item[] = [];
  let bytes = 0;
  let done = 0;
  for (const place of places.slice(0, leeway.batchMax)) {
    const entry = view.get(place);
    bytes += entry?.bytes ?? 0;
    if (bytes > GET_BYTES_MAX) break;
    // In no order: the last key's item comes first.
    if (entry !== undefined) items.unshift(copyItem(entry.item));
    done++;
  }
  const Keys = keys.slice(done).map(copyItem);
  const left = { Keys, ...(ConsistentRead !== undefined && { ConsistentRead }) };
  return { Responses: { [name]: items }, UnprocessedKeys: Keys.length === 0 ? {} : { [name]: left } };
});

const write = knownCommand<BatchWriteItemCommandInput>(
  BatchWriteItemCommand,
  ["RequestItems"],
  (dynamodb, input, leeway) => {
    const [name, requests] = onlyTable(input.RequestItems);
    checkCount("BatchWriteItem", requests, WRITE_ITEMS_MAX);
    const table = dynamodb.table(name);
    const keys = requests.map(({ DeleteRequest, PutRequest }) => {
      if (DeleteRequest?.Key === undefined || PutRequest !== undefined) throw new UnknownToTheWire("batches of puts");
      return DeleteRequest.Key;
    });
    const places = distinctPlaces(keys.map((key) => placeOf(table, key)));
    const done = places.slice(0, leeway.batchMax);
    for (const place of done) if (table.get(place) !== undefined) table.set(place, undefined);
    const left = keys.slice(done.length).map((key) => ({ DeleteRequest: { Key: copyItem(key) } }));
    return { UnprocessedItems: left.length === 0 ? {} : { [name]: left } };
  },
);

function onlyTable<Request>(requests: Record<string, Request> | undefined): readonly [string, Request] {
  const [first, ...more] = Object.entries(requests ?? {});
  if (first === undefined || more.length > 0) throw new UnknownToTheWire("batches of no table or of several");
  return first;
}

function checkCount(command: string, requests: readonly unknown[], most: number): void {
  if (requests.length === 0) throw validation(`${INVALID} the batch is empty`);
  if (requests.length > most) throw validation(`Too many items requested for the ${command} call`);
}

export const batchCommands = [get, write];
