import type { KinesisClient } from "@aws-sdk/client-kinesis";
import type { Clock, Randomness } from "../../environment.ts";
import { TidemarkError } from "../../errors.ts";
import type { Source } from "../source.ts";
import { KinesisCalls } from "./kinesis-calls.ts";
import { kinesisEvents } from "./kinesis-events.ts";
import { KinesisReader } from "./kinesis-reader.ts";

/** A batch asks for the retention; who changes it may wait so long before the change is seen. */
const RETENTION_CACHED_MS = 60_000;

export interface KinesisSourceOptions {
  readonly client: KinesisClient;
  /** The stream's name. */
  readonly stream: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** How many shards one ListShards returns. @default 1000 - the API's maximum */
  readonly shardsPerPage?: number;
}

/**
 * A Kinesis stream as a source. Opening it calls nothing.
 *
 * Cost: a look takes one GetShardIterator and usually one GetRecords; a read at most four GetRecords a second and shard
 * (a shard answers five, to all its readers together), and one a second once it has caught up; the retention one
 * DescribeStreamSummary a minute.
 * @throws TidemarkError `fix-configuration` when the name cannot be one of a stream
 */
export function openKinesisSource(options: KinesisSourceOptions): Source {
  const { client, stream, clock, randomness, shardsPerPage } = options;
  if (!/^[a-zA-Z0-9_.-]{1,128}$/.test(stream)) {
    throw new TidemarkError(
      "fix-configuration",
      `${JSON.stringify(stream)} is no name of a Kinesis stream: those are 1 to 128 letters, digits, "_", "." and "-". Bind "kinesis:NAME".`,
    );
  }
  const calls = new KinesisCalls({ client, stream, clock, randomness });
  let cached: { readonly untilMs: number; readonly retentionMs: number } | undefined;
  const retentionMs = async (): Promise<number> => {
    if (cached === undefined || clock.now() >= cached.untilMs) {
      cached = { retentionMs: await calls.retentionMs(), untilMs: clock.now() + RETENTION_CACHED_MS };
    }
    return cached.retentionMs;
  };
  const reader = new KinesisReader({
    calls,
    clock,
    retentionMs,
    ...(shardsPerPage === undefined ? {} : { shardsPerPage }),
  });
  return { events: kinesisEvents, reader, retentionMs };
}
