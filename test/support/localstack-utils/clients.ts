/** Clients of the LocalStack that the environment names. */
import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { KinesisClient } from "@aws-sdk/client-kinesis";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { createKinesisClient } from "../../../shared/source/kinesis/kinesis-client.ts";

/** A function may take its time to answer, on a machine with much to do. */
const ANSWER_MS_MAX = 240_000;

export interface LocalStackClients {
  readonly dynamodb: DynamoDBClient;
  readonly kinesis: KinesisClient;
  readonly lambda: LambdaClient;
  readonly logs: CloudWatchLogsClient;
  close(): void;
}

export function localStackClients(): LocalStackClients {
  const dynamodb = new DynamoDBClient({});
  const kinesis = createKinesisClient();
  const requestHandler = new NodeHttpHandler({ requestTimeout: ANSWER_MS_MAX, socketTimeout: ANSWER_MS_MAX });
  const lambda = new LambdaClient({ requestHandler, maxAttempts: 1 });
  const logs = new CloudWatchLogsClient({});
  return {
    ...{ dynamodb, kinesis, lambda, logs },
    close() {
      for (const client of [dynamodb, kinesis, lambda, logs]) client.destroy();
    },
  };
}
