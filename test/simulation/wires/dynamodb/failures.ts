/** What DynamoDB's client throws, as its own classes where the SDK has them. */
import {
  ConditionalCheckFailedException,
  DynamoDBServiceException,
  InternalServerError,
  ProvisionedThroughputExceededException,
  ResourceInUseException,
  ResourceNotFoundException,
} from "@aws-sdk/client-dynamodb";

const refused = { httpStatusCode: 400, attempts: 1, totalRetryDelay: 0 };

/** A request of a form that this DynamoDB does not know: whoever meets it has to teach it, or to send something else. */
export class UnknownToTheWire extends Error {
  constructor(what: string) {
    super(`The simulator's DynamoDB does not know ${what}.`);
    this.name = "UnknownToTheWire";
  }
}

export const validation = (message: string): DynamoDBServiceException =>
  new DynamoDBServiceException({ name: "ValidationException", $fault: "client", message, $metadata: refused });

export const conditionFailed = (): ConditionalCheckFailedException =>
  new ConditionalCheckFailedException({ message: "The conditional request failed", $metadata: refused });

export const noTable = (): ResourceNotFoundException =>
  new ResourceNotFoundException({ message: "Requested resource not found", $metadata: refused });

export const tableExists = (table: string): ResourceInUseException =>
  new ResourceInUseException({ message: `Table already exists: ${table}`, $metadata: refused });

export const throughputExceeded = (): ProvisionedThroughputExceededException =>
  new ProvisionedThroughputExceededException({
    message: "The level of configured provisioned throughput for the table was exceeded.",
    $metadata: refused,
  });

export const throttled = (): DynamoDBServiceException =>
  new DynamoDBServiceException({
    name: "ThrottlingException",
    $fault: "client",
    message: "Throughput exceeds the current capacity of your table or index.",
    $metadata: refused,
  });

/** Says nothing about whether a write was applied. */
export const internalError = (): InternalServerError =>
  new InternalServerError({
    message: "Internal server error",
    $metadata: { httpStatusCode: 500, attempts: 3, totalRetryDelay: 0 },
  });
