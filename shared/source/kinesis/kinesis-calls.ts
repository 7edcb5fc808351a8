/**
 * The calls to one Kinesis stream: paced per shard, retried with jitter while throttled, errors in the user's terms.
 */
import {
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  type GetRecordsCommandOutput,
  GetShardIteratorCommand,
  type KinesisClient,
  ListShardsCommand,
  type ListShardsCommandOutput,
} from "@aws-sdk/client-kinesis";
import type { Clock, Randomness } from "../../environment.ts";
import { describeThrown, TidemarkError } from "../../errors.ts";
import { pause } from "../pause.ts";
import { BEGINNING, type Position } from "../position.ts";
import { sequenceNumberOf } from "./kinesis-position.ts";

/** A shard answers 5 GetRecords a second, to all its readers together; event source mappings take one of them. */
const CALL_INTERVAL_MS = 250;
const TRIES_MAX = 10;
const BACKOFF_MS = 200;
const BACKOFF_MS_MAX = 5_000;

const THROTTLED = new Set([
  "ProvisionedThroughputExceededException",
  "LimitExceededException",
  "ThrottlingException",
  "KMSThrottlingException",
]);
const REFUSED =
  /^(?:AccessDenied|Unrecognized|ExpiredToken|InvalidSignature|MissingAuthentication|InvalidClient|CredentialsProvider|KMS)/;

/** The shard is listed, but does not know the position that was to be read after. */
export class UnknownPositionError extends TidemarkError {}

export interface KinesisCallsOptions {
  readonly client: KinesisClient;
  readonly stream: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
}

export class KinesisCalls {
  readonly #options: KinesisCallsOptions;
  /** Per shard, when the next GetRecords may go out. */
  readonly #nextCallMs = new Map<string, number>();

  constructor(options: KinesisCallsOptions) {
    this.#options = options;
  }

  async retentionMs(): Promise<number> {
    const { stream, client } = this.#options;
    const answer = await this.#retried(() => client.send(new DescribeStreamSummaryCommand({ StreamName: stream })));
    return (answer.StreamDescriptionSummary?.RetentionPeriodHours ?? 24) * 3_600_000;
  }

  /** A page of shards; without a token the first one. */
  async listShards(page: { readonly token?: string; readonly shardsMax: number }): Promise<ListShardsCommandOutput> {
    const { stream, client } = this.#options;
    const place = page.token === undefined ? { StreamName: stream } : { NextToken: page.token };
    return await this.#retried(() => client.send(new ListShardsCommand({ ...place, MaxResults: page.shardsMax })));
  }

  /**
   * @returns undefined when the stream no longer lists the shard
   * @throws UnknownPositionError `fix-configuration` when the shard does not know the position
   */
  async iteratorAfter(shard: string, after: Position, signal?: AbortSignal): Promise<string | undefined> {
    const { stream, client } = this.#options;
    const start =
      after === BEGINNING
        ? ({ ShardIteratorType: "TRIM_HORIZON" } as const)
        : ({ ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: sequenceNumberOf(after) } as const);
    const command = new GetShardIteratorCommand({ StreamName: stream, ShardId: shard, ...start });
    try {
      return (await this.#retried(() => client.send(command), signal)).ShardIterator;
    } catch (error) {
      const name = nameOf((error as Error).cause);
      // "Not found" is said of a stream, of a shard and (by emulators) of a sequence number.
      if (name === "ResourceNotFoundException" && !(await this.#lists(shard))) return undefined;
      if (name !== "ResourceNotFoundException" && name !== "InvalidArgumentException") throw error;
      throw new UnknownPositionError(
        "fix-configuration",
        `Shard ${shard} of the Kinesis stream ${JSON.stringify(stream)} does not know the position ${after}: the stream was deleted and made again, or another one took its name. Bind the stream that was read before.`,
        { cause: error },
      );
    }
  }

  /** @returns undefined when the iterator has expired: five minutes after it was handed out */
  async getRecords(request: {
    readonly shard: string;
    readonly iterator: string;
    readonly recordsMax: number;
    readonly signal?: AbortSignal | undefined;
  }): Promise<GetRecordsCommandOutput | undefined> {
    const { client } = this.#options;
    const command = new GetRecordsCommand({ ShardIterator: request.iterator, Limit: request.recordsMax });
    try {
      return await this.#retried(async () => {
        await this.#paced(request.shard, request.signal);
        return await client.send(command);
      }, request.signal);
    } catch (error) {
      if (nameOf((error as Error).cause) === "ExpiredIteratorException") return undefined;
      throw error;
    }
  }

  async #lists(shard: string): Promise<boolean> {
    let token: string | undefined;
    do {
      const answer = await this.listShards({ shardsMax: 1000, ...(token === undefined ? {} : { token }) });
      if (answer.Shards?.some(({ ShardId }) => ShardId === shard)) return true;
      token = answer.NextToken;
    } while (token !== undefined);
    return false;
  }

  /** Takes the shard's next free moment at once, so that two readers of one shard share its calls. */
  async #paced(shard: string, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#options;
    const now = clock.now();
    const at = Math.max(now, this.#nextCallMs.get(shard) ?? now);
    this.#nextCallMs.set(shard, at + CALL_INTERVAL_MS);
    if (at > now) await pause(clock, at - now, signal);
  }

  async #retried<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { clock, randomness } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        return await call();
      } catch (error) {
        const givesUp = tries >= TRIES_MAX || signal?.aborted === true;
        if (!THROTTLED.has(nameOf(error)) || givesUp) throw this.#inUsersTerms(error);
        const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** tries);
        await pause(clock, backoffMs * (0.5 + randomness.fraction() / 2), signal);
      }
    }
  }

  #inUsersTerms(cause: unknown): TidemarkError {
    const stream = `the Kinesis stream ${JSON.stringify(this.#options.stream)}`;
    const name = nameOf(cause);
    const said = describeThrown(cause);
    if (name === "ResourceNotFoundException") {
      return new TidemarkError(
        "fix-configuration",
        `There is no ${stream.slice(4)} in this account and region (${said}). Create it, or correct the name, the region or the credentials.`,
        { cause },
      );
    }
    if (REFUSED.test(name) && !THROTTLED.has(name)) {
      return new TidemarkError(
        "fix-configuration",
        `Access to ${stream} was refused (${said}). Allow kinesis:ListShards, kinesis:GetShardIterator, kinesis:GetRecords and kinesis:DescribeStreamSummary on it, and kms:Decrypt on its key if it has one.`,
        { cause },
      );
    }
    return new TidemarkError(
      "retry",
      `${stream.replace("the", "The")} cannot be read now (${said}). Try again later.`,
      { cause },
    );
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}
