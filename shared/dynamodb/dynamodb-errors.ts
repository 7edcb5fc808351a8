/** What DynamoDB's errors mean to Tidemark's caller. The one place that knows their names. */
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";
import { describeThrown, TidemarkError } from "../errors.ts";

const THROTTLING = new Set([
  "ProvisionedThroughputExceededException",
  "ThrottlingException",
  "RequestLimitExceeded",
  "RequestThrottledException",
  "ThrottledException",
  "TooManyRequestsException",
]);

const NO_ACCESS = new Set([
  "AccessDeniedException",
  "UnrecognizedClientException",
  "InvalidSignatureException",
  "MissingAuthenticationTokenException",
  "IncompleteSignatureException",
  "ExpiredTokenException",
  "CredentialsProviderError",
]);

/** A write that asks for what the item does not have (a map, a number): a step of the protocol is wrong. */
const WRONG_STEP = /document path|refers to an attribute that does not exist|incorrect data type|Item size to update/;

/** Whether the request was refused for its rate, and so not carried out. */
export function isThrottling(error: unknown): boolean {
  return error instanceof Error && THROTTLING.has(error.name);
}

/**
 * An error that says what to do.
 *
 * `fix-configuration`: no table, no access, a key that cannot be used, a request that the table cannot take. `report-bug`: a write that does not
 * fit the item it met. `retry`: everything else, among it time-outs and dropped connections, after which a write may
 * or may not have been applied. Tidemark's own errors and failed conditions are given back as they are.
 */
export function asTidemarkError(error: unknown, action: string): unknown {
  if (error instanceof TidemarkError || error instanceof ConditionalCheckFailedException) return error;
  const name = error instanceof Error ? error.name : "";
  const said = describeThrown(error);
  const wrapped = (kind: TidemarkError["kind"], message: string) => new TidemarkError(kind, message, { cause: error });
  if (name === "ResourceNotFoundException") {
    return wrapped(
      "fix-configuration",
      `DynamoDB has no such table (${action}). Deploy it, or correct the table's name, region or account. It said: ${said}`,
    );
  }
  // Of the key, or of an action on it that the role lacks.
  if (/KMS|kms:/.test(`${name} ${said}`) && !isThrottling(error)) {
    return wrapped(
      "fix-configuration",
      `The KMS key of the table cannot be used (${action}). Enable the key, and allow this role kms:Decrypt on it. It said: ${said}`,
    );
  }
  if (NO_ACCESS.has(name)) {
    return wrapped(
      "fix-configuration",
      `DynamoDB refused access (${action}). Grant this role the action on the table, or correct the credentials. It said: ${said}`,
    );
  }
  if (name === "ValidationException") {
    return WRONG_STEP.test(said)
      ? wrapped("report-bug", `A write does not fit the item it met (${action}). Please report this as a bug: ${said}`)
      : wrapped(
          "fix-configuration",
          `DynamoDB cannot take this request (${action}). Check that the table has Tidemark's key attributes and is used by nothing else. It said: ${said}`,
        );
  }
  return wrapped(
    "retry",
    `DynamoDB gave no usable answer (${action}); a write may or may not have been applied. Try again. It said: ${said}`,
  );
}
