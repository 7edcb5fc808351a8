/** AWS's own refusals, as its services put them on the wire, and what a user has to read of each. */
import { createServer } from "node:http";
import { listenForFunctions } from "../support/localstack-utils/function-containers.ts";

export interface Refusal {
  readonly what: string;
  readonly service: "DYNAMODB" | "S3";
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  readonly kind: string;
  /** Of the message: what is wrong, and what to do. */
  readonly says: RegExp;
}

const dynamodb = (type: string, message: string): string =>
  JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message });
const s3 = (code: string, message: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;

export const REFUSALS: readonly Refusal[] = [
  {
    what: "a role that may not read the control table",
    service: "DYNAMODB",
    status: 400,
    body: dynamodb("AccessDeniedException", "User is not authorized to perform: dynamodb:GetItem on resource: control"),
    kind: "fix-configuration",
    says: /DynamoDB refused access.*Grant this role.*dynamodb:GetItem/s,
  },
  {
    what: "a table that was deleted",
    service: "DYNAMODB",
    status: 400,
    body: dynamodb("ResourceNotFoundException", "Requested resource not found"),
    kind: "fix-configuration",
    says: /no such table.*Deploy it/s,
  },
  {
    what: "throttling that outlasts its patience",
    service: "DYNAMODB",
    status: 400,
    body: dynamodb("ThrottlingException", "Rate exceeded"),
    kind: "retry",
    says: /throttl/i,
  },
  {
    what: "a role that may not list the bucket",
    service: "S3",
    status: 403,
    body: s3("AccessDenied", "Access Denied"),
    kind: "fix-configuration",
    says: /s3:ListBucket/,
  },
  {
    what: "a bucket of another region",
    service: "S3",
    status: 301,
    headers: { "x-amz-bucket-region": "eu-central-1" },
    body: s3("PermanentRedirect", "The bucket you are attempting to access must be addressed using another endpoint."),
    kind: "fix-configuration",
    says: /eu-central-1/,
  },
  {
    what: "a key that may not be used",
    service: "S3",
    status: 403,
    body: s3("AccessDenied", "User is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:key"),
    kind: "fix-configuration",
    says: /kms:Decrypt/,
  },
];

/** Answers everything with one refusal. */
export async function startRefusing({
  status,
  headers = {},
  body,
}: Refusal): Promise<{ readonly endpoint: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.writeHead(status, headers).end(body));
  });
  return {
    endpoint: await listenForFunctions(server),
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
