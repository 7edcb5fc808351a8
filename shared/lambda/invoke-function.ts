/** Other functions of the app, invoked by Lambda's API. */
import { InvokeCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import { TidemarkError } from "../errors.ts";
import { unlessError } from "./error-answer.ts";
import { explainLambdaError } from "./explain-lambda-error.ts";

/**
 * Invokes a function and waits for its answer. One request; what the SDK sends again after a lost answer is run again.
 * @throws TidemarkError the one that the function answered; `retry` when it died or threw; else as `explainLambdaError` says
 */
export async function invokeAndWait(
  client: Pick<LambdaClient, "send">,
  functionName: string,
  payload: object,
): Promise<unknown> {
  const action = `invoking the function ${functionName}`;
  let said: string;
  let failed: boolean;
  try {
    const answer = await client.send(
      new InvokeCommand({
        FunctionName: functionName,
        InvocationType: "RequestResponse",
        Payload: Buffer.from(JSON.stringify(payload)),
      }),
    );
    said = Buffer.from(answer.Payload ?? []).toString("utf8");
    failed = answer.FunctionError !== undefined;
  } catch (thrown) {
    throw explainLambdaError(thrown, action, "lambda:InvokeFunction");
  }
  if (failed) {
    throw new TidemarkError(
      "retry",
      `The function ${functionName} failed or was killed: ${messageOf(said)}. Look into its log. Nothing is lost: it is invoked again.`,
    );
  }
  return unlessError(said === "" ? undefined : JSON.parse(said));
}

/** Has a function run, and waits for no answer. @throws TidemarkError as `explainLambdaError` says */
export async function invokeAndForget(
  client: Pick<LambdaClient, "send">,
  functionName: string,
  payload: object,
): Promise<void> {
  try {
    await client.send(
      new InvokeCommand({
        FunctionName: functionName,
        InvocationType: "Event",
        Payload: Buffer.from(JSON.stringify(payload)),
      }),
    );
  } catch (thrown) {
    throw explainLambdaError(thrown, `invoking the function ${functionName}`, "lambda:InvokeFunction");
  }
}

function messageOf(payload: string): string {
  try {
    const { errorType, errorMessage } = JSON.parse(payload) as { errorType?: string; errorMessage?: string };
    return [errorType, errorMessage].filter((text) => text !== undefined && text !== "").join(": ") || payload;
  } catch {
    return payload;
  }
}
