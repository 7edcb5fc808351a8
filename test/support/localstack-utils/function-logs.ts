/** What deployed functions logged, read from CloudWatch Logs as on AWS. */
import {
  type CloudWatchLogsClient,
  paginateFilterLogEvents,
  ResourceNotFoundException,
} from "@aws-sdk/client-cloudwatch-logs";
import { GetFunctionConfigurationCommand, type LambdaClient } from "@aws-sdk/client-lambda";

export interface LogClients {
  readonly logs: CloudWatchLogsClient;
  readonly lambda: LambdaClient;
}

/** Every line that a function logged since, in the order of arrival. */
export async function functionLogs(
  { logs, lambda }: LogClients,
  functionName: string,
  { sinceMs = 0 }: { readonly sinceMs?: number } = {},
): Promise<readonly string[]> {
  const { LoggingConfig } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: functionName }));
  // LocalStack writes to the group of the function's name, whatever its configuration says.
  const groups = new Set([LoggingConfig?.LogGroup, `/aws/lambda/${functionName}`]);
  const lines: string[] = [];
  for (const logGroupName of groups) {
    if (logGroupName === undefined) continue;
    try {
      for await (const page of paginateFilterLogEvents({ client: logs }, { logGroupName, startTime: sinceMs })) {
        lines.push(...(page.events ?? []).map(({ message = "" }) => message.trimEnd()));
      }
    } catch (thrown) {
      if (!(thrown instanceof ResourceNotFoundException)) throw thrown;
    }
  }
  return lines;
}
