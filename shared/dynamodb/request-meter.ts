/** Counts what a DynamoDB client does: the figures behind every statement about cost. */
import { ConditionalCheckFailedException, type DynamoDBClient } from "@aws-sdk/client-dynamodb";

export interface RequestCounts {
  /** Commands by name (`PutItem`), each counted once, however often the SDK had to send it. */
  readonly commands: Readonly<Record<string, number>>;
  /** Requests on the wire, retries of the SDK included. */
  readonly requests: number;
  /** Capacity units as DynamoDB reported them. A failed condition is billed too, but reports none. */
  readonly readUnits: number;
  readonly writeUnits: number;
  readonly failedConditions: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export interface RequestMeter {
  /** The counts since the meter was made or last reset. */
  snapshot(): RequestCounts;
  reset(): void;
}

/** Commands that report the capacity they took; others would be refused with the parameter. */
const METERED: Readonly<Record<string, "readUnits" | "writeUnits">> = {
  GetItem: "readUnits",
  BatchGetItem: "readUnits",
  Query: "readUnits",
  Scan: "readUnits",
  PutItem: "writeUnits",
  UpdateItem: "writeUnits",
  DeleteItem: "writeUnits",
  BatchWriteItem: "writeUnits",
};

interface Consumed {
  readonly CapacityUnits?: number;
}

const none = () => ({
  commands: {} as Record<string, number>,
  requests: 0,
  readUnits: 0,
  writeUnits: 0,
  failedConditions: 0,
  bytesSent: 0,
  bytesReceived: 0,
});

/** Meters every command that `client` sends from now on. Costs no request; adds a few bytes to each answer. */
export function meterDynamoDB(client: DynamoDBClient): RequestMeter {
  let counts = none();

  client.middlewareStack.add(
    (next, context) => async (args) => {
      const command = String(context.commandName).replace(/Command$/, "");
      const units = METERED[command];
      counts.commands[command] = (counts.commands[command] ?? 0) + 1;
      const input = units === undefined ? args.input : { ...args.input, ReturnConsumedCapacity: "TOTAL" };
      try {
        const result = await next({ ...args, input: input as typeof args.input });
        if (units !== undefined) {
          const { ConsumedCapacity } = result.output as { ConsumedCapacity?: Consumed | readonly Consumed[] };
          for (const part of [ConsumedCapacity ?? []].flat() as Consumed[]) counts[units] += part.CapacityUnits ?? 0;
        }
        return result;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) counts.failedConditions++;
        throw error;
      }
    },
    { step: "initialize", name: "tidemarkMeter" },
  );

  client.middlewareStack.add(
    (next) => async (args) => {
      counts.requests++;
      const { body } = args.request as { body?: unknown };
      if (typeof body === "string" || body instanceof Uint8Array) counts.bytesSent += Buffer.byteLength(body);
      const result = await next(args);
      const { headers } = result.response as { headers?: Record<string, string> };
      counts.bytesReceived += Number(headers?.["content-length"] ?? 0);
      return result;
    },
    // The last step before the wire: below the SDK's retries. Its results are not parsed yet.
    { step: "deserialize", name: "tidemarkWireMeter", priority: "low" },
  );

  return {
    snapshot: () => ({ ...counts, commands: { ...counts.commands } }),
    reset: () => {
      counts = none();
    },
  };
}
