/** What Lambda's errors mean to whoever had a function invoked or a mapping changed. The one place that knows their names. */
import { describeThrown, TidemarkError } from "../errors.ts";

const THROTTLING = new Set([
  "TooManyRequestsException",
  "ThrottlingException",
  "RequestLimitExceeded",
  "EC2ThrottledException",
]);
const NO_ACCESS = new Set([
  "AccessDeniedException",
  "UnrecognizedClientException",
  "InvalidSignatureException",
  "MissingAuthenticationTokenException",
  "ExpiredTokenException",
  "CredentialsProviderError",
]);
const KMS = /^KMS/;

/**
 * `fix-configuration`: no such function or mapping, no access, a key that cannot be used, a request that is refused.
 * `retry`: everything else, after which a function may or may not have run.
 * @param action what was being done to what: `"invoking the function flights-on-time"`
 * @param permission the action that it takes
 */
export function explainLambdaError(thrown: unknown, action: string, permission: string): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown;
  const name = thrown instanceof Error ? thrown.name : "";
  const said = `Lambda said: ${describeThrown(thrown)}`;
  const error = (kind: TidemarkError["kind"], message: string) => new TidemarkError(kind, message, { cause: thrown });
  if (name === "ResourceNotFoundException") {
    return error(
      "fix-configuration",
      `There is no such thing in Lambda (${action}). It was removed by hand, or is of another region or account: deploy the app again. ${said}`,
    );
  }
  if (/^Region is missing/.test(describeThrown(thrown).replace(/^Error: /, ""))) {
    return error(
      "fix-configuration",
      `No AWS region is set (${action}). Set AWS_REGION, or one in the profile. ${said}`,
    );
  }
  if (NO_ACCESS.has(name)) {
    return error(
      "fix-configuration",
      `Lambda refused access (${action}). Allow this role ${permission} on it, or correct the credentials. ${said}`,
    );
  }
  if (KMS.test(name)) {
    return error(
      "fix-configuration",
      `The KMS key of the function's environment cannot be used (${action}). Enable the key, and allow the function's role kms:Decrypt on it. ${said}`,
    );
  }
  if (name === "InvalidParameterValueException" || name === "InvalidRequestContentException") {
    return error("fix-configuration", `Lambda cannot take this request (${action}). Deploy the app again. ${said}`);
  }
  if (name === "RequestTooLargeException") {
    return error("report-bug", `A request to Lambda is too large (${action}). Please report this as a bug. ${said}`);
  }
  if (THROTTLING.has(name)) {
    return error(
      "retry",
      `Lambda is throttling (${action}). Nothing is lost; try again later. If it goes on, raise the function's reserved concurrency or the account's limit. ${said}`,
    );
  }
  return error(
    "retry",
    `Lambda gave no usable answer (${action}); it may or may not have been done. Try again. ${said}`,
  );
}
