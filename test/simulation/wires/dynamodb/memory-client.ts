import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { MemoryDynamoDB } from "./memory-dynamodb.ts";

/** The part of the SDK's client that adapters use. Every answer comes later, as from a real one. */
export function memoryClient(dynamodb: MemoryDynamoDB): Pick<DynamoDBClient, "send"> {
  const send = async (command: object): Promise<object> => {
    await null;
    return dynamodb.answer(command);
  };
  return { send: send as DynamoDBClient["send"] };
}
