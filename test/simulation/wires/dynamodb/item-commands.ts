/** Reads and writes of one item. */
import {
  DeleteItemCommand,
  type DeleteItemCommandInput,
  GetItemCommand,
  type GetItemCommandInput,
  PutItemCommand,
  type PutItemCommandInput,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from "@aws-sdk/client-dynamodb";
import { ITEM_BYTES_MAX, itemBytes, takeItem } from "./attribute-rules.ts";
import { validation } from "./failures.ts";
import {
  conditionOf,
  knownCommand,
  oldValues,
  placeholdersOf,
  placeOf,
  placeOfItem,
  projectionOf,
  viewOf,
} from "./request-parts.ts";
import { applyUpdate, checkKeyUntouched, checkUpdate, parseUpdate } from "./update-expression.ts";

const CONDITION = ["ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"] as const;

const get = knownCommand<GetItemCommandInput>(
  GetItemCommand,
  ["TableName", "Key", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"],
  (dynamodb, input, leeway) => {
    const placeholders = placeholdersOf(input);
    const project = projectionOf(input.ProjectionExpression, placeholders);
    placeholders.checkAllUsed();
    const table = dynamodb.table(input.TableName);
    const place = placeOf(table, input.Key);
    const entry = viewOf(table, input.ConsistentRead, leeway).get(place);
    return entry === undefined ? {} : { Item: project(entry.item) };
  },
);

const put = knownCommand<PutItemCommandInput>(
  PutItemCommand,
  ["TableName", "Item", ...CONDITION, "ReturnValues"],
  (dynamodb, input) => {
    const item = takeItem(input.Item ?? {});
    const bytes = itemBytes(item);
    if (bytes > ITEM_BYTES_MAX) throw validation("Item size has exceeded the maximum allowed size");
    const find = conditionOf(input);
    const table = dynamodb.table(input.TableName);
    const place = placeOfItem(table, item);
    const before = find(table, place);
    table.set(place, { item, bytes });
    return oldValues(input.ReturnValues, before);
  },
);

const remove = knownCommand<DeleteItemCommandInput>(
  DeleteItemCommand,
  ["TableName", "Key", ...CONDITION, "ReturnValues"],
  (dynamodb, input) => {
    const find = conditionOf(input);
    const table = dynamodb.table(input.TableName);
    const place = placeOf(table, input.Key);
    const before = find(table, place);
    if (before !== undefined) table.set(place, undefined);
    return oldValues(input.ReturnValues, before);
  },
);

const update = knownCommand<UpdateItemCommandInput>(
  UpdateItemCommand,
  ["TableName", "Key", "UpdateExpression", ...CONDITION, "ReturnValues"],
  (dynamodb, input) => {
    const placeholders = placeholdersOf(input);
    const changes = input.UpdateExpression === undefined ? [] : parseUpdate(input.UpdateExpression);
    checkUpdate(changes, placeholders);
    const find = conditionOf(input, placeholders);
    const table = dynamodb.table(input.TableName);
    const place = placeOf(table, input.Key);
    checkKeyUntouched(changes, table.key, placeholders);
    const before = find(table, place);
    const item = applyUpdate(changes, before?.item ?? takeItem(input.Key ?? {}), placeholders);
    const bytes = itemBytes(item);
    if (bytes > ITEM_BYTES_MAX) throw validation("Item size to update has exceeded the maximum allowed size");
    table.set(place, { item, bytes });
    return oldValues(input.ReturnValues, before);
  },
);

export const itemCommands = [get, put, remove, update];
