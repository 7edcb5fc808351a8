/** What S3's client throws, as its own classes where the SDK has them, with the code that it reads from the answer. */
import { NoSuchBucket, NoSuchKey, NoSuchUpload, S3ServiceException } from "@aws-sdk/client-s3";

/** A request of a form that this S3 does not know: whoever meets it has to teach it, or to send something else. */
export class UnknownToTheWire extends Error {
  constructor(what: string) {
    super(`The simulator's S3 does not know ${what}.`);
    this.name = "UnknownToTheWire";
  }
}

const metadata = (httpStatusCode: number, attempts = 1) => ({ httpStatusCode, attempts, totalRetryDelay: 0 });

function withCode<Thrown extends S3ServiceException>(error: Thrown): Thrown {
  return Object.assign(error, { Code: error.name });
}

function answered(name: string, status: number, message: string, attempts = 1): S3ServiceException {
  const $fault = status >= 500 ? "server" : "client";
  return withCode(new S3ServiceException({ name, $fault, message, $metadata: metadata(status, attempts) }));
}

export const noBucket = () =>
  withCode(new NoSuchBucket({ message: "The specified bucket does not exist", $metadata: metadata(404) }));
export const noKey = () =>
  withCode(new NoSuchKey({ message: "The specified key does not exist.", $metadata: metadata(404) }));
export const noUpload = () =>
  withCode(
    new NoSuchUpload({
      message:
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
      $metadata: metadata(404),
    }),
  );

export const preconditionFailed = () =>
  answered("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold");
/** Another write of the object was under way: this one was not carried out. */
export const conflict = () =>
  answered("ConditionalRequestConflict", 409, "The conditional request cannot succeed due to a conflicting operation");
export const invalidPart = () => answered("InvalidPart", 400, "One or more of the specified parts could not be found.");
export const invalidPartOrder = () =>
  answered("InvalidPartOrder", 400, "The list of parts was not in ascending order.");
export const partTooSmall = () =>
  answered("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size");
export const badDigest = () =>
  answered("BadDigest", 400, "The CRC32 you specified did not match the calculated checksum.");

export const slowDown = () => answered("SlowDown", 503, "Please reduce your request rate.", 3);
/** Says nothing about whether a write was applied. */
export const internalError = () =>
  answered("InternalError", 500, "We encountered an internal error. Please try again.", 3);
