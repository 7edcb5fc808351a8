/** Changes a deployed function's configuration for a while, as somebody at the console does. */
import {
  GetFunctionConfigurationCommand,
  type LambdaClient,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";

const UPDATED_SECONDS_MAX = 120;

export interface FunctionChange {
  readonly lambda: LambdaClient;
  readonly functionName: string;
  /** Variables besides those that were deployed. */
  readonly variables: Readonly<Record<string, string>>;
  /** @default as deployed */
  readonly timeoutSeconds?: number | undefined;
}

export async function withEnvironment<Result>(
  { lambda, functionName: FunctionName, variables, timeoutSeconds }: FunctionChange,
  work: () => Promise<Result>,
): Promise<Result> {
  const { Environment, Timeout } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
  const deployed = Environment?.Variables ?? {};
  const configure = async (Variables: Record<string, string>, seconds: number | undefined): Promise<void> => {
    await lambda.send(
      new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables }, Timeout: seconds }),
    );
    await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: UPDATED_SECONDS_MAX }, { FunctionName });
  };
  try {
    await configure({ ...deployed, ...variables }, timeoutSeconds ?? Timeout);
    return await work();
  } finally {
    await configure(deployed, Timeout);
  }
}
