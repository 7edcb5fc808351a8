/**
 * What the DynamoDB benchmark compares. All three validate the same events by the same schema and fold them by the
 * same `handle`, and end with the same state of each airport.
 */
import {
  BatchGetItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from "@aws-sdk/client-dynamodb";
import pMap from "p-map";
import { onTime } from "../examples/flights/on-time.ts";
import type { LocalSurroundings } from "../local/surroundings.ts";
import { describeApp } from "../shared/app/app-description.ts";
import type { AppResources } from "../shared/app/app-resources.ts";
import { defineApp } from "../shared/app/define-app.ts";
import { createControlTable } from "../shared/control/dynamodb/control-table.ts";
import { createTable } from "../shared/dynamodb/create-table.ts";
import { type AttributeMap, fromAttribute, toAttribute } from "../shared/json/attribute-value.ts";
import type { JsonValue } from "../shared/json/json-value.ts";
import { createEventHandler } from "../shared/runtime/event-handler.ts";
import { openStores } from "../shared/runtime/open-resources.ts";
import { BEGINNING } from "../shared/source/position.ts";
import { createStateTable, itemKey, STATE_KEY_SCHEMA } from "../shared/state/dynamodb/state-table.ts";
import { memoryRecord, memorySource } from "./memory-source.ts";

export type OnTimeState = ReturnType<typeof onTime.state.initial>;
type Flight = Parameters<typeof onTime.handle>[1];

/** One contender on tables of its own. */
export interface Contender {
  /** Handles batch after batch. */
  process(batch: readonly unknown[]): Promise<void>;
  states(): Promise<Map<string, JsonValue>>;
}

export type OpenContender = (surroundings: LocalSurroundings, prefix: string) => Promise<Contender>;

/** Writes in flight: the same as Tidemark's. */
const IN_FLIGHT = 16;
const BATCH_GET_KEYS = 100;
const BATCH_GETS_IN_FLIGHT = 4;

/** Tidemark as Lambda runs it: the event handler with its worker's cache, control and state in DynamoDB, exactly once. */
export const openTidemark: OpenContender = async (surroundings, prefix) => {
  const app = defineApp({ name: "bench", functions: [{ function: onTime, source: "flights" }] });
  const description = describeApp(app);
  const tables = { control: `${prefix}-control`, state: { [onTime.name]: `${prefix}-state` } };
  const access = { client: await surroundings.dynamodb(), ...surroundings };
  await createControlTable(access, tables.control);
  await createStateTable(access, tables.state[onTime.name] as string);
  const stores = await openStores({ app: description, tables, storageUrl: "memory:", sources: {} }, surroundings);
  const source = memorySource("flights", []);
  const { clock, randomness, observe } = surroundings;
  const resources: AppResources = { app: description, ...stores, clock, randomness, observe, sourceOf: () => source };
  const handler = createEventHandler(app, onTime.name, resources);
  let rows = 0;
  return {
    async process(batch) {
      const records = batch.map((event) => memoryRecord(++rows, event));
      const event = source.events.toEvent({ split: "flights", records });
      const answer = await handler(event, { deadlineMs: clock.now() + 60_000 });
      if (!("batchItemFailures" in answer) || answer.batchItemFailures.length > 0) {
        throw new Error(`Tidemark left records of a batch undone: ${JSON.stringify(answer)}`);
      }
    },
    async states() {
      const states = new Map<string, JsonValue>();
      for await (const { items } of stores.state.scan(
        { function: onTime.name, generation: 1 },
        { index: 0, count: 1 },
      )) {
        for (const { key, state } of items) if (typeof state === "object") states.set(key, state.value);
      }
      return states;
    },
  };
};

/** What everybody writes first: for each event in turn, a strong GetItem, the fold, a PutItem. No protection at all. */
export const openGetAndPut: OpenContender = async (surroundings, prefix) => {
  const table = await openTable(surroundings, prefix);
  const { client } = table;
  return {
    async process(batch) {
      for (const raw of batch) {
        const flight = validated(raw);
        const key = onTime.key(flight);
        const request = new GetItemCommand({ TableName: table.name, Key: itemKey(key, "0"), ConsistentRead: true });
        const { Item } = await client.send(request);
        const state = await folded(stateOf(Item), flight);
        await client.send(new PutItemCommand({ TableName: table.name, Item: itemOf(key, state) }));
      }
    },
    states: () => scanStates(table),
  };
};

/**
 * The least that a correct fold can do by hand: group by key, BatchGetItem (100 keys a request, 4 at a time, strong), one
 * PutItem a key on the condition that nobody wrote it meanwhile, 16 in flight. No barriers, no duplicates recognised.
 */
export const openHandWrittenLimit: OpenContender = async (surroundings, prefix) => {
  const table = await openTable(surroundings, prefix);
  const { client } = table;
  return {
    async process(batch) {
      const groups = new Map<string, Flight[]>();
      for (const raw of batch) {
        const flight = validated(raw);
        const key = onTime.key(flight);
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [flight]);
        else group.push(flight);
      }
      const items = await getItems(table, [...groups.keys()]);
      await pMap(
        groups,
        async ([key, flights]) => {
          const old = items.get(key);
          let state = stateOf(old);
          for (const flight of flights) state = await folded(state, flight);
          const version = Number(old?.version?.N ?? 0);
          await client.send(
            new PutItemCommand({
              TableName: table.name,
              Item: { ...itemOf(key, state as OnTimeState), version: { N: String(version + 1) } },
              ...(old === undefined
                ? { ConditionExpression: "attribute_not_exists(#key)", ExpressionAttributeNames: { "#key": "key" } }
                : {
                    ConditionExpression: "#version = :version",
                    ExpressionAttributeNames: { "#version": "version" },
                    ExpressionAttributeValues: { ":version": { N: String(version) } },
                  }),
            }),
          );
        },
        { concurrency: IN_FLIGHT },
      );
    },
    states: () => scanStates(table),
  };
};

interface OpenedTable {
  readonly name: string;
  readonly client: DynamoDBClient;
}

async function openTable(surroundings: LocalSurroundings, prefix: string): Promise<OpenedTable> {
  const client = await surroundings.dynamodb();
  const name = `${prefix}-state`;
  await createTable({ client, ...surroundings }, name, STATE_KEY_SCHEMA);
  return { name, client };
}

async function getItems({ name, client }: OpenedTable, keys: readonly string[]): Promise<Map<string, AttributeMap>> {
  const chunks: string[][] = [];
  for (let i = 0; i < keys.length; i += BATCH_GET_KEYS) chunks.push(keys.slice(i, i + BATCH_GET_KEYS));
  const found = await pMap(
    chunks,
    async (chunk) => {
      const Keys = chunk.map((key) => itemKey(key, "0"));
      const request = new BatchGetItemCommand({ RequestItems: { [name]: { Keys, ConsistentRead: true } } });
      return (await client.send(request)).Responses?.[name] ?? [];
    },
    { concurrency: BATCH_GETS_IN_FLIGHT },
  );
  return new Map(found.flat().map((item) => [item.key?.S ?? "", item]));
}

async function scanStates({ name, client }: OpenedTable): Promise<Map<string, JsonValue>> {
  const states = new Map<string, JsonValue>();
  let after: AttributeMap | undefined;
  do {
    const page = await client.send(new ScanCommand({ TableName: name, ...(after && { ExclusiveStartKey: after }) }));
    for (const item of page.Items ?? []) states.set(item.key?.S ?? "", stateOf(item) as unknown as JsonValue);
    after = page.LastEvaluatedKey;
  } while (after !== undefined);
  return states;
}

function validated(raw: unknown): Flight {
  const result = onTime.event["~standard"].validate(raw);
  if (result instanceof Promise || result.issues !== undefined) throw new Error("A flight is none.");
  return result.value;
}

async function folded(state: OnTimeState | undefined, flight: Flight): Promise<OnTimeState> {
  const context = { key: onTime.key(flight), split: "", position: BEGINNING, replay: false };
  // This function clears no key.
  return (await onTime.handle(state ?? onTime.state.initial(), flight, context)) as OnTimeState;
}

const itemOf = (key: string, state: OnTimeState): AttributeMap => ({
  ...itemKey(key, "0"),
  state: toAttribute(state as unknown as JsonValue),
});

function stateOf(item: AttributeMap | undefined): OnTimeState | undefined {
  return item?.state === undefined ? undefined : (fromAttribute(item.state) as unknown as OnTimeState);
}
