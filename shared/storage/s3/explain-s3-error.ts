import { describeThrown, TidemarkError } from "../../errors.ts";

export interface S3Action {
  /** What was being done, as in "Could not <action>". */
  readonly action: string;
  /** The permissions that it takes. */
  readonly permissions: string;
  readonly url: string;
  readonly path?: string;
}

interface Answer {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly region: string | undefined;
}

/** What an error of the SDK says of the answer; the status is undefined when there was none. */
export function s3Answer(thrown: unknown): Answer {
  const error = (typeof thrown === "object" && thrown !== null ? thrown : {}) as {
    readonly name?: unknown;
    readonly message?: unknown;
    readonly Code?: unknown;
    readonly code?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
  };
  const name = [error.Code, error.code, error.name].find((text) => typeof text === "string" && text !== "Error");
  return {
    name: typeof name === "string" ? name : "unknown error",
    message: typeof error.message === "string" ? error.message : describeThrown(thrown),
    status: error.$metadata?.httpStatusCode,
    region: error.$response?.headers?.["x-amz-bucket-region"],
  };
}

const REGION = new Set([
  "PermanentRedirect",
  "TemporaryRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);
const CREDENTIALS = new Set([
  "CredentialsProviderError",
  "ExpiredToken",
  "ExpiredTokenException",
  "InvalidAccessKeyId",
  "InvalidToken",
  "SignatureDoesNotMatch",
  "TokenRefreshRequired",
]);
// NoSuchUpload: the SDK asked a second time for an upload to be completed, having lost the first answer.
const PASSING = new Set([
  "SlowDown",
  "RequestTimeout",
  "OperationAborted",
  "ConditionalRequestConflict",
  "NoSuchUpload",
  "Throttling",
]);

function wayOut({ name, message, status, region }: Answer, permissions: string): string | undefined {
  if (name === "NoSuchBucket") {
    return "There is no such bucket. Create it, or correct the bucket's name in the storage URL.";
  }
  if (REGION.has(name) || status === 301 || status === 307) {
    const where = region === undefined ? "another region than the client" : `the region ${region}, the client is not`;
    return `The bucket is in ${where}. Set the client's region (AWS_REGION) to the bucket's.`;
  }
  if (message.includes("Region is missing")) return "Set the client's region (AWS_REGION).";
  if (name.startsWith("KMS.") || (status === 403 && /\bkms\b/i.test(message))) {
    return "The bucket's KMS key cannot be used. Enable the key, and allow kms:GenerateDataKey and kms:Decrypt on it.";
  }
  if (CREDENTIALS.has(name)) {
    return "The credentials are missing, wrong or expired. Renew them (for instance: aws sso login), or set AWS_PROFILE.";
  }
  if (name === "RequestTimeTooSkewed") return "This machine's clock is more than 15 minutes off. Set it.";
  if (status === 403) {
    return `Access was denied. Allow ${permissions} on the bucket and its objects, and look for a bucket policy or a VPC endpoint policy that denies it.`;
  }
  if (status === 501) {
    return "The endpoint lacks a feature that Tidemark needs (conditional writes, multipart uploads). Use Amazon S3, or a store that has both.";
  }
  return undefined;
}

/** Says in the user's terms what S3 refused, and what to do about it; what may pass is of kind `retry`. */
export function explainS3Error(thrown: unknown, { action, permissions, url, path }: S3Action): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown;
  const answer = s3Answer(thrown);
  const what = `Could not ${action}${path === undefined ? "" : ` ${path}`} in the checkpoint storage ${url} (${answer.name}: ${answer.message}).`;
  const out = wayOut(answer, permissions);
  if (out !== undefined) return new TidemarkError("fix-configuration", `${what} ${out}`, { cause: thrown });
  if (answer.status === undefined || answer.status >= 500 || answer.status === 429 || PASSING.has(answer.name)) {
    return new TidemarkError(
      "retry",
      `${what} S3 is throttling, failing or out of reach: try again; if it goes on, check the network and the endpoint.`,
      { cause: thrown },
    );
  }
  if (answer.status < 400) {
    // The request was answered as done, so the bytes that came were not those that S3 had announced.
    return new TidemarkError("retry", `${what} The answer was damaged on its way: try again.`, { cause: thrown });
  }
  return new TidemarkError(
    "fix-configuration",
    `${what} S3 refused the request (status ${answer.status}): check the bucket's settings and the storage URL.`,
    { cause: thrown },
  );
}
