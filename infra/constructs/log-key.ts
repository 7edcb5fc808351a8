/** The key of an app's log groups: CloudWatch Logs uses it in its own name, which the key's policy has to allow. */
import { Annotations, Arn, ArnFormat, Stack } from "aws-cdk-lib";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import type { LogOptions } from "./tidemark-function.ts";

/** @returns undefined: CloudWatch Logs' own */
export function logKey(scope: Construct, logs: LogOptions, encryptionKey: IKey | undefined): IKey | undefined {
  const key = logs.encryptionKey ?? encryptionKey;
  if (key === undefined || key === false) return undefined;
  const statement = ofLogs(Stack.of(scope));
  if (key.addToResourcePolicy(statement).statementAdded) return key;
  Annotations.of(scope).addWarningV2(
    "tidemark:key-policy",
    `The key ${logs.encryptionKey === undefined ? "encryptionKey" : "logs.encryptionKey"} was not made in this CDK app, so its policy cannot be added to. It must let CloudWatch Logs use the key, or no log group can be made: add this statement to it, or set logs.encryptionKey to false: ${JSON.stringify(Stack.of(scope).resolve(statement.toStatementJson()))}`,
  );
  return key;
}

/**
 * As CloudWatch Logs documents it: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
 * For the log groups of this account alone: their names are made as they are, after the key.
 */
function ofLogs(stack: Stack): PolicyStatement {
  const logGroups = Arn.format(
    { service: "logs", resource: "log-group", resourceName: "*", arnFormat: ArnFormat.COLON_RESOURCE_NAME },
    stack,
  );
  return new PolicyStatement({
    actions: ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
    principals: [new ServicePrincipal(`logs.${stack.region}.amazonaws.com`)],
    resources: ["*"],
    conditions: { ArnLike: { "kms:EncryptionContext:aws:logs:arn": logGroups } },
  });
}
