/** Counts the write units that a DynamoDB client takes, for a metric. All else that can be counted: `request-meter.ts`. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";

const WRITES = /^(?:Put|Update|Delete)ItemCommand$/;

/**
 * Counts from now on. A failed condition is billed too, but reports nothing.
 * @returns takes what was counted since it was last called
 */
export function countWriteUnits(client: DynamoDBClient): () => number {
  let units = 0;
  client.middlewareStack.add(
    (next, { commandName = "" }) =>
      async (args) => {
        if (!WRITES.test(commandName)) return next(args);
        const result = await next({ ...args, input: { ...args.input, ReturnConsumedCapacity: "TOTAL" } as never });
        const { ConsumedCapacity } = result.output as { ConsumedCapacity?: { readonly CapacityUnits?: number } };
        units += ConsumedCapacity?.CapacityUnits ?? 0;
        return result;
      },
    { step: "initialize", name: "tidemarkWriteUnits" },
  );
  return () => {
    const taken = units;
    units = 0;
    return taken;
  };
}
