/** A Kinesis stream as the source of an app. */
import { Duration, Token } from "aws-cdk-lib";
import { CfnStream, type IStream } from "aws-cdk-lib/aws-kinesis";
import { checkOptions, show } from "../../shared/function/check-options.ts";
import { checkDuration, checkWhole, refuse } from "./check-values.ts";

export interface KinesisBindingOptions {
  /**
   * Records that a batch has at most. Larger ones share more writes and take longer between two barriers; DynamoDB is
   * written once a batch for each distinct key.
   * @default 500
   */
  readonly batchSize?: number;
  /**
   * How long Lambda gathers records for a batch that is not full. Longer is cheaper, and events are folded so much later.
   * @default Duration.seconds(1)
   */
  readonly maxBatchingWindow?: Duration;
  /**
   * How long the stream keeps its records: the alarm on the iterator's age goes off at half of it.
   * @default - what the stream was made with in this CDK app; of a stream that is only named here, Kinesis's 24 hours
   */
  readonly retention?: Duration;
}

/** AWS's own bounds for Kinesis: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html */
const BATCH_SIZE_MAX = 10_000;
const BATCHING_WINDOW_MAX = Duration.minutes(5);
const RETENTION_MIN = Duration.hours(24);
const RETENTION_MAX = Duration.days(365);

/** What {@link fromKinesis} makes; for `sources` of a `TidemarkApp`. */
export class KinesisBinding {
  readonly stream: IStream;
  readonly batchSize: number;
  readonly maxBatchingWindow: Duration;
  readonly retention: Duration;

  constructor(stream: IStream, options: KinesisBindingOptions = {}) {
    if (typeof stream?.streamArn !== "string") {
      refuse(
        "The stream of fromKinesis",
        show(stream),
        "it must be a stream of aws-cdk-lib/aws-kinesis. Give a new Stream(…), or Stream.fromStreamArn(…) for one that is there",
      );
    }
    checkStreamArn(stream.streamArn);
    checkOptions("The options of fromKinesis", options, ["batchSize", "maxBatchingWindow", "retention"]);
    const { batchSize = 500, maxBatchingWindow = Duration.seconds(1), retention } = options;
    checkWhole("batchSize of fromKinesis", batchSize, { unit: "records", min: 1, max: BATCH_SIZE_MAX });
    checkDuration("maxBatchingWindow of fromKinesis", maxBatchingWindow, {
      min: Duration.seconds(0),
      max: BATCHING_WINDOW_MAX,
      wholeSeconds: true,
    });
    if (retention !== undefined) {
      checkDuration("retention of fromKinesis", retention, { min: RETENTION_MIN, max: RETENTION_MAX });
    }
    this.stream = stream;
    this.batchSize = batchSize;
    this.maxBatchingWindow = maxBatchingWindow;
    this.retention = retention ?? retentionOf(stream);
  }
}

/** Of what is known of an ARN at synthesis: a name that a token stands in is not. */
function checkStreamArn(arn: string): void {
  const wayOut = "Give the stream's own ARN, arn:aws:kinesis:<region>:<account>:stream/<name>";
  if (/\/consumer\//.test(arn)) {
    refuse(
      "The stream of fromKinesis",
      show(arn),
      `it is a consumer with enhanced fan-out, and positions, lags and replays are read from the stream itself, whose iterators the mapping shares. ${wayOut}`,
    );
  }
  if (Token.isUnresolved(arn) || /^arn:[^:]+:kinesis:[^:]+:\d{12}:stream\/[A-Za-z0-9_.-]{1,128}$/.test(arn)) return;
  refuse("The stream of fromKinesis", show(arn), `it must be a stream of Kinesis Data Streams. ${wayOut}`);
}

function retentionOf(stream: IStream): Duration {
  const made = stream.node.defaultChild;
  const hours = made instanceof CfnStream ? made.retentionPeriodHours : undefined;
  return hours === undefined || Token.isUnresolved(hours) ? RETENTION_MIN : Duration.hours(hours);
}

/**
 * Binds a source of the app to a Kinesis stream of the app's own account and region, encrypted with a key of one's own or
 * not. Of a stream that is there already, `Stream.fromStreamAttributes(…, { streamArn, encryptionKey })` says the key, which
 * the roles are then allowed to use; its ARN alone does not. Nothing else about the event source mapping can be set: the rest
 * is what the protocol needs.
 * @throws TidemarkError `fix-configuration` for an option that does not exist or is out of its range, and for what is no
 *   stream: a consumer with enhanced fan-out, a stream of DynamoDB
 */
export function fromKinesis(stream: IStream, options?: KinesisBindingOptions): KinesisBinding {
  return new KinesisBinding(stream, options);
}
