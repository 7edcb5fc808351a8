/** Has a deployed function talk to DynamoDB through a proxy that makes trouble, by the variable that every SDK reads. */
import type { LambdaClient } from "@aws-sdk/client-lambda";
import { type Fault, startFaultyProxy } from "../faulty-proxy.ts";
import { listenForFunctions } from "./function-containers.ts";
import { withEnvironment } from "./with-environment.ts";

export interface FaultyFunction {
  readonly lambda: LambdaClient;
  readonly functionName: string;
  /** The function's time-out while there is trouble, in seconds. @default as deployed */
  readonly timeoutSeconds?: number;
}

/** @param fault asked about every request that the function sends to DynamoDB while `work` is under way */
export async function withFaultyDynamoDB<Result>(
  { timeoutSeconds, ...of }: FaultyFunction,
  fault: (operation: string, body: Record<string, unknown>) => Fault | undefined | Promise<Fault | undefined>,
  work: () => Promise<Result>,
): Promise<Result> {
  const proxy = await startFaultyProxy(process.env.AWS_ENDPOINT_URL ?? "", fault, listenForFunctions);
  try {
    return await withEnvironment(
      { ...of, variables: { AWS_ENDPOINT_URL_DYNAMODB: proxy.endpoint }, timeoutSeconds },
      work,
    );
  } finally {
    await proxy.close();
  }
}
