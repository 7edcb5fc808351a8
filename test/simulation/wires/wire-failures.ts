/** What the clients throw where a command came to nothing, or nobody knows what it came to. */
import {
  internalError as dynamodbInternalError,
  throttled as dynamodbThrottled,
  throughputExceeded,
} from "./dynamodb/failures.ts";
import { conflict, internalError as s3InternalError, slowDown } from "./s3/failures.ts";

/** A named failure, so that a run can say which of them it has come through. */
export interface WireFailure {
  readonly name: string;
  readonly make: () => Error;
}

/** Refused: the command was not carried out. */
export const DYNAMODB_REFUSALS: readonly WireFailure[] = [
  { name: "DynamoDB throttles", make: dynamodbThrottled },
  { name: "DynamoDB has no throughput left", make: throughputExceeded },
  { name: "DynamoDB fails", make: dynamodbInternalError },
];

export const S3_REFUSALS: readonly WireFailure[] = [
  { name: "S3 asks to slow down", make: slowDown },
  { name: "S3 fails", make: s3InternalError },
];

/** Instead of the last, where the command has a condition: another write of the object is under way. */
export const S3_CONFLICT: WireFailure = { name: "S3 sees a conflict", make: conflict };

/** After the command was sent: it may have been carried out, or be so later. */
export const NO_ANSWER: readonly WireFailure[] = [
  { name: "a connection is reset", make: () => Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }) },
  { name: "a request times out", make: () => Object.assign(new Error("Request timed out"), { name: "TimeoutError" }) },
];

export const DYNAMODB_NO_ANSWER: readonly WireFailure[] = [
  ...NO_ANSWER,
  { name: "DynamoDB fails after it was done", make: dynamodbInternalError },
];

export const S3_NO_ANSWER: readonly WireFailure[] = [
  ...NO_ANSWER,
  { name: "S3 fails after it was done", make: s3InternalError },
];
