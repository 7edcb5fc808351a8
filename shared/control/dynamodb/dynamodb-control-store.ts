/**
 * Control and split items in one DynamoDB table. Every operation is one request (`list`: one for every MB); an update
 * costs a write unit for every KB of the larger of the item before and after.
 */
import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  GetItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { type DynamoDBAccess, untilNotThrottled } from "../../dynamodb/dynamodb-access.ts";
import { invariant } from "../../errors.ts";
import { type AttributeMap, fromAttributeMap } from "../../json/attribute-value.ts";
import { applyWrite } from "../apply-write.ts";
import { checkWrite } from "../check-write.ts";
import type { ConditionalWrite } from "../conditional-write.ts";
import type { ControlAttributes, ControlStore, ItemKey, UpdateAnswer } from "../control-store.ts";
import { controlItemKey } from "./control-table.ts";
import { compileWrite } from "./update-expression.ts";

export interface DynamoDBControlOptions extends DynamoDBAccess {
  readonly table: string;
  /** Items of one page of a listing. @default as many as make 1 MB, DynamoDB's own limit */
  readonly pageItemsMax?: number;
}

export class DynamoDBControlStore implements ControlStore {
  readonly #options: DynamoDBControlOptions;

  constructor(options: DynamoDBControlOptions) {
    this.#options = options;
  }

  async get(key: ItemKey): Promise<ControlAttributes | undefined> {
    const request = new GetItemCommand({
      TableName: this.#options.table,
      Key: controlItemKey(key),
      ConsistentRead: true,
    });
    const { Item } = await untilNotThrottled(this.#options, this.#action("reading", key), () =>
      this.#options.client.send(request),
    );
    return Item && withoutKey(Item);
  }

  async *list(
    partition: string,
  ): AsyncGenerator<{ readonly sort: string; readonly attributes: ControlAttributes }, void> {
    let after: AttributeMap | undefined;
    do {
      const request = new QueryCommand({
        TableName: this.#options.table,
        ConsistentRead: true,
        KeyConditionExpression: "pk = :pk",
        ExpressionAttributeValues: { ":pk": { S: partition } },
        ...(this.#options.pageItemsMax !== undefined && { Limit: this.#options.pageItemsMax }),
        ...(after !== undefined && { ExclusiveStartKey: after }),
      });
      const page = await untilNotThrottled(this.#options, `listing ${partition} in table ${this.#options.table}`, () =>
        this.#options.client.send(request),
      );
      for (const item of page.Items ?? []) {
        const sort = item.sk?.S;
        invariant(sort !== undefined, "every control item has a sort key");
        yield { sort, attributes: withoutKey(item) };
      }
      after = page.LastEvaluatedKey;
    } while (after !== undefined);
  }

  async update(key: ItemKey, write: ConditionalWrite): Promise<UpdateAnswer> {
    if (typeof TIDEMARK_CHECKED === "undefined") checkWrite(write);
    const request = new UpdateItemCommand({
      TableName: this.#options.table,
      Key: controlItemKey(key),
      ...compileWrite(write),
      ReturnValues: "ALL_OLD",
    });
    try {
      const answer = await untilNotThrottled(this.#options, this.#action("updating", key), () =>
        this.#options.client.send(request),
      );
      const before = answer.Attributes && withoutKey(answer.Attributes);
      return { applied: true, before, after: applyWrite(write, before) };
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return { applied: false };
      throw error;
    }
  }

  async delete(key: ItemKey): Promise<void> {
    const request = new DeleteItemCommand({ TableName: this.#options.table, Key: controlItemKey(key) });
    await untilNotThrottled(this.#options, this.#action("deleting", key), () => this.#options.client.send(request));
  }

  #action(doing: string, key: ItemKey): string {
    return `${doing} ${key.partition} / ${key.sort} in table ${this.#options.table}`;
  }
}

function withoutKey(item: AttributeMap): ControlAttributes {
  const { pk: _pk, sk: _sk, ...attributes } = item;
  return fromAttributeMap(attributes);
}
